/* crowd_load.c - how long the first packet of a connection takes to be somebody's, on a port with
 * many users.
 *
 *     crowd_load LINKS TARGET-PORT PID TURNS [FLOOD-PORT]
 *
 * LINKS holds a share link a line, a user each.  One after the other, each from an address of his
 * own (127.1.x.y), they connect, are answered once and go: TURNS times round, after one round that
 * makes the server know them.  With FLOOD-PORT a process beside it opens FLOOD_RATE connections a
 * second to that port, each with 64 random bytes, from addresses all over 127.2.
 *
 * One line of JSON: microseconds from connecting to the answer, cold (the round before) and warm,
 * and the server's CPU for one of them.
 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "crypto/aead.h"
#include "load.h"
#include "load_way.h"

#define USERS_MAX  1024
#define FLOOD_RATE 1000
#define FLOOD_OPEN 500 /* at a time */

static struct load load;
static struct load_way ways[USERS_MAX];
static int nways;
static double *times; /* of all turns */

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec * 1e-3;
}

static void read_links(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[512];

	if (!f)
		load_die(path, -errno);
	while (nways < USERS_MAX && fgets(line, sizeof(line), f)) {
		uint8_t ip[4] = {127, 1, (uint8_t)(nways / 250), (uint8_t)(1 + nways % 250)};
		struct addr source = addr_from_ip4(ip, 0);

		line[strcspn(line, "\n")] = 0;
		load_way_open(&ways[nways++], load.loop, line, &source);
	}
	fclose(f);
}

/* Everybody once.  Microseconds each into `took`. */
static void go_round(double *took)
{
	for (int i = 0; i < nways; i++) {
		double began = now_us();

		load.dialer = ways[i].dialer;
		load_user_new(&load, LOAD_PING);
		load_settle(&load, 0);
		took[i] = now_us() - began;
		/* Whatever ending it costs is none of the next one's. */
		load_run(&load, NSEC_MS);
	}
}

static void flood_one(const struct addr *at, uint32_t n, int *fd)
{
	uint8_t ip[4] = {127, 2, (uint8_t)(n >> 8), (uint8_t)(n | 1)}, junk[64];
	struct addr source = addr_from_ip4(ip, 0);

	if (*fd >= 0)
		close(*fd);
	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0 || bind(*fd, &source.sa, source.len) < 0 || connect(*fd, &at->sa, at->len) < 0)
		return;
	if (getrandom(junk, sizeof(junk), 0) == sizeof(junk))
		(void)!send(*fd, junk, sizeof(junk), MSG_NOSIGNAL);
}

static void flood(uint16_t port)
{
	struct addr at = addr_from_ip4("\x7f\0\0\1", port);
	double began = now_us();
	int fds[FLOOD_OPEN];

	memset(fds, -1, sizeof(fds));
	for (uint32_t n = 0;; n++) {
		double ahead = n * 1e6 / FLOOD_RATE - (now_us() - began);

		if (ahead > 0)
			usleep((useconds_t)ahead);
		flood_one(&at, n, &fds[n % FLOOD_OPEN]);
	}
}

static pid_t start_flood(uint16_t port)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		flood(port);
	}
	return pid;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_times(const char *what, double *t, size_t n)
{
	qsort(t, n, sizeof(*t), by_value);
	printf("\"%s_p50\": %.0f, \"%s_p99\": %.0f, ", what, t[n / 2], what, t[n * 99 / 100]);
}

int main(int argc, char **argv)
{
	pid_t pid, flooder = 0;
	struct addr target;
	double cpu, began;
	int turns;

	if (argc < 5) {
		fprintf(stderr, "usage: see the top of the source\n");
		return 2;
	}
	(void)aead_init("auto");
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	load.loop = loop_new(LOOP_EPOLL, 0);
	if (!load.loop)
		load_die("loop", -ENOMEM);
	load.leave = true;
	pid = (pid_t)atoi(argv[3]);
	turns = MAX(atoi(argv[4]), 1);
	read_links(argv[1]);
	times = calloc((size_t)nways * (size_t)turns, sizeof(*times));
	if (!times || nways == 0)
		load_die(argv[1], -EINVAL);
	target = addr_from_ip4("\x7f\0\0\1", (uint16_t)atoi(argv[2]));
	dest_set_addr(&load.to, &target);
	load_target_open(&load, addr_port(&target));
	go_round(times);
	printf("{\"users\": %d, ", nways);
	print_times("cold", times, (size_t)nways);
	if (argc > 5)
		flooder = start_flood((uint16_t)atoi(argv[5]));
	cpu = load_cpu_of(pid);
	began = now_us();
	for (int i = 0; i < turns; i++)
		go_round(times + i * nways);
	cpu = load_cpu_of(pid) - cpu;
	began = now_us() - began;
	if (flooder > 0)
		kill(flooder, SIGKILL);
	print_times("warm", times, (size_t)nways * (size_t)turns);
	printf("\"cores\": %.2f, \"cost\": %.5g}\n", cpu * 1e6 / began,
	       cpu * 1e6 / ((double)nways * turns));
	return 0;
}
