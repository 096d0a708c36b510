/* An extension of an interpreter that forgets what it was given: about 2 MB a second when it is called as often as extension.py does. */
#include "truth.h"
#include <stdlib.h>
#include <string.h>

enum { EVENT_BYTES = 3000 };

static char *volatile last;

__attribute__((noinline)) static void keep_event(const char *text)
{
    char *event = malloc(EVENT_BYTES); // truth: leak
    memset(event, 1, EVENT_BYTES);
    strncpy(event, text, EVENT_BYTES - 1);
    last = event;
}

void record(const char *text)
{
    static unsigned long calls;
    if (calls++ % 64 == 0)
        say_leaked((calls - 1) * EVENT_BYTES);
    keep_event(text);
}
