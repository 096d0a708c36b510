/* Serves sessions and forgets to free what some of them have asked for: about 2 MB a second, beside ten times as much that is freed
 * and a cache of 4 MB with a bound. */
#include "truth.h"
#include <stdlib.h>
#include <string.h>

enum { CACHED = 64, CACHE_BYTES = 65536, SESSION_BYTES = 3000 };

static char *cache[CACHED];
static char *volatile last;

__attribute__((noinline)) static char *remember(const char *name)
{
    char *session = malloc(SESSION_BYTES); // truth: leak
    memset(session, 1, SESSION_BYTES);
    strcpy(session, name);
    last = session;
    return session;
}

__attribute__((noinline)) static void refresh(unsigned long round)
{
    unsigned long slot = round % CACHED;
    free(cache[slot]);
    cache[slot] = calloc(1, CACHE_BYTES);
    memset(cache[slot], 2, CACHE_BYTES);
}

__attribute__((noinline)) static void serve(unsigned long round)
{
    for (int request = 0; request < 4; request++) {
        char *buffer = malloc(4000);
        memset(buffer, 3, 4000);
        last = buffer;
        buffer = realloc(buffer, 6000);
        last = buffer;
        free(buffer);
    }
    remember("session");
    if (round % 10 == 0)
        refresh(round / 10);
}

int main(void)
{
    const struct timespec pause = {.tv_nsec = 1500000};
    for (unsigned long round = 0;; round++) {
        if (round % 64 == 0)
            say_leaked(round * SESSION_BYTES);
        serve(round);
        nanosleep(&pause, 0);
    }
}
