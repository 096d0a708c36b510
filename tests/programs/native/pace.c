/* Keeps its threads busy, and allocates and releases so many times a second on each; as often as it can after SIGUSR1.
 *
 * Arguments: pairs a second, threads. It says `ready`, and `burst` when it begins with that. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static volatile sig_atomic_t told;
static volatile double pairs_per_second;

static void tell(int number)
{
    told = number;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void *work(void *unused)
{
    double from = now(), done = 0;
    for (;;) {
        double due = (now() - from) * pairs_per_second;
        if (told)
            due = done + 1000;
        /* What it could not do in time is not made up for. */
        if (due - done > 10000)
            done = due - 10000;
        for (; done < due; done++) {
            char *volatile object = malloc(16 + (unsigned long)done % 1000);
            free(object);
        }
    }
    return unused;
}

int main(int count, char **arguments)
{
    pairs_per_second = count > 1 ? atof(arguments[1]) : 1000;
    signal(SIGUSR1, tell);
    for (int thread = count > 2 ? atoi(arguments[2]) : 1; thread > 0; thread--) {
        pthread_t id;
        pthread_create(&id, 0, work, 0);
    }
    puts("ready");
    fflush(stdout);
    while (!told) {
        const struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, 0);
    }
    puts("burst");
    fflush(stdout);
    for (;;) {
        const struct timespec pause = {.tv_sec = 1};
        nanosleep(&pause, 0);
    }
}
