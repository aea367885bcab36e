/* crowd_load.c - how long the first packet of a connection takes to be somebody's, on a port with
 * many users.
 *
 *     crowd_load tcp|udp LINKS TARGET-PORT PID TURNS [FLOOD-PORT]
 *
 * LINKS holds a share link a line, a user each.  One after the other, each from an address of his
 * own (127.1.x.y), they connect, are answered once and go: TURNS times round, after one round that
 * makes the server know them.  With udp each sends a packet from a port that he has not used before,
 * and again every LOST until it is answered.  With FLOOD-PORT a process beside it opens FLOOD_RATE
 * connections a second to that port, each with 64 random bytes, from addresses all over 127.2; with
 * udp they are packets.
 *
 * One line of JSON: microseconds from connecting (sending) to the answer, cold (the round before) and
 * warm, how many packets were not answered, and the server's CPU for one of them.
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
#define PACKET	   200
#define LOST	   (500 * NSEC_MS)

static struct load load;
static bool udp;
static unsigned nlost;
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

/* ---- a packet and its answer ------------------------------------------------------------- */

struct question {
	struct waiter w;
	struct timer lost;
	struct dgram *d;
	bool answered;
};

static void send_packet(struct question *q)
{
	struct packet p = {.buf = buf_new(loop_pool(load.loop)), .dest = load.to};
	int n;

	if (!p.buf)
		load_die("memory", -ENOMEM);
	memset(p.buf->data + p.buf->end, '.', PACKET);
	p.buf->end += PACKET;
	n = dgram_send(q->d, &p, 1);
	if (n < 1)
		buf_free(p.buf);
	if (n < 0 && n != -EAGAIN)
		load_die("a packet", n);
	timer_set(load.loop, &q->lost, loop_now(load.loop) + LOST);
}

static void on_lost(struct timer *t)
{
	nlost++;
	send_packet(container_of(t, struct question, lost));
}

static void on_packet(struct waiter *w)
{
	struct question *q = container_of(w, struct question, w);
	struct packet p;
	int n = dgram_recv(q->d, &p, 1);

	if (n == 1) {
		q->answered = buf_len(p.buf) == PACKET;
		buf_free(p.buf);
	} else if (n != -EAGAIN) {
		load_die("a packet", n ? n : -ECONNRESET);
	}
	if (!q->answered)
		dgram_want(q->d, STREAM_RD, w);
}

static void ask_by_packet(struct load_way *way)
{
	struct question q = {0};
	int err = dialer_dgram(way->dialer, load.loop, &load.to, &q.d);

	if (err)
		load_die("association", err);
	waiter_init(&q.w, on_packet);
	timer_init(&q.lost, on_lost);
	send_packet(&q);
	dgram_want(q.d, STREAM_RD, &q.w);
	for (unsigned before = nlost; !q.answered;) {
		loop_turn(load.loop, 10 * NSEC_MS);
		if (nlost - before > 20)
			load_die("an answer", -ETIMEDOUT);
	}
	timer_stop(&q.lost);
	waiter_cancel(&q.w);
	dgram_free(q.d);
}

/* ---- all of them ------------------------------------------------------------------------- */

static void ask_by_connection(struct load_way *way)
{
	load.dialer = way->dialer;
	load_user_new(&load, LOAD_PING);
	load_settle(&load, 0);
}

/* Everybody once.  Microseconds each into `took`. */
static void go_round(double *took)
{
	for (int i = 0; i < nways; i++) {
		double began = now_us();

		if (udp)
			ask_by_packet(&ways[i]);
		else
			ask_by_connection(&ways[i]);
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
	*fd = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
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

	udp = argc > 1 && !strcmp(argv[1], "udp");
	if (argc < 6 || (!udp && strcmp(argv[1], "tcp") != 0)) {
		fprintf(stderr, "usage: see the top of the source\n");
		return 2;
	}
	(void)aead_init("auto");
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	load.loop = loop_new(LOOP_EPOLL, 0);
	if (!load.loop)
		load_die("loop", -ENOMEM);
	load.leave = true;
	pid = (pid_t)atoi(argv[4]);
	turns = MAX(atoi(argv[5]), 1);
	read_links(argv[2]);
	times = calloc((size_t)nways * (size_t)turns, sizeof(*times));
	if (!times || nways == 0)
		load_die(argv[2], -EINVAL);
	target = addr_from_ip4("\x7f\0\0\1", (uint16_t)atoi(argv[3]));
	dest_set_addr(&load.to, &target);
	if (udp)
		load_echo_open(&load, addr_port(&target));
	else
		load_target_open(&load, addr_port(&target));
	go_round(times);
	printf("{\"users\": %d, ", nways);
	print_times("cold", times, (size_t)nways);
	if (argc > 6)
		flooder = start_flood((uint16_t)atoi(argv[6]));
	cpu = load_cpu_of(pid);
	began = now_us();
	for (int i = 0; i < turns; i++)
		go_round(times + i * nways);
	cpu = load_cpu_of(pid) - cpu;
	began = now_us() - began;
	if (flooder > 0)
		kill(flooder, SIGKILL);
	print_times("warm", times, (size_t)nways * (size_t)turns);
	printf("\"lost\": %u, \"cores\": %.2f, \"cost\": %.5g}\n", nlost, cpu * 1e6 / began,
	       cpu * 1e6 / ((double)nways * turns));
	return 0;
}
