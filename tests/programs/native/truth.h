/* What a program that leaks says of itself, so that estimates can be compared with it: nanoseconds since 1970, bytes leaked so far. */
#include <stdio.h>
#include <time.h>

static inline void say_leaked(unsigned long bytes)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    printf("leaked %ld%09ld %lu\n", (long)now.tv_sec, now.tv_nsec, bytes);
    fflush(stdout);
}
