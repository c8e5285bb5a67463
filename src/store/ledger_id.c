#include "store/ledger_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 16 };

char *ledger_id_text(char out[LEDGER_ID_TEXT], uint64_t chance, int64_t id)
{
        snprintf(out, LEDGER_ID_TEXT, "tg-%016" PRIx64 "%016" PRIx64, chance, (uint64_t)id);
        return out;
}

int64_t ledger_id_of(const char *text)
{
        if (!text || strlen(text) != LEDGER_ID_TEXT - 1 || strncmp(text, "tg-", LEDGER_ID_MARK) != 0 ||
            strspn(text + LEDGER_ID_MARK, "0123456789abcdef") != 2 * DIGITS)
                return 0;
        uint64_t id = strtoull(text + LEDGER_ID_MARK + DIGITS, NULL, 16);
        return id <= INT64_MAX ? (int64_t)id : 0;
}
