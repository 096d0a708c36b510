/* Says an address in its code, for others to name: with the argument "code" in code that it makes itself, as JIT compilers do. */
#include "turn.h"
#include <string.h>
#include <sys/mman.h>

__attribute__((noinline)) static void *caller(void)
{
    return __builtin_return_address(0);
}

__attribute__((noinline)) static void *named_by_others(void)
{
    void *place = caller(); /* here */
    __asm__ volatile("" ::: "memory");
    return place;
}

int main(int count, char **arguments)
{
    char word[32];
    if (count > 1 && !strcmp(arguments[1], "code")) {
        char *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(code, 0x90, 4096);
        snprintf(word, sizeof word, "%p", code + 16);
    } else {
        snprintf(word, sizeof word, "%p", named_by_others());
    }
    say_and_wait(word);
}
