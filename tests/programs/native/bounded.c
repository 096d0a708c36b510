/* Does not leak: fills a cache of 48 MB within a minute and replaces its entries from then on. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ENTRIES = 16000, ENTRY_BYTES = 3000 };

static char *volatile cache[ENTRIES];

__attribute__((noinline)) static void store(unsigned long key)
{
    char *entry = malloc(ENTRY_BYTES);
    memset(entry, 1, ENTRY_BYTES);
    free(cache[key % ENTRIES]);
    cache[key % ENTRIES] = entry;
}

int main(void)
{
    const struct timespec pause = {.tv_nsec = 1500000};
    for (unsigned long key = 0;; key++) {
        store(key);
        nanosleep(&pause, 0);
    }
}
