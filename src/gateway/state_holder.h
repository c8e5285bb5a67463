/*
 * The shared state of the configuration in force. It is opened when a request first needs it, and another one
 * when the setting `state` changes or its file was replaced; what was opened stays open until the process
 * ends, as requests may be using it. Safe from all threads.
 */
#ifndef TOLLGATE_GATEWAY_STATE_HOLDER_H
#define TOLLGATE_GATEWAY_STATE_HOLDER_H

#include "config/config.h"
#include "store/state.h"

struct state_holder;

struct state_holder *state_holder_new(void);
void state_holder_free(struct state_holder *h);
/*
 * NULL: the file can't be used (the log says why, now and then), and there are limits that would not hold:
 * no model may be asked. Without any limits, a state of this process alone stands in.
 */
struct state *state_holder_get(struct state_holder *h, const struct config *c);

#endif
