/* Allocates and releases 200,000 times a second, and forgets to release 2 MB of it: looking at each call would slow it down. */
#include "truth.h"
#include <stdlib.h>
#include <string.h>

enum { SESSION_BYTES = 2000 };

static char *volatile last;

__attribute__((noinline)) static void remember(void)
{
    last = memset(malloc(SESSION_BYTES), 1, SESSION_BYTES); // truth: leak
}

int main(void)
{
    const struct timespec pause = {.tv_nsec = 900000};
    for (unsigned long round = 0;; round++) {
        if (round % 1000 == 0)
            say_leaked(round * SESSION_BYTES);
        for (int request = 0; request < 200; request++) {
            last = malloc(100 + request);
            free(last);
        }
        remember();
        nanosleep(&pause, 0);
    }
}
