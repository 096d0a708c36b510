/* Keeps as many bytes as it is told, in objects of random sizes from 16 bytes to 64 KiB, and frees about as many others, for one seed after
 * the other; says after each what it has kept. The argument is the number of bytes. A seed begins with SIGUSR1, and with nothing in use. */
#include "turn.h"
#include <stdint.h>
#include <stdlib.h>

enum { STACKS = 20 };

static char *volatile seen;
static uint64_t state;

/* xorshift64* */
static uint64_t draw(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1dULL;
}

/* As many objects have 16 to 32 bytes as have 32 to 64, and so on. */
static size_t draw_size(void)
{
    size_t least = (size_t)16 << draw() % 12;
    return least + draw() % least;
}

#define FROM(n)                                                 \
    __attribute__((noinline)) static void *from_##n(size_t size) \
    {                                                           \
        void *object = malloc(size);                            \
        seen = object;                                          \
        return object;                                          \
    }
#define TEN(f, n) f(n##0) f(n##1) f(n##2) f(n##3) f(n##4) f(n##5) f(n##6) f(n##7) f(n##8) f(n##9)
TEN(FROM, 1) TEN(FROM, 2)
#define NAME(n) from_##n,
static void *(*const functions[STACKS])(size_t) = {TEN(NAME, 1) TEN(NAME, 2)};

int main(int count, char **arguments)
{
    size_t wanted = count > 1 ? strtoul(arguments[1], 0, 10) : 1 << 20;
    char word[64] = "ready";
    void *newest = 0;
    for (uint64_t seed = 1;; seed++) {
        say_and_wait(word);
        /* Kept objects are linked through their first word. */
        while (newest) {
            void *before = *(void **)newest;
            free(newest);
            newest = before;
        }
        state = seed * 0x9e3779b97f4a7c15ULL;
        size_t kept = 0;
        while (kept < wanted) {
            size_t size = draw_size();
            void *object = functions[draw() % STACKS](size);
            if (draw() % 2) {
                free(object);
                continue;
            }
            *(void **)object = newest;
            newest = object;
            kept += size;
        }
        snprintf(word, sizeof word, "seed %lu %zu", (unsigned long)seed, kept);
    }
}
