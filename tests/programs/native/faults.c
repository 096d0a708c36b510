/* Says what a page fault, a mapping with its unmapping, and a system call that maps nothing cost it. Argument: how many of each. Waits for
 * SIGUSR1 before it begins. */
#include "turn.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, REGION = 1024 * PAGE };

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return at.tv_sec * 1e9 + at.tv_nsec;
}

static char *map(size_t bytes)
{
    return mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int main(int count, char **arguments)
{
    long each = count > 1 ? strtol(arguments[1], 0, 10) : 100000;
    say_and_wait("ready");

    char volatile *region = map(REGION);
    double from = now();
    for (long page = 0; page < each; page++) {
        region[page * PAGE % REGION] = 1;
        if ((page + 1) * PAGE % REGION == 0)
            madvise((void *)region, REGION, MADV_DONTNEED);
    }
    printf("page_fault %.1f\n", (now() - from) / each);
    from = now();
    for (long mapping = 0; mapping < each; mapping++)
        munmap(map(PAGE), PAGE);
    printf("mapping_and_unmapping %.1f\n", (now() - from) / each);
    from = now();
    for (long call = 0; call < each; call++)
        syscall(SYS_getppid);
    printf("system_call %.1f\n", (now() - from) / each);
    puts("done");
    return 0;
}
