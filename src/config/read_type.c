/* What libconfig made of a value: its type in words, and numbers however they are written. */
#include "config/load.h"

#include <math.h>

const char *read_type(const config_setting_t *at)
{
        static const char *const names[] = {
                [CONFIG_TYPE_GROUP] = "a group { }",    [CONFIG_TYPE_INT] = "a whole number",
                [CONFIG_TYPE_INT64] = "a whole number", [CONFIG_TYPE_FLOAT] = "a number with a fraction",
                [CONFIG_TYPE_STRING] = "a string",      [CONFIG_TYPE_BOOL] = "a boolean",
                [CONFIG_TYPE_ARRAY] = "an array [ ]",   [CONFIG_TYPE_LIST] = "a list ( )",
        };
        int type = config_setting_type(at);
        return type > 0 && type <= CONFIG_TYPE_LIST ? names[type] : "nothing";
}

bool read_whole(const config_setting_t *at, int64_t *out)
{
        int type = config_setting_type(at);
        if (type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64) {
                *out = config_setting_get_int64(at);
                return true;
        }
        double number = type == CONFIG_TYPE_FLOAT ? config_setting_get_float(at) : NAN;
        if (!(fabs(number) <= 9e15) || number != floor(number))
                return false;
        *out = (int64_t)number;
        return true;
}

bool read_number(const config_setting_t *at, double *out)
{
        int type = config_setting_type(at);
        if (type == CONFIG_TYPE_FLOAT)
                *out = config_setting_get_float(at);
        else if (type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64)
                *out = (double)config_setting_get_int64(at);
        else
                return false;
        return isfinite(*out);
}
