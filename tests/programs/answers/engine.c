/* Stands for somebody else's library; it is compiled below a path of dependencies. */
#include <stdlib.h>
#include <string.h>

__attribute__((noinline)) static char *engine_alloc(unsigned long bytes)
{
    return memset(malloc(bytes), 1, bytes);
}

__attribute__((noinline)) void *engine_prepare(const char *statement)
{
    char *prepared = engine_alloc(3000);
    strcpy(prepared, statement);
    return prepared;
}
