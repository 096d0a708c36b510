/* Keeps two megabytes of small objects and replaces some of them now and then; with the argument `fill` it takes all memory there is instead. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OBJECTS = 4000, OBJECT_BYTES = 500, REPLACED = 40, PIECE = 64 << 10 };

static char *volatile objects[OBJECTS];

__attribute__((noinline)) static void replace(unsigned long number)
{
    char *object = malloc(OBJECT_BYTES);
    memset(object, 1, OBJECT_BYTES);
    free(objects[number % OBJECTS]);
    objects[number % OBJECTS] = object;
}

__attribute__((noinline)) static void fill(void)
{
    for (;;)
        memset(malloc(PIECE), 1, PIECE);
}

int main(int count, char **arguments)
{
    const struct timespec pause = {.tv_nsec = 200000000};
    if (count > 1 && strcmp(arguments[1], "fill") == 0)
        fill();
    for (unsigned long number = 0; number < OBJECTS; number++)
        replace(number);
    for (unsigned long number = 0;; number++) {
        replace(number);
        if (number % REPLACED == 0)
            nanosleep(&pause, 0);
    }
}
