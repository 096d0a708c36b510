/* Allocates by every kind of function that the C library has, and says how much of it is whose, as `pairs` does.
 *
 * Argument: rounds. It waits for SIGUSR1 before it begins; for the second one before it ends. */
#define _GNU_SOURCE
#include "turn.h"
#include <malloc.h>
#include <stdlib.h>

enum { MALLOC, CALLOC, REALLOC, REALLOC_NULL, REALLOCARRAY, ALIGNED_ALLOC, POSIX_MEMALIGN, MEMALIGN, VALLOC, KINDS };

static const char *const names[KINDS] = {"malloc", "calloc", "realloc", "realloc_null", "reallocarray",
                                         "aligned_alloc", "posix_memalign", "memalign", "valloc"};
static unsigned long allocs[KINDS], alloc_bytes[KINDS], kept[KINDS], kept_bytes[KINDS];
static volatile char *seen;

/* A function of its own, which does something after the call so that this does not become a jump. */
#define FROM(name, ...)                                                             \
    __attribute__((noinline)) static char *from_##name(char *old, size_t size)      \
    {                                                                               \
        char *object = 0;                                                           \
        (void)old;                                                                  \
        __VA_ARGS__;                                                                \
        seen = object;                                                              \
        *seen = 1;                                                                  \
        return object;                                                              \
    }
FROM(malloc, object = malloc(size))
FROM(calloc, object = calloc(3, size / 3))
FROM(realloc, object = realloc(old, size))
FROM(realloc_null, object = realloc(0, size))
FROM(reallocarray, object = reallocarray(old, 3, size / 3))
FROM(aligned_alloc, object = aligned_alloc(64, size))
FROM(posix_memalign, void *result; if (posix_memalign(&result, 64, size) == 0) object = result)
FROM(memalign, object = memalign(64, size))
FROM(valloc, object = valloc(size))

static char *(*const functions[KINDS])(char *, size_t) = {
    from_malloc,        from_calloc,         from_realloc,  from_realloc_null, from_reallocarray,
    from_aligned_alloc, from_posix_memalign, from_memalign, from_valloc};

static void gone(int kind, size_t size)
{
    kept[kind]--;
    kept_bytes[kind] -= size;
}

int main(int count, char **arguments)
{
    unsigned long rounds = count > 1 ? strtoul(arguments[1], 0, 10) : 1000;
    say_and_wait("ready");
    for (unsigned long round = 0; round < rounds; round++)
        for (int kind = 0; kind < KINDS; kind++) {
            char *object = 0;
            size_t size = 0;
            /* What changes its size was allocated before. Volatile, so that all calls come from one place. */
            for (volatile int step = kind == REALLOC || kind == REALLOCARRAY ? 0 : 1; step < 2; step++) {
                int now = step == 0 ? MALLOC : kind;
                if (object)
                    gone(MALLOC, size);
                /* A size of its own for each kind, in whole threes. */
                size = 48 * (size_t)(now + 1);
                object = functions[now](object, size);
                allocs[now]++;
                alloc_bytes[now] += size;
                kept[now]++;
                kept_bytes[now] += size;
            }
            if (round % 3 != 0) {
                free(object);
                gone(kind, size);
            }
        }
    for (int kind = 0; kind < KINDS; kind++)
        printf("from_%s %lu %lu %lu %lu\n", names[kind], allocs[kind], alloc_bytes[kind], kept[kind], kept_bytes[kind]);
    say_and_wait("done");
    return 0;
}
