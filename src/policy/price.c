#include "policy/price.h"

int64_t price_of(const struct config_price *p, int64_t input_tokens, int64_t output_tokens)
{
        if (!p || p->input_micro < 0 || (output_tokens > 0 && p->output_micro < 0))
                return -1;
        int64_t output_micro = p->output_micro > 0 ? p->output_micro : 0;
        __int128 sum = (__int128)input_tokens * p->input_micro + (__int128)output_tokens * output_micro;
        return sum <= INT64_MAX ? (int64_t)sum : -1;
}
