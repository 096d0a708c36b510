/* Does not leak: hands out objects of a pool that grows to 48 MB within 40 s, while more and more are in use at a time, and takes them
 * back; beside it everything is allocated and freed. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 16000, OBJECT_BYTES = 3000, ROUNDS_TO_FILL = 25000 };

static char *pool[MOST], *used[MOST];
static unsigned long pooled, in_use;
static char *volatile last;

__attribute__((noinline)) static char *acquire(void)
{
    if (pooled)
        return pool[--pooled];
    char *object = malloc(OBJECT_BYTES);
    memset(object, 1, OBJECT_BYTES);
    return object;
}

/* Takes objects until so many are in use, then gives half of them back. */
__attribute__((noinline)) static void work(unsigned long wanted)
{
    while (in_use < wanted)
        used[in_use++] = acquire();
    char *buffer = malloc(20000);
    memset(buffer, 2, 20000);
    last = buffer;
    free(buffer);
    while (in_use > wanted / 2)
        pool[pooled++] = used[--in_use];
}

int main(void)
{
    const struct timespec pause = {.tv_nsec = 1500000};
    for (unsigned long round = 0;; round++) {
        work(round < ROUNDS_TO_FILL ? round * MOST / ROUNDS_TO_FILL : MOST);
        nanosleep(&pause, 0);
    }
}
