void remember(const char *name);
void session_start(void);
