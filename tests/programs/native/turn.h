/* A program whose steps wait for whoever measures it: it says a word and goes on at SIGUSR1. */
#include <signal.h>
#include <stdio.h>

static inline void say_and_wait(const char *word)
{
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    /* Before the word: the signal may follow it at once. */
    sigprocmask(SIG_BLOCK, &set, 0);
    puts(word);
    fflush(stdout);
    sigwait(&set, &number);
}
