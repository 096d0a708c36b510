/* A master with as many equal workers as its argument says. Each keeps a row of every request: about 1 MB a second shared by all. The
 * master starts a worker again when one ends. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROW_BYTES = 3000 };

static char *volatile last;

__attribute__((noinline)) static void keep_row(void)
{
    char *row = malloc(ROW_BYTES); // truth: leak
    memset(row, 1, ROW_BYTES);
    last = row;
}

__attribute__((noinline)) static void serve(long pause_ns)
{
    const struct timespec pause = {.tv_nsec = pause_ns};
    for (;;) {
        char *buffer = malloc(5000);
        memset(buffer, 2, 5000);
        last = buffer;
        free(buffer);
        keep_row();
        nanosleep(&pause, 0);
    }
}

static void start(long workers)
{
    if (fork() == 0)
        serve(3000000 * workers);
}

int main(int count, char **arguments)
{
    long workers = count > 1 ? atol(arguments[1]) : 1;
    for (long worker = 0; worker < workers; worker++)
        start(workers);
    while (wait(0) > 0)
        start(workers);
}
