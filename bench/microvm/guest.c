// PID 1 of the guest: says that it is there, loads the drivers, and does what the kernel's command line says by "bench=".
//   hold      waits, so that memory can be looked at
//   ticks     a line every ms: who is restored from a snapshot goes on with the next one
//   devices   reads and writes the disk, which has nothing that is needed, and a file of the shared directory
// A line for each result: RESULT name value unit. Times are the guest's clock's.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MIB (1 << 20)
#define SMALL 4096

static double seconds(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static double now(void) { return seconds(CLOCK_MONOTONIC); }

// One write for each line: the console has no buffer of ours.
static void say(const char *format, ...)
{
	char line[200];
	va_list args;
	va_start(args, format);
	int size = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (write(1, line, size) != size)
		_exit(1);
}

static void fail(const char *what)
{
	say("FAILED %s: %s\n", what, strerror(errno));
	for (;;)
		pause();
}

static void load_modules(void)
{
	FILE *order = fopen("/modules/order", "r");
	char name[100], path[120];
	while (order && fscanf(order, "%99s", name) == 1) {
		snprintf(path, sizeof path, "/modules/%s", name);
		int fd = open(path, O_RDONLY);
		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
			fail(name);
		close(fd);
	}
}

static int wait_for(const char *path, int flags)
{
	for (int i = 0; i < 500; i++) {
		int fd = open(path, flags, 0600);
		if (fd >= 0)
			return fd;
		usleep(10000);
	}
	fail(path);
	return -1;
}

typedef ssize_t transfer(int fd, void *buffer, size_t size, off_t at);

static ssize_t do_read(int fd, void *buffer, size_t size, off_t at) { return pread(fd, buffer, size, at); }
static ssize_t do_write(int fd, void *buffer, size_t size, off_t at) { return pwrite(fd, buffer, size, at); }

static void *buffer;

// Large transfers one after another, over `megabytes`.
static void stream(const char *name, int fd, transfer *move, int megabytes)
{
	double start = now();
	for (int i = 0; i < megabytes; i++)
		if (move(fd, buffer, MIB, (off_t)i * MIB) != MIB)
			fail(name);
	say("RESULT %s %.2f MiB/s\n", name, megabytes / (now() - start));
}

// Small ones, each at a place of its own: 7919 is a prime, so that they are spread over `megabytes`.
static void scatter(const char *name, int fd, transfer *move, int megabytes, int count)
{
	int places = megabytes * (MIB / SMALL);
	double start = now();
	for (int i = 0; i < count; i++)
		if (move(fd, buffer, SMALL, (off_t)((long)i * 7919 % places) * SMALL) != SMALL)
			fail(name);
	say("RESULT %s %.1f us\n", name, (now() - start) / count * 1e6);
}

static void disk(int megabytes, int count)
{
	int fd = wait_for("/dev/vda", O_RDWR | O_DIRECT);
	stream("blk.write", fd, do_write, megabytes);
	stream("blk.read", fd, do_read, megabytes);
	scatter("blk.write4k", fd, do_write, megabytes, count);
	scatter("blk.read4k", fd, do_read, megabytes, count);
	close(fd);
}

static void share(int megabytes, int count)
{
	if (mkdir("/share", 0700) || mount("share", "/share", "virtiofs", 0, ""))
		fail("mount virtiofs");
	int fd = open("/share/file", O_RDWR | O_CREAT | O_DIRECT, 0600);
	if (fd < 0)
		fail("/share/file");
	stream("fs.write", fd, do_write, megabytes);
	stream("fs.read", fd, do_read, megabytes);
	scatter("fs.read4k", fd, do_read, megabytes, count);
	close(fd);
	// By the guest's page cache, which asks for what comes next on its own.
	fd = open("/share/file", O_RDONLY);
	stream("fs.cached", fd, do_read, megabytes);
	close(fd);
	char path[40];
	double start = now();
	for (int i = 0; i < count / 4; i++) {
		snprintf(path, sizeof path, "/share/small%d", i);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (fd < 0 || write(fd, "x", 1) != 1 || close(fd))
			fail("small files");
	}
	say("RESULT fs.create %.1f us\n", (now() - start) / (count / 4) * 1e6);
}

static int word(const char *command_line, const char *name, int otherwise)
{
	const char *at = strstr(command_line, name);
	return at ? atoi(at + strlen(name)) : otherwise;
}

int main(void)
{
	say("INIT %.3f\n", seconds(CLOCK_BOOTTIME));
	if (mkdir("/proc", 0700) && errno != EEXIST)
		fail("/proc");
	if (mount("proc", "/proc", "proc", 0, "") || mount("dev", "/dev", "devtmpfs", 0, ""))
		fail("mount");
	char line[2000] = "";
	int fd = open("/proc/cmdline", O_RDONLY);
	if (fd < 0 || read(fd, line, sizeof line - 1) < 0)
		fail("/proc/cmdline");
	if (strstr(line, "bench=devices")) {
		buffer = aligned_alloc(SMALL, MIB);
		memset(buffer, 0x5a, MIB);
		load_modules();
		say("DRIVERS %.3f\n", seconds(CLOCK_BOOTTIME));
		disk(word(line, "megabytes=", 64), word(line, "count=", 400));
		share(word(line, "megabytes=", 64), word(line, "count=", 400));
		say("DONE\n");
	}
	for (long i = 0; strstr(line, "bench=ticks"); i++) {
		say("TICK %ld\n", i);
		usleep(1000);
	}
	for (;;)
		pause();
}
