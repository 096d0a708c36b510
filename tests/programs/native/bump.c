/* Has an allocator of its own, which takes memory from the end of the heap and never gives any back. What most requests get is given up
 * together at their end; sessions are kept: about 2 MB a second. */
#define _GNU_SOURCE
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SESSION_BYTES = 3000, STEP = 1 << 16, REQUEST_BYTES = 1 << 20 };

static char request_memory[REQUEST_BYTES];
static size_t request_used;
static char *next, *end;

__attribute__((noinline)) static char *take_forever(size_t bytes)
{
    if (next + bytes > end) {
        next = sbrk(STEP);
        end = next + STEP;
    }
    char *taken = next;
    next += bytes;
    return taken;
}

__attribute__((noinline)) static char *take(size_t bytes)
{
    char *taken = request_memory + request_used;
    request_used += bytes;
    return taken;
}

__attribute__((noinline)) void remember(const char *name)
{
    char *session = take_forever(SESSION_BYTES);
    for (int at = 0; at < SESSION_BYTES; at++)
        ((char volatile *)session)[at] = name[at % 7];
}

__attribute__((noinline)) void serve(void)
{
    for (int request = 0; request < 100; request++)
        memset(take(4000), 1, 4000);
    request_used = 0;
}

int main(void)
{
    const struct timespec pause = {.tv_nsec = 1500000};
    for (;;) {
        serve();
        remember("session");
        nanosleep(&pause, 0);
    }
}
