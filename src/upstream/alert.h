/*
 * Tells that a share of a budget is used up: to a program, and to a URL (setting `alerts`). SECURITY items 9
 * and 21. Who is told when, and again, is decided elsewhere (gateway/chores.c).
 */
#ifndef TOLLGATE_UPSTREAM_ALERT_H
#define TOLLGATE_UPSTREAM_ALERT_H

#include <stdatomic.h>
#include "base/buf.h"
#include "store/ledger.h"

enum { ALERT_WHY = 256, ALERT_SIGNATURE = 72, ALERT_JSON_MAX = 4096 };

/* Both may be wanted; bits. */
enum alert_part { ALERT_COMMAND = 1, ALERT_WEBHOOK = 2 };

struct alert_limits {
        int64_t ms;               /* all that it may take; then it is given up, a program killed */
        const _Atomic bool *stop; /* looked at ten times a second; NULL: nobody stops it */
};

/*
 * {"id":7,"account":"helpdesk","period":"day","date":"2026-11-26","share":"0.8","spent":"16.2","limit":"20",
 * "currency":"EUR","reached":"2026-11-26T10:00:00.000Z","sent":"…"}; amounts are plain decimals, the date of
 * a month is "2026-11". False: it is too long.
 */
bool alert_json(const struct ledger_alert *a, int64_t now_ms, struct buf *out);
/* "sha256=" and the HMAC-SHA256 of the body, in hex. */
void alert_signature(char out[ALERT_SIGNATURE], const char *secret, struct str body);

/*
 * Runs a program without a shell, with the JSON on its standard input and TOLLGATE_ACCOUNT, _PERIOD, _SHARE,
 * _SPENT, _LIMIT and _CURRENCY in an otherwise empty environment; what it prints goes to the log. False: it
 * could not be run, ended with another status than 0, or had to be killed.
 */
bool alert_run(const char *program, const struct ledger_alert *a, struct str json,
               const struct alert_limits *limits, char why[ALERT_WHY]);
/* POSTs the JSON, signed in `x-tollgate-signature` where there is a secret. False: any other status than
 * 2xx. */
bool alert_post(const char *url, const char *secret, struct str json, const struct alert_limits *limits,
                char why[ALERT_WHY]);

#endif
