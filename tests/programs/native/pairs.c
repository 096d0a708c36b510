/* Allocates from 200 stacks and says how much of it is whose: the truth that captures are compared with.
 *
 * It also says how much processor time a pair took. Arguments: allocations, and how many of them to keep of every hundred. It waits for SIGUSR1 before it begins; for the second one
 * before it ends. */
#include "turn.h"
#include <stdlib.h>
#include <time.h>

enum { STACKS = 200 };

static volatile char *seen;
static unsigned long allocs[STACKS], alloc_bytes[STACKS], kept[STACKS], kept_bytes[STACKS];

/* Functions of their own, in 20 sizes; the loop keeps the call from becoming a jump. */
#define FROM(n)                                                 \
    __attribute__((noinline)) static char *from_##n(size_t size) \
    {                                                           \
        char *object = malloc(size);                            \
        seen = object;                                          \
        *seen = n & 1;                                          \
        return object;                                          \
    }
#define TEN(f, n) f(n##0) f(n##1) f(n##2) f(n##3) f(n##4) f(n##5) f(n##6) f(n##7) f(n##8) f(n##9)
#define ALL(f)                                                                           \
    TEN(f, 1) TEN(f, 2) TEN(f, 3) TEN(f, 4) TEN(f, 5) TEN(f, 6) TEN(f, 7) TEN(f, 8)      \
    TEN(f, 9) TEN(f, 10) TEN(f, 11) TEN(f, 12) TEN(f, 13) TEN(f, 14) TEN(f, 15) TEN(f, 16) \
    TEN(f, 17) TEN(f, 18) TEN(f, 19) TEN(f, 20)
ALL(FROM)

#define NAME(n) from_##n,
static char *(*const functions[STACKS])(size_t) = {ALL(NAME)};

int main(int count, char **arguments)
{
    unsigned long calls = count > 1 ? strtoul(arguments[1], 0, 10) : 1000;
    unsigned long keep = count > 2 ? strtoul(arguments[2], 0, 10) : 1;
    say_and_wait("ready");
    struct timespec from, to;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (unsigned long call = 0; call < calls; call++) {
        unsigned long stack = call % STACKS;
        size_t size = 16 + 48 * (stack % 20);
        char *object = functions[stack](size);
        allocs[stack]++;
        alloc_bytes[stack] += size;
        if ((call / STACKS) % 100 < keep) {
            kept[stack]++;
            kept_bytes[stack] += size;
        } else {
            free(object);
        }
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    double nanoseconds = (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec);
    printf("nanoseconds_per_pair %.1f\n", nanoseconds / calls);
    for (int stack = 0; stack < STACKS; stack++)
        printf("from_%d %lu %lu %lu %lu\n", stack + 10, allocs[stack], alloc_bytes[stack], kept[stack], kept_bytes[stack]);
    say_and_wait("done");
    return 0;
}
