#include "base/stack.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NEAR = 1024, SPAN = 64 << 10 };

void stack_release(void)
{
        /* NEAR: this frame and what the ABI lets it use below (the red zone). Where less is mapped, as on a
         * main thread's stack that did not grow so far, madvise() gives what there is and says ENOMEM. */
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), here = (uintptr_t)__builtin_frame_address(0);
        uintptr_t end = (here - NEAR) / page * page;
        madvise((void *)(end - SPAN), SPAN, MADV_DONTNEED);
}
