/* What the parts of the probe share. A probe prints lines of fields with tabs between; bytes that would break a line are written as \xHH. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How a child ended, or that it had to be ended. */
enum ended { RETURNED, SIGNALLED, STUCK };

/*
 * Runs `body` in a child in a session of its own, for at most `patience_ms`. *status: as wait(2) tells. What the child has left of children is
 * reaped where this process is told of them.
 */
enum ended in_child(void (*body)(void *), void *argument, int patience_ms, int *status);

void print_escaped(const char *text);
long long now_ns(void);

void surface(int count, char **numbers);
void leaks(void);
void escapes(int count, char **arguments);
void attack(const char *name, int milliseconds);
void hunt(int milliseconds);
void job(int milliseconds);
