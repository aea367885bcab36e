/* load.c - load for a server or a bare relay, and what it cost the other side.
 *
 *     load VIA down FLOWS SECONDS TARGET-PORT PID     CPU seconds per GB, downloads
 *     load VIA up   FLOWS SECONDS TARGET-PORT PID     the same, uploads
 *     load VIA ping FLOWS SECONDS TARGET-PORT PID     CPU microseconds per 100 bytes there and back
 *     load VIA conn FLOWS SECONDS TARGET-PORT PID     the same per connection: open, ping, close
 *     load VIA idle FLOWS 0       TARGET-PORT PID     resident bytes per connection that has rested
 *
 * VIA is a share link, or `plain:PORT` for a relay that knows its target.  PID is the server's
 * process: its CPU time and memory come from /proc.  One line of JSON comes out.
 */
#include "load.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "client/from_link.h"
#include "crypto/aead.h"
#include "dns/dns.h"
#include "proto/direct/direct.h"

#define WARM_UP (700 * NSEC_MS)
#define STEP	64 /* connections under way at once when many are opened */

/* What a server still gives back once it rests: it may take its time. */
#define REST (6 * NSEC_SEC)

void load_die(const char *what, int err)
{
	fprintf(stderr, "load: %s: %s\n", what, err_text(err));
	exit(1);
}

/* ---- what the server spends -------------------------------------------------------------- */

static double thread_cpu(const char *pid, const char *tid)
{
	unsigned long long ns = 0;
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/task/%s/schedstat", pid, tid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%llu", &ns) != 1)
		ns = 0;
	fclose(f);
	return (double)ns * 1e-9;
}

/* Seconds of all its threads. */
static double cpu_of(const char *pid)
{
	char path[64];
	struct dirent *e;
	double sum = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	d = opendir(path);
	if (!d)
		load_die(path, -errno);
	while ((e = readdir(d)))
		sum += e->d_name[0] == '.' ? 0 : thread_cpu(pid, e->d_name);
	closedir(d);
	return sum;
}

static long rss_of(const char *pid)
{
	long resident = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/statm", pid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%*d %ld", &resident) != 1)
		load_die(path, -errno);
	fclose(f);
	return resident * sysconf(_SC_PAGESIZE);
}

/* ---- measuring --------------------------------------------------------------------------- */

void load_run(struct load *l, nsec_t duration)
{
	nsec_t end = loop_now(l->loop) + duration;

	do
		loop_turn(l->loop, 10 * NSEC_MS);
	while (loop_now(l->loop) < end);
}

void load_settle(struct load *l, size_t pending)
{
	nsec_t end = loop_now(l->loop) + 30 * NSEC_SEC;

	while (l->npending > pending) {
		loop_turn(l->loop, 10 * NSEC_MS);
		if (loop_now(l->loop) > end)
			load_die("pings", -ETIMEDOUT);
	}
}

static void measure(struct load *l, enum load_wish wish, int flows, double seconds, const char *pid)
{
	nsec_t began;
	double cpu, t, units;

	for (int i = 0; i < flows; i++)
		load_user_new(l, wish);
	load_run(l, WARM_UP);
	l->moved = l->pings = 0;
	began = loop_now(l->loop);
	cpu = cpu_of(pid);
	load_run(l, (nsec_t)(seconds * 1e9));
	cpu = cpu_of(pid) - cpu;
	t = (double)(loop_now(l->loop) - began) * 1e-9;
	units = wish == LOAD_PING ? (double)l->pings * 1e-6 : (double)l->moved * 1e-9;
	if (units <= 0)
		load_die("nothing moved", -ETIMEDOUT);
	printf("{\"seconds\": %.3f, \"cpu\": %.4f, \"%s\": %.6f, \"cost\": %.5g}\n", t, cpu,
	       wish == LOAD_PING ? "Mpings" : "gb", units, cpu / units);
}

/* One comes first and stays: what the first connection of all costs is none of an idle one's. */
static void measure_idle(struct load *l, int flows, const char *pid)
{
	long before;

	load_user_new(l, LOAD_PING);
	load_settle(l, 0);
	load_run(l, REST);
	before = rss_of(pid);
	for (int i = 0; i < flows; i++) {
		load_user_new(l, LOAD_PING);
		load_settle(l, STEP);
	}
	load_settle(l, 0);
	load_run(l, REST);
	printf("{\"flows\": %d, \"before\": %ld, \"cost\": %.0f}\n", flows, before,
	       (double)(rss_of(pid) - before) / flows);
}

/* ---- the way there ----------------------------------------------------------------------- */

static void open_link(const char *text, struct outbound_conf *out)
{
	struct link_trust trust = {.insecure = true};
	char why[FROM_LINK_WHY] = "";
	struct share_link link;
	const char *what = "";
	struct arena mem;
	int err;

	arena_init(&mem, 0);
	err = share_link_parse(text, strlen(text), &mem, &link, &what);
	if (!err)
		err = outbound_conf_of_link(&link, &trust, out, why);
	arena_done(&mem);
	if (err)
		load_die(*why ? why : what, err);
}

/* `port` is the target's; a plain relay is asked for itself. */
static void open_way(struct load *l, const char *via, uint16_t port)
{
	static const struct direct_conf anywhere = {.allow_private = true};
	static struct outbound_conf conf;
	static struct outbound outbound;
	static struct direct direct;
	static struct own_addr own;
	struct dns *dns = dns_new(l->loop);
	struct addr at = addr_from_ip4("\x7f\0\0\1", port);

	if (!dns)
		load_die("resolver", -ENOMEM);
	own_addr_init(&own);
	direct_init(&direct, dns_resolver(dns), &anywhere, &own);
	l->dialer = &direct.dialer;
	if (!strncmp(via, "plain:", 6)) {
		addr_set_port(&at, (uint16_t)atoi(via + 6));
	} else {
		open_link(via, &conf);
		outbound_init(&outbound, &direct.dialer, &conf);
		l->dialer = &outbound.dialer;
	}
	dest_set_addr(&l->to, &at);
}

static void allow_descriptors(void)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv)
{
	struct load l = {0};
	uint16_t port;
	char mode;

	if (argc != 7) {
		fprintf(stderr, "usage: see the top of the source\n");
		return 2;
	}
	allow_descriptors();
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	(void)aead_init("auto");
	mode = argv[2][0];
	port = (uint16_t)atoi(argv[5]);
	l.loop = loop_new(LOOP_EPOLL, 0);
	if (!l.loop)
		load_die("loop", -ENOMEM);
	l.again = mode == 'p';
	l.reconnect = mode == 'c';
	open_way(&l, argv[1], port);
	load_target_open(&l, port);
	if (mode == 'i')
		measure_idle(&l, atoi(argv[3]), argv[6]);
	else
		measure(&l,
			mode == 'd'   ? LOAD_DOWN
			: mode == 'u' ? LOAD_UP
				      : LOAD_PING,
			atoi(argv[3]), atof(argv[4]), argv[6]);
	return 0;
}
