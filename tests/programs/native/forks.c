/* Allocates and releases all the time on two threads, forks a child that does so as well every 20 ms, and becomes another program at
 * SIGUSR1. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t told;
static char *volatile last;

static void tell(int number)
{
    told = number;
}

static void work(int rounds)
{
    for (int round = 0; round < rounds; round++) {
        char *object = malloc(100 + round % 900);
        last = object;
        object = realloc(object, 2000);
        last = object;
        free(object);
    }
}

static void *other(void *unused)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    for (;;) {
        work(100);
        nanosleep(&pause, 0);
    }
    return unused;
}

int main(void)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    pthread_t thread;
    signal(SIGUSR1, tell);
    pthread_create(&thread, 0, other, 0);
    while (!told) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            work(100);
            _exit(7);
        }
        work(100);
        waitpid(child, &status, 0);
        puts(WIFEXITED(status) && WEXITSTATUS(status) == 7 ? "child" : "bad child");
        fflush(stdout);
        nanosleep(&pause, 0);
    }
    execl("/bin/true", "true", (char *)0);
    return 1;
}
