/* Has a heap sampler of its own, which tells what it samples by static probes, with the weights of a random distance of 64 KiB: half of it
 * under OpenTelemetry's name, half under the one that was there first. Says itself what it told: allocations and their weights, and those
 * of them that it keeps. Waits for SIGUSR1 before it allocates, and for the second one before it says whether somebody still listens. */
#define _SDT_HAS_SEMAPHORES 1
#include "turn.h"
#include <math.h>
#include <stdlib.h>
#include <sys/sdt.h>

enum { FUNCTIONS = 4, ROUNDS = 40000 };

#define SEMAPHORE(name) __extension__ unsigned short name __attribute__((used, section(".probes")))
SEMAPHORE(otel_memory_alloc_semaphore);
SEMAPHORE(otel_memory_free_semaphore);
SEMAPHORE(ddheap_alloc_semaphore);
SEMAPHORE(ddheap_free_semaphore);

static const double mean = 65536;
static double until_sample;
static unsigned long told[FUNCTIONS], told_weight[FUNCTIONS], kept[FUNCTIONS], kept_weight[FUNCTIONS];

static double distance(void)
{
    return -log((rand() + 1.0) / (RAND_MAX + 1.0)) * mean;
}

/* Weight of a sample; zero for what is none. */
static unsigned long sampled(size_t size)
{
    until_sample -= size;
    if (until_sample > 0)
        return 0;
    until_sample = distance();
    return lround(size / -expm1(-(double)size / mean));
}

/* Each has its own places of the probes, with what the compiler makes of them. */
#define FROM(n, provider)                                                             \
    __attribute__((noinline)) static void from_##n(size_t size, int keep)             \
    {                                                                                 \
        volatile char *object = malloc(size);                                         \
        unsigned long weight = sampled(size);                                         \
        *object = n;                                                                  \
        if (weight && __builtin_expect(provider##_alloc_semaphore, 0)) {              \
            STAP_PROBE3(provider, alloc, object, size, weight);                       \
            told[n]++;                                                                \
            told_weight[n] += weight;                                                 \
            kept[n] += keep;                                                          \
            kept_weight[n] += keep * weight;                                          \
        }                                                                             \
        if (keep)                                                                     \
            return;                                                                   \
        if (weight && __builtin_expect(provider##_free_semaphore, 0))                 \
            STAP_PROBE1(provider, free, object);                                      \
        free((char *)object);                                                         \
    }
FROM(0, otel_memory)
FROM(1, otel_memory)
FROM(2, ddheap)
FROM(3, ddheap)

static void enabled(void)
{
    printf("enabled %d\n", otel_memory_alloc_semaphore + otel_memory_free_semaphore + ddheap_alloc_semaphore + ddheap_free_semaphore);
    fflush(stdout);
}

int main(void)
{
    until_sample = distance();
    enabled();
    say_and_wait("ready");
    enabled();
    for (int round = 0; round < ROUNDS; round++) {
        from_0(64, round % 2);
        from_1(3000, round % 10 == 0);
        from_2(500, round % 3 != 0);
        from_3(200000, round % 400 == 0);
    }
    for (int function = 0; function < FUNCTIONS; function++)
        printf("from_%d %lu %lu %lu %lu\n", function, told[function], told_weight[function], kept[function], kept_weight[function]);
    say_and_wait("done");
    enabled();
    puts("end");
    return 0;
}
