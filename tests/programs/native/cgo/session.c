#include "session.h"
#include "../truth.h"
#include <stdlib.h>
#include <string.h>

enum { SESSION_BYTES = 3000 };

static char *volatile last;
static unsigned long sessions;

void remember(const char *name)
{
    char *session = malloc(SESSION_BYTES); // truth: leak
    memset(session, 1, SESSION_BYTES);
    strncpy(session, name, SESSION_BYTES - 1);
    last = session;
}

void session_start(void)
{
    if (sessions % 64 == 0)
        say_leaked(sessions * SESSION_BYTES);
    sessions++;
}
