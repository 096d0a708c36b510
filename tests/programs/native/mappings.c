/* Maps a MiB for every session and forgets to unmap it: about 2 MB a second, beside ten times as much that is unmapped. */
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { SESSION_BYTES = 1 << 20 };

static char *volatile last;

__attribute__((noinline)) static void open_session(const char *name)
{
    char *session = mmap(0, SESSION_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); // truth: leak
    memset(session, 1, SESSION_BYTES);
    strcpy(session, name);
    last = session;
}

__attribute__((noinline)) static void serve(void)
{
    char *buffer = mmap(0, SESSION_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(buffer, 2, SESSION_BYTES);
    last = buffer;
    munmap(buffer, SESSION_BYTES);
}

int main(void)
{
    const struct timespec pause = {.tv_nsec = 50000000};
    for (unsigned long round = 0;; round++) {
        serve();
        if (round % 10 == 0)
            open_session("session");
        nanosleep(&pause, 0);
    }
}
