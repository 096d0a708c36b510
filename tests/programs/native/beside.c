/* Leaks objects of 200 bytes, 1.3 MB a second, beside 160 MB of large buffers that are replaced one after the other, 4 MB a second: who
 * only sees allocations for half a minute sees three times as much of the buffers. */
#include "truth.h"
#include <stdlib.h>
#include <string.h>

enum { BUFFERS = 20, BUFFER_BYTES = 8 << 20, ROUNDS_PER_BUFFER = 1300, OBJECTS = 10, OBJECT_BYTES = 200 };

static char *buffers[BUFFERS];
static char *volatile last;

__attribute__((noinline)) static void refill(unsigned long number)
{
    free(buffers[number % BUFFERS]);
    buffers[number % BUFFERS] = malloc(BUFFER_BYTES);
    memset(buffers[number % BUFFERS], 1, BUFFER_BYTES);
}

__attribute__((noinline)) static void note(void)
{
    char *object = malloc(OBJECT_BYTES); // truth: leak
    memset(object, 2, OBJECT_BYTES);
    last = object;
}

__attribute__((noinline)) static void serve(unsigned long round)
{
    for (int object = 0; object < OBJECTS; object++)
        note();
    if (round % ROUNDS_PER_BUFFER == 0)
        refill(round / ROUNDS_PER_BUFFER);
}

int main(void)
{
    const struct timespec pause = {.tv_nsec = 1450000};
    for (unsigned long number = 0; number < BUFFERS; number++)
        refill(number);
    for (unsigned long round = 0;; round++) {
        if (round % 64 == 0)
            say_leaked(round * OBJECTS * OBJECT_BYTES);
        serve(round);
        nanosleep(&pause, 0);
    }
}
