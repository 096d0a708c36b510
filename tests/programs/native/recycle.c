/* Does not leak: maps regions, fills them and unmaps them, all the time, in numbers that go up and down, and gives the pages of one that
 * it keeps back to the system again and again. */
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { REGION_BYTES = 1 << 18, REGIONS = 64, POOL_BYTES = 1 << 22 };

static char *regions[REGIONS];

static char *map(size_t bytes)
{
    return mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

__attribute__((noinline)) static void replace(unsigned long slot)
{
    if (regions[slot])
        munmap(regions[slot], REGION_BYTES);
    regions[slot] = map(REGION_BYTES);
    memset(regions[slot], 1, REGION_BYTES);
}

int main(void)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    char *pool = map(POOL_BYTES);
    for (unsigned long round = 0;; round++) {
        replace(round * 7 % REGIONS);
        memset(pool, 2, POOL_BYTES);
        if (round % 4 == 0)
            madvise(pool, POOL_BYTES, MADV_DONTNEED);
        nanosleep(&pause, 0);
    }
}
