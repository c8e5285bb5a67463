#!/bin/sh
# Writes the pages as C: embed.sh FOLDER FILE… > pages_data.c
# {{version}} in them becomes a checksum of them all, so that a browser may keep what a page links.
set -eu
LC_ALL=C
export LC_ALL
folder=$1
shift
version=$(cd "$folder" && cat "$@" | cksum | cut -d ' ' -f 1)
printf '/* Made of src/gateway/pages by src/gateway/pages/embed.sh. */\n/* clang-format off */\n#include "gateway/pages_data.h"\n\n'
printf 'const char page_version[] = "%s";\n' "$version"
list=
for file in "$@"; do
        name=$(printf '%s' "$file" | tr '.-' '__')
        printf 'static const char %s[] = {\n' "$name"
        sed "s/{{version}}/$version/g" "$folder/$file" | od -An -v -tu1 | sed 's/  *\([0-9][0-9]*\)/(char)\1,/g'
        printf '0};\n'
        list="$list        {\"$file\", $name, sizeof $name - 1},\n"
done
printf 'const struct page_data page_data[] = {\n%b        {0, 0, 0},\n};\n' "$list"
