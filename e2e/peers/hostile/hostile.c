/* A hostile process in the pod, with whatever rights its container has. Prints one JSON object.
 *
 *	hostile sleep                       does nothing, for an hour
 *	hostile trace NAME                  tries to get into every process whose program is NAME
 *	hostile take PORT                   tries to listen on a port beside whoever does already
 *	hostile impostor PORT SECONDS TEXT  waits until PORT of 127.0.0.1 is free, and then plays
 *the agent there: TEXT is the challenge that it gives */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "e2e/peers/util.h"

/* --- trace --- */

static bool by_ptrace(pid_t pid)
{
	if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0)
		return false;
	waitpid(pid, NULL, __WALL);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return true;
}

static bool by_seizing(pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		return false;
	ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	waitpid(pid, NULL, __WALL);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return true;
}

static bool can_open(pid_t pid, const char *what, int flags)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	int fd = open(path, flags | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool by_mem(pid_t pid)
{
	return can_open(pid, "mem", O_RDWR);
}

static bool by_maps(pid_t pid)
{
	return can_open(pid, "maps", O_RDONLY);
}

static bool by_environ(pid_t pid)
{
	return can_open(pid, "environ", O_RDONLY);
}

static bool by_exe(pid_t pid)
{
	return can_open(pid, "exe", O_RDONLY);
}

static bool by_root(pid_t pid)
{
	return can_open(pid, "root/", O_RDONLY | O_DIRECTORY);
}

static bool by_fd(pid_t pid)
{
	return can_open(pid, "fd/0", O_RDONLY);
}

/* Any address will do: EFAULT says that only the address was wrong. */
static bool by_vm_readv(pid_t pid)
{
	char byte;
	struct iovec to = { &byte, 1 }, from = { &byte, 1 };
	return process_vm_readv(pid, &to, 1, &from, 1, 0) >= 0 || errno == EFAULT;
}

static bool by_vm_writev(pid_t pid)
{
	char byte = 0;
	struct iovec from = { &byte, 1 }, to = { NULL, 1 };
	return process_vm_writev(pid, &from, 1, &to, 1, 0) >= 0 || errno == EFAULT;
}

static bool by_pidfd(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, 1, 0);
	if (pidfd >= 0)
		close(pidfd);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static const struct way {
	const char *name;
	bool (*works)(pid_t pid);
} ways[] = {
	{ "ptrace", by_ptrace },     { "seize", by_seizing },
	{ "mem", by_mem },           { "maps", by_maps },
	{ "environ", by_environ },   { "exe", by_exe },
	{ "root", by_root },         { "fd", by_fd },
	{ "vm_readv", by_vm_readv }, { "vm_writev", by_vm_writev },
	{ "pidfd_getfd", by_pidfd },
};

/* Whether the program of process `pid` is `name`, by its command line. */
static bool is_program(pid_t pid, const char *name)
{
	char path[64], text[256] = "";
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 && strcmp(text, name) == 0;
}

static int trace(const char *name)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	unsigned seen = 0;
	bool any = false;
	uint64_t pid;
	if (!proc)
		return 1;
	printf("{\"uid\":%d,\"worked\":[", (int)getuid());
	while ((entry = readdir(proc))) {
		if (!parse_u64(entry->d_name, INT32_MAX, &pid) || (pid_t)pid == getpid() ||
		    !is_program((pid_t)pid, name))
			continue;
		seen++;
		for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
			if (!ways[i].works((pid_t)pid))
				continue;
			printf("%s\"%s\"", any ? "," : "", ways[i].name);
			any = true;
		}
	}
	closedir(proc);
	printf("],\"seen\":%u}\n", seen);
	return 0;
}

/* --- take --- */

/* A socket that listens on `address` (host order) and `port`; -errno. */
static int listen_at(uint32_t address, uint16_t port, int option)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(address) };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (option)
		setsockopt(fd, SOL_SOCKET, option, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 16) == 0)
		return fd;
	int code = -errno;
	close(fd);
	return code;
}

static int take(uint16_t port)
{
	static const uint32_t addresses[] = { INADDR_LOOPBACK, INADDR_ANY };
	static const int options[] = { 0, SO_REUSEADDR, SO_REUSEPORT };
	unsigned worked = 0, tried = 0;
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < 3; j++) {
			int fd = listen_at(addresses[i], port, options[j]);
			tried++;
			worked += fd >= 0;
			if (fd >= 0)
				close(fd);
		}
	}
	printf("{\"tried\":%u,\"worked\":%u}\n", tried, worked);
	return 0;
}

/* --- impostor --- */

/* Answers what one connection asks, and shows all that it was told. */
static void play_agent(int fd, const char *challenge)
{
	char text[4096], answer[2048];
	ssize_t n;
	while ((n = recv(fd, text, sizeof(text) - 1, 0)) > 0) {
		text[n] = '\0';
		for (char *c = text; *c; c++)
			if (!isprint((unsigned char)*c) || *c == '"' || *c == '\\')
				*c = ' ';
		printf("{\"told\":\"%s\"}\n", text);
		fflush(stdout);
		if (strncmp(text, "GET /v1/challenge ", 18) == 0)
			snprintf(answer, sizeof(answer),
				 "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
				 strlen(challenge), challenge);
		else
			snprintf(answer, sizeof(answer),
				 "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
				 "Upgrade: podgraft/1\r\nPodgraft-Proof: %0*d==\r\n\r\n",
				 86, 0);
		if (send_all(fd, answer, strlen(answer)) < 0)
			break;
	}
	close(fd);
}

static int impostor(uint16_t port, uint64_t seconds, const char *challenge)
{
	int64_t end = now_us() + (int64_t)seconds * 1000000;
	int listener;
	printf("{\"waiting\":%u}\n", port);
	fflush(stdout);
	while ((listener = listen_at(INADDR_LOOPBACK, port, SO_REUSEADDR)) < 0) {
		if (now_us() > end)
			return 1;
		usleep(200);
	}
	printf("{\"listening\":%u}\n", port);
	fflush(stdout);
	for (int64_t left; (left = end - now_us()) > 0;) {
		struct pollfd p = { .fd = listener, .events = POLLIN };
		if (poll(&p, 1, (int)(left / 1000) + 1) <= 0)
			continue;
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0 && fork() == 0) {
			play_agent(fd, challenge);
			_exit(0);
		}
		close(fd);
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t port, seconds;
	const char *verb = argc > 1 ? argv[1] : "";
	if (strcmp(verb, "sleep") == 0)
		return (int)sleep(3600);
	if (strcmp(verb, "trace") == 0 && argc == 3)
		return trace(argv[2]);
	if (strcmp(verb, "take") == 0 && argc == 3 && parse_u64(argv[2], UINT16_MAX, &port))
		return take((uint16_t)port);
	if (strcmp(verb, "impostor") == 0 && argc == 5 && parse_u64(argv[2], UINT16_MAX, &port) &&
	    parse_u64(argv[3], 60, &seconds))
		return impostor((uint16_t)port, seconds, argv[4]);
	fprintf(stderr, "usage: hostile sleep|trace NAME|take PORT|impostor PORT SECONDS TEXT\n");
	return 2;
}
