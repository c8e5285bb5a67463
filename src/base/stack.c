#include "base/stack.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NEAR = 1024, SPAN = 64 << 10 };

/* Below the lowest address of this stack lies a guard page, and then another thread's. */
static uintptr_t lowest_address(void)
{
        pthread_attr_t attributes;
        void *low = NULL;
        size_t size, guard = 0;
        if (pthread_getattr_np(pthread_self(), &attributes) != 0)
                return UINTPTR_MAX;
        if (pthread_attr_getstack(&attributes, &low, &size) != 0 ||
            pthread_attr_getguardsize(&attributes, &guard) != 0)
                low = NULL;
        pthread_attr_destroy(&attributes);
        return low ? (uintptr_t)low + guard : UINTPTR_MAX;
}

void stack_release(void)
{
        /* NEAR: this frame and what the ABI lets it use below (the red zone). */
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), here = (uintptr_t)__builtin_frame_address(0);
        uintptr_t end = (here - NEAR) / page * page, low = lowest_address();
        if (low >= end)
                return;
        uintptr_t start = end - low > SPAN ? end - SPAN : (low + page - 1) / page * page;
        if (start < end)
                madvise((void *)start, end - start, MADV_DONTNEED);
}
