/* The calling thread's stack below the caller: nothing lives there, but what was touched stays resident. */
#ifndef TOLLGATE_BASE_STACK_H
#define TOLLGATE_BASE_STACK_H

/* Gives those pages back, as far as 64 KiB down; the caller's thread must have that much. Before a long wait.
 */
void stack_release(void);

#endif
