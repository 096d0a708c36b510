/* Does not leak: takes as many MiB as its argument says within three seconds, and keeps just these while it works. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *volatile last;

__attribute__((noinline)) static void load(long mebibytes)
{
    const struct timespec pause = {.tv_nsec = 3000000000 / (mebibytes ? mebibytes : 1) % 1000000000};
    for (long part = 0; part < mebibytes; part++) {
        char *table = malloc(1 << 20);
        memset(table, 1, 1 << 20);
        last = table;
        nanosleep(&pause, 0);
    }
}

__attribute__((noinline)) static void answer(void)
{
    char *buffer = malloc(20000);
    memset(buffer, 2, 20000);
    last = buffer;
    free(buffer);
}

int main(int count, char **arguments)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    load(count > 1 ? atol(arguments[1]) : 20);
    for (;;) {
        answer();
        nanosleep(&pause, 0);
    }
}
