/* Prepares a statement of a library for every request and never finalises it: about 2 MB a second, allocated by the library. */
#include <time.h>

void *engine_prepare(const char *statement);

static void *volatile last;

__attribute__((noinline)) static void lookup(const char *key)
{
    last = engine_prepare(key); // truth: leak
    last = 0;
}

int main(void)
{
    const struct timespec pause = {.tv_nsec = 1500000};
    for (;;) {
        lookup("select");
        nanosleep(&pause, 0);
    }
}
