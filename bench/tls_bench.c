/* tls_bench.c - what TLS costs in the node, against the floors of the same machine at the same
 * moment.
 *
 *     tls_bench [-r rounds] [-g GiB] [-e engine] [way...]     CPU of the relay, seconds per GB
 *     tls_bench -i connections                                memory per idle connection
 *     tls_bench -n connections                                CPU per new connection
 *
 * Ways are run in turn, round by round, so that what else the machine does hits all alike: believe
 * the ratios.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/aead.h"
#include "tls_bench.h"

#define WAYS   8
#define ROUNDS 32

static const char *engine = "auto";

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

static void start_process(int cpu)
{
	pin(cpu);
	signal(SIGPIPE, SIG_IGN);
	if (aead_init(engine)) {
		fprintf(stderr, "engine %s: %s\n", engine, aead_init(engine));
		_exit(2);
	}
}

static pid_t fork_relay(const struct bench *b, int listener)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	start_process(0);
	if (!strcmp(b->way, "copy") || !strcmp(b->way, "cipher"))
		cipher_relay(b, listener);
	else
		tls_relay(b, listener);
	_exit(0);
}

static pid_t fork_target(const struct bench *b, int listener)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	start_process(1);
	load_target(b, listener);
	_exit(0);
}

static pid_t fork_client(const struct bench *b, int ready)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	start_process(1);
	if (ready >= 0)
		load_idle(b, ready);
	else
		load_client(b);
	_exit(0);
}

static double cpu_of(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

static double stop_process(pid_t pid)
{
	struct rusage u = {0};

	kill(pid, SIGKILL);
	wait4(pid, NULL, 0, &u);
	return cpu_of(&u);
}

/* Seconds of the relay's CPU per GB (10^9 bytes). */
static double run(struct bench b)
{
	int rl = bench_listen(&b.relay_port), tl = bench_listen(&b.target_port);
	pid_t relay = fork_relay(&b, rl), target = fork_target(&b, tl), client;

	usleep(100000); /* the self-test and the certificate are not what is measured */
	client = fork_client(&b, -1);
	close(rl);
	close(tl);
	waitpid(b.up ? target : client, NULL, 0);
	stop_process(b.up ? client : target);
	return stop_process(relay) / ((double)b.bytes / 1e9);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void bench_bulk(char **ways, int nways, int rounds, uint64_t bytes)
{
	static const struct {
		const char *name;
		bool up;
		int flows;
	} kinds[] = {{"down 1", false, 1},
		     {"down 16", false, 16},
		     {"up 1", true, 1},
		     {"up 16", true, 16}};
	static double got[WAYS][ROUNDS];

	printf("%-9s", "s/GB");
	for (int w = 0; w < nways; w++)
		printf(" %9s", ways[w]);
	printf("   (median of %d, engine %s)\n", rounds, engine);
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		for (int r = 0; r < rounds; r++) {
			for (int w = 0; w < nways; w++)
				got[w][r] = run((struct bench){.way = ways[w],
							       .up = kinds[k].up,
							       .flows = kinds[k].flows,
							       .bytes = bytes});
		}
		printf("%-9s", kinds[k].name);
		for (int w = 0; w < nways; w++)
			printf(" %9.3f", median(got[w], rounds));
		printf("\n");
		fflush(stdout);
	}
}

static long rss_of(pid_t pid)
{
	char path[64];
	long pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%*d %ld", &pages) != 1)
		abort();
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

/* With `cpu`, what a connection costs to open; without, what it holds when idle. */
static void bench_connections(int count, bool cpu)
{
	struct bench b = {.way = "tls", .flows = count};
	int rl = bench_listen(&b.relay_port), tl = bench_listen(&b.target_port), ready[2];
	pid_t relay = fork_relay(&b, rl), client;
	char byte;
	long before, after;

	if (pipe(ready))
		abort();
	usleep(300000);
	before = rss_of(relay);
	client = fork_client(&b, ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		abort();
	if (!cpu)
		sleep(3); /* its timer gives memory back */
	after = rss_of(relay);
	stop_process(client);
	if (cpu)
		printf("%.0f us of CPU per new connection\n", stop_process(relay) / count * 1e6);
	else {
		printf("%.0f bytes per idle connection\n", (double)(after - before) / count);
		stop_process(relay);
	}
	close(tl);
}

int main(int argc, char **argv)
{
	static char *all[] = {"copy", "cipher", "tls", "libssl"};
	int opt, rounds = 5, connections = 0;
	bool cpu = false;
	double gib = 2;

	while ((opt = getopt(argc, argv, "r:g:e:i:n:")) != -1) {
		switch (opt) {
		case 'r':
			rounds = MIN(atoi(optarg), ROUNDS);
			break;
		case 'g':
			gib = atof(optarg);
			break;
		case 'e':
			engine = optarg;
			break;
		case 'n':
			cpu = true;
			connections = atoi(optarg);
			break;
		case 'i':
			connections = atoi(optarg);
			break;
		default:
			return 2;
		}
	}
	signal(SIGPIPE, SIG_IGN);
	if (connections > 0)
		bench_connections(connections, cpu);
	else if (optind < argc)
		bench_bulk(argv + optind, MIN(argc - optind, WAYS), rounds,
			   (uint64_t)(gib * (1 << 30)));
	else
		bench_bulk(all, ARRAY_LEN(all), rounds, (uint64_t)(gib * (1 << 30)));
	return 0;
}
