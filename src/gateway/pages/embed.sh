#!/bin/sh
# Writes the pages as C: embed.sh FOLDER FILE… > pages_data.c
set -eu
folder=$1
shift
printf '/* Made of src/gateway/pages by src/gateway/pages/embed.sh. */\n#include "gateway/pages_data.h"\n\n'
list=
for file in "$@"; do
        name=$(printf '%s' "$file" | tr '.-' '__')
        printf 'static const char %s[] = {\n' "$name"
        od -An -v -tu1 "$folder/$file" | sed 's/  *\([0-9][0-9]*\)/(char)\1,/g'
        printf '0};\n'
        list="$list        {\"$file\", $name, sizeof $name - 1},\n"
done
printf 'const struct page_data page_data[] = {\n%b        {0, 0, 0},\n};\n' "$list"
