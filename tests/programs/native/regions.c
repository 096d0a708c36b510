/* Maps memory in several ways and says what of it is left: the truth that captures are compared with. Waits for SIGUSR1 before it begins,
 * and for the second one before it ends. */
#define _GNU_SOURCE
#include "turn.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

/* Written after each last call, so that it does not become a jump and take the function off the stack. */
static char *volatile last;

static void *map(size_t bytes)
{
    return mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Keeps what it maps. */
__attribute__((noinline)) static void from_keep(void)
{
    char *region = map(MIB);
    memset(region, 1, MIB);
    last = region;
}

/* Gives everything back. */
__attribute__((noinline)) static void from_replace(void)
{
    char *region = map(MIB);
    memset(region, 2, MIB);
    munmap(region, MIB);
    last = region;
}

/* Moves to where there is room for more. */
__attribute__((noinline)) static void from_move(void)
{
    char *region = map(MIB / 4);
    memset(region, 3, MIB / 4);
    region = mremap(region, MIB / 4, MIB, MREMAP_MAYMOVE);
    memset(region, 3, MIB);
    last = region;
}

/* Gives the ends back, as allocators do that want an alignment, and of what is left the pages of one half. */
__attribute__((noinline)) static void from_trim(void)
{
    char *region = map(4 * MIB);
    memset(region, 4, 4 * MIB);
    munmap(region, MIB);
    munmap(region + 3 * MIB, MIB);
    madvise(region + MIB, MIB, MADV_DONTNEED);
    last = region;
}

/* Touches nothing. */
__attribute__((noinline)) static void from_reserve(void)
{
    last = map(64 * MIB);
}

/* The heap, by hand; a quarter of it is given back. */
__attribute__((noinline)) static void from_heap(void)
{
    char *heap = sbrk(32 * MIB);
    memset(heap, 5, 32 * MIB);
    sbrk(-8 * MIB);
    last = heap;
}

int main(void)
{
    say_and_wait("ready");
    for (int round = 0; round < 64; round++) {
        from_keep();
        for (int more = 0; more < 10; more++)
            from_replace();
    }
    for (int round = 0; round < 16; round++) {
        from_move();
        from_trim();
        from_reserve();
    }
    from_heap();
    /* Mappings made, bytes made resident, mappings left, bytes of them resident. */
    printf("from_keep 64 %d 64 %d\n", 64 * MIB, 64 * MIB);
    printf("from_replace 640 %d 0 0\n", 640 * MIB);
    printf("from_move 16 %d 16 %d\n", 16 * MIB, 16 * MIB);
    printf("from_trim 16 %d 16 %d\n", 64 * MIB, 16 * MIB);
    printf("from_reserve 16 0 16 0\n");
    printf("from_heap 0 %d 0 %d\n", 32 * MIB, 24 * MIB);
    say_and_wait("done");
    return 0;
}
