/* ss_crowd - what it takes to tell whose Shadowsocks stream or packet it is, on a port of many users.
 *
 *     ss_crowd [METHOD [USERS [ACTIVE]]]
 *
 * Times ss_find_stream() (all turns of one search) and ss_find_packet(), in microseconds of CPU, so that a
 * busy machine does not count:
 *
 *   warm    one of the active users, from an address that it has used before
 *   moved   one of the active users, from an address that is new
 *   cold    a user who was not active
 *   noise   nobody's bytes, each from another network, while there is budget
 *   flood   `warm` again among STRANGERS of those a second, for two seconds of the budget's clock; and what
 *           share of a core they took
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../tests/unit/proto/shadowsocks/crowd.h"
#include "base/err.h"
#include <errno.h>

#define ROUNDS	  20000
#define STRANGERS 50000

static struct crowd_users users;
static struct ss_finder *finder;
static size_t active = 200;

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The budget's clock: it runs while we work, and may be moved on. */
static nsec_t skipped;

static nsec_t clock_now(void)
{
	return (nsec_t)(now_us() * 1e3) + skipped;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(const char *what, double *v, size_t n, size_t found)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += v[i];
	qsort(v, n, sizeof(*v), by_value);
	printf("%-14s p50 %8.1f  p99 %8.1f  max %8.1f  mean %8.1f us   found %zu of %zu\n", what,
	       v[n / 2], v[n * 99 / 100], v[n - 1], sum / (double)n, found, n);
}

static bool try_stream(const uint8_t *bytes, const struct addr *peer)
{
	const struct ss_asker asker = {users.table, peer, clock_now()};
	struct ss_search s = {0};
	struct ss_found found;
	int err;

	do {
		err = ss_find_stream(finder, &s, &asker, bytes, bytes + users.method->salt_len,
				     &found);
	} while (err == -EAGAIN);
	return err == 0;
}

static bool try_packet(const uint8_t *bytes, size_t len, const struct addr *peer)
{
	const struct ss_asker asker = {users.table, peer, clock_now()};
	struct ss_found found;

	return ss_find_packet(finder, &asker, bytes, len, &found) == 0;
}

static uint8_t packet_text[1200] = {1, 192, 0, 2, 1, 0, 53};

/* One search of user `who` (or of nobody), in microseconds. */
static double once(bool packet, ssize_t who, uint32_t ip, size_t *found)
{
	static const uint8_t length[2] = {0x02, 0x00};
	struct addr peer = crowd_addr(ip);
	uint8_t bytes[1500];
	size_t len = packet ? 1200 : 50;
	double t;

	if (who < 0)
		random_bytes(bytes, len);
	else
		len = crowd_seal(&users, (size_t)who, packet ? packet_text : length,
				 packet ? sizeof(packet_text) : sizeof(length), bytes);
	t = now_us();
	*found += packet ? try_packet(bytes, len, &peer) : try_stream(bytes, &peer);
	return now_us() - t;
}

static uint32_t home_of(size_t who)
{
	return 0x0a000000u + (uint32_t)who;
}

static void warm_up(bool packet)
{
	struct ss_finder_conf conf = {.method = users.method, .workers = 1};
	size_t found = 0;

	ss_finder_free(finder);
	if (ss_finder_new(&conf, &finder))
		abort();
	for (size_t i = 0; i < active; i++)
		once(packet, (ssize_t)(i * (users.n / active)), home_of(i), &found);
	if (found != active)
		fprintf(stderr, "warm-up: %zu of %zu found\n", found, active);
}

/* Strangers come at their own pace, and one of ours after every hundred of them. */
static void flood(bool packet, double *v)
{
	size_t step = users.n / active, found = 0, nobody = 0, n = 0;
	double noise = 0, seconds = 2;
	uint32_t far = 0x40000000;
	nsec_t start;

	warm_up(packet);
	start = clock_now();
	for (size_t i = 0; i < (size_t)(seconds * STRANGERS); i++) {
		size_t k = random_below((uint32_t)active);
		nsec_t due = start + (nsec_t)((double)i / STRANGERS * 1e9);

		skipped += MAX(due - clock_now(), (nsec_t)0);
		noise += once(packet, -1, far += 256, &nobody);
		if (i % 100 == 0)
			v[n++] = once(packet, (ssize_t)(k * step), home_of(k), &found);
	}
	print(packet ? "udp flood" : "tcp flood", v, n, found);
	printf("%-14s of %d strangers a second: %.0f %% of a core, %.1f us each\n", "", STRANGERS,
	       100 * noise / 1e6 / seconds, noise / seconds / STRANGERS);
}

static void measure(bool packet)
{
	static double v[ROUNDS];
	size_t found = 0, step = users.n / active, n;
	uint32_t far = 0x20000000;
	char what[32];

	warm_up(packet);
	for (size_t i = 0; i < ROUNDS; i++) {
		size_t k = random_below((uint32_t)active);

		v[i] = once(packet, (ssize_t)(k * step), home_of(k), &found);
	}
	snprintf(what, sizeof(what), "%s warm", packet ? "udp" : "tcp");
	print(what, v, ROUNDS, found);

	for (size_t i = found = 0; i < ROUNDS / 10; i++) {
		size_t k = random_below((uint32_t)active);

		v[i] = once(packet, (ssize_t)(k * step), far += 256, &found);
	}
	memcpy(what + 4, "moved", 6);
	print(what, v, ROUNDS / 10, found);

	for (size_t i = found = n = 0; i < users.n && n < ROUNDS / 20; i += 7) {
		if (i % step)
			v[n++] = once(packet, (ssize_t)i, far += 256, &found);
	}
	memcpy(what + 4, "cold", 5);
	print(what, v, n, found);

	warm_up(packet);
	for (size_t i = found = 0; i < 10; i++)
		v[i] = once(packet, -1, far += 256, &found);
	memcpy(what + 4, "noise", 6);
	print(what, v, 10, found);

	flood(packet, v);
}

int main(int argc, char **argv)
{
	const char *method = argc > 1 ? argv[1] : "aes-128-gcm";
	size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 10000;

	if (argc > 3)
		active = strtoul(argv[3], NULL, 10);
	if (!ss_method_find(method) || ss_method_find(method)->class != SS_AEAD || n < active ||
	    !active) {
		fprintf(stderr, "usage: ss_crowd [METHOD [USERS [ACTIVE]]]\n");
		return 2;
	}
	crowd_init(&users, method, n);
	printf("%s, %zu users, %zu active, engine %s\n", method, n, active, aead_engine());
	measure(false);
	measure(true);
	ss_finder_free(finder);
	crowd_done(&users);
	return 0;
}
