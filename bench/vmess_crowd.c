/* vmess_crowd - what it takes to tell whose VMess auth id it is, on a port of many users.
 *
 *     vmess_crowd [USERS]
 *
 * In microseconds of CPU, so that a busy machine does not count: reading the user list, then
 * vmess_find() (all turns of one search) for
 *
 *   warm    a user from an address that he has used before
 *   cold    a user who was not active, from an address that is new
 *   noise   nobody's bytes, each from another network, while there is budget
 *
 * and what opening the rest of a request costs once the user is known.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/aes_block.h"
#include "crypto/random.h"
#include "proto/known.h"
#include "proto/vmess/vmess.h"
#include "proto/vmess/vmess_seal.h"
#include "user/registry.h"
#include <errno.h>

#define NOW    1700000000
#define ROUNDS 500
#define NOISE  20 /* as many as a second's budget has, with 100,000 users */

static const struct user_table *users;
static struct vmess_finder *finder;

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(const char *what, double *v, size_t n, size_t found)
{
	qsort(v, n, sizeof(*v), by_value);
	printf("%-8s p50 %8.1f  p99 %8.1f  max %8.1f us   found %zu of %zu\n", what, v[n / 2],
	       v[n * 99 / 100], v[n - 1], found, n);
}

static int derive(void *arg, const char *credential, size_t len, uint8_t *key, uint8_t *secret)
{
	int err = vmess_proto.user_key(credential, len, key);

	return err ? err : vmess_proto.user_secret(key, secret);
}

/* The users stay for the life of the program. */
static void make_users(size_t n)
{
	static const uint8_t epoch[COUNTERS_EPOCH_LEN];
	struct user_registry_conf conf = {.node = 1,
					  .derive = derive,
					  .key_len = vmess_proto.key_len,
					  .secret_len = vmess_proto.secret_len,
					  .pack = true};
	static struct user_registry *reg;
	struct user_publication *pub;
	struct user_changes changes;
	struct user_list list;
	double t;

	user_list_init(&list);
	for (size_t i = 1; i <= n; i++) {
		char text[37];
		struct user_entry e = {.id = (int64_t)i, .credential = text, .credential_len = 36};

		snprintf(text, sizeof(text), "%08zx-0000-4000-8000-%012zx",
			 i * 2654435761u & 0xffffffff, i);
		if (user_list_add(&list, &e))
			abort();
	}
	t = now_us();
	if (counters_create(NULL, epoch, 1, &conf.counters) || user_registry_new(&conf, &reg) ||
	    user_registry_apply(reg, &list, &changes, &pub))
		abort();
	printf("%zu users, read in %.0f ms\n", n, (now_us() - t) / 1e3);
	user_list_done(&list);
	users = pub->table;
	pub->acks = 1;
	user_publication_ack(pub);
}

static void id_of(size_t who, uint8_t id[VMESS_ID_LEN])
{
	uint8_t id_key[16], noise[4];

	random_bytes(noise, sizeof(noise));
	vmess_id_make(NOW, noise, id);
	if (vmess_id_key(user_key(user_table_at(users, who)), id_key) ||
	    aes_block_encrypt(id_key, 16, id, id))
		abort();
}

static double once(const uint8_t *id, uint32_t ip, nsec_t now, size_t *found)
{
	uint8_t b[4] = {(uint8_t)(ip >> 24), (uint8_t)(ip >> 16), (uint8_t)(ip >> 8), (uint8_t)ip};
	struct addr peer = addr_from_ip4(b, 1000);
	const struct vmess_asker asker = {users, &peer, now, NOW};
	struct vmess_search s = {0};
	struct user *u;
	double t = now_us();
	int err;

	do {
		err = vmess_find(finder, &s, &asker, id, &u);
	} while (err == -EAGAIN);
	*found += err == 0;
	return now_us() - t;
}

static void measure_finding(size_t n)
{
	static double v[ROUNDS];
	size_t found = 0;
	uint8_t id[VMESS_ID_LEN];
	nsec_t now = NSEC_SEC;

	for (size_t i = 0; i < ROUNDS; i++) {
		id_of(random_below((uint32_t)n), id);
		v[i] = once(id, 0x20000000u + (uint32_t)i * 256, now += NSEC_SEC, &found);
	}
	print("cold", v, ROUNDS, found);
	for (size_t i = found = 0; i < ROUNDS; i++) {
		id_of(n - 1, id);
		v[i] = once(id, 0x0a000001, now += NSEC_SEC, &found);
	}
	print("warm", v, ROUNDS, found);
	for (size_t i = found = 0; i < NOISE; i++) {
		random_bytes(id, sizeof(id));
		v[i] = once(id, 0x40000000u + (uint32_t)i * 256, now += NSEC_SEC, &found);
	}
	print("noise", v, NOISE, found);
}

static void measure_opening(void)
{
	static double v[ROUNDS];
	struct vmess_request req = {
		.cipher = VMESS_AES_128_GCM, .option = VMESS_CHUNKS | VMESS_MASK, .cmd = VMESS_TCP};
	uint8_t id[VMESS_ID_LEN], noise[16] = {0}, text[VMESS_REQ_MAX], wire[VMESS_HEAD_MAX];
	const uint8_t *key = user_key(user_table_at(users, 0));
	struct wr t = wr_of(text, sizeof(text)), w = wr_of(wire, sizeof(wire));
	size_t len, found = 0;

	vmess_id_make(NOW, noise, id);
	if (dest_parse(&req.dest, "www.example.com:443"))
		abort();
	vmess_request_emit(&t, &req, noise, 8);
	if (t.err || vmess_head_seal(key, id, noise, text, t.len, &w))
		abort();
	for (size_t i = 0; i < ROUNDS; i++) {
		double from = now_us();

		found += !vmess_head_open(key, wire, &len) &&
			 !vmess_request_open(key, wire, len, text);
		v[i] = now_us() - from;
	}
	print("opening", v, ROUNDS, found);
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
	struct known *known;

	if (n < 1) {
		fprintf(stderr, "usage: vmess_crowd [USERS]\n");
		return 2;
	}
	make_users(n);
	if (known_new(&known) || vmess_finder_new(known, 1, &finder))
		abort();
	measure_finding(n);
	measure_opening();
	vmess_finder_free(finder);
	known_free(known);
	return 0;
}
