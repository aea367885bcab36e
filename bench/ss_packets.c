/* ss_packets - server CPU per UDP packet of a Shadowsocks port, there and back.
 *
 *     ss_packets [METHOD [CLIENTS [SIZE [SECONDS]]]]
 *
 * Three threads on loopback: clients that keep 8 packets each under way, the server (socket, association,
 * session, direct outbound), a target that echoes.  Only the server's CPU counts.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../tests/unit/proto/shadowsocks/crowd.h"
#include "net/mmsg.h"
#include "net/sock.h"
#include "proto/direct/direct.h"
#include "proto/shadowsocks/ss_memory.h"
#include "proto/shadowsocks/ss_udp.h"
#include "session/session.h"
#include "stream/udp.h"

#define WINDOW 8

static struct crowd_users users;
static struct addr server_at, target_at;
static atomic_bool stop;
static atomic_uint_fast64_t echoed;
static size_t nclients = 50, size = 1200;
static double seconds = 3;

static double cpu_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int bound(struct addr *at)
{
	int fd;

	if (addr_parse(at, "127.0.0.1:0") || sock_udp_open(at, false, &fd) || sock_local(fd, at))
		abort();
	sock_set_buffers(fd, 4 << 20, 4 << 20);
	return fd;
}

/* ---- the target -------------------------------------------------------------------------- */

static void *target(void *arg)
{
	int fd = *(int *)arg;
	struct buf_pool pool;
	struct mmsg m[MMSG_BATCH];
	uint64_t dropped = 0;

	buf_pool_init(&pool, 64, 0);
	while (!atomic_load(&stop)) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int n, sent = 0;

		poll(&p, 1, 100);
		n = mmsg_recv(fd, &pool, m, MMSG_BATCH, &dropped);
		while (sent < n) {
			int k = mmsg_send(fd, AF_INET, m + sent, n - sent);

			sent += k > 0 ? k : 1;
		}
		for (int i = 0; i < n; i++)
			buf_free(m[i].buf);
	}
	buf_pool_done(&pool);
	return NULL;
}

/* ---- the server -------------------------------------------------------------------------- */

struct server {
	pthread_t thread;
	struct loop *loop;
	struct session_inbound in;
	struct session_times times;
	struct direct direct;
	struct direct_conf conf;
	const struct user_table *table;
	int fd;
	double cpu;
	struct ss_udp_count count;
};

static void opened(void *arg, struct dgram *client, const struct stream_request *req,
		   const struct addr *peer)
{
	struct server *s = arg;
	struct stream_request nobody = *req;

	nobody.user = NULL; /* nobody's traffic: what is measured is packets */
	session_start_udp(&s->in, client, &nobody, peer);
}

static void *serve(void *arg)
{
	static const uint8_t psk[SS_KEY_MAX] = "0123456789abcdef0123456789abcde";
	struct server *s = arg;
	struct ss_finder_conf fc = {users.method, users.method->identity ? psk : NULL, 1};
	struct ss_udp_service service = {.method = users.method, .psk = fc.psk, .users = &s->table};
	struct ss_udp *udp;

	pthread_setname_np(pthread_self(), "server"); /* for perf */
	s->loop = loop_new(LOOP_EPOLL, 0);
	s->conf = (struct direct_conf){.allow_private = true};
	direct_init(&s->direct, NULL, &s->conf, NULL);
	s->times.udp_idle = 60 * NSEC_SEC;
	s->in = (struct session_inbound){
		.loop = s->loop, .outbound = &s->direct.dialer, .times = &s->times};
	list_init(&s->in.sessions);
	if (ss_finder_new(&fc, &service.finder) ||
	    replay_new_counted(SS_REPLAY_PACKETS, &service.replay) ||
	    ss_udp_new(s->loop, s->fd, AF_INET, &service, opened, s, &udp))
		abort();
	while (!atomic_load(&stop))
		loop_turn(s->loop, 100 * NSEC_MS);
	s->cpu = cpu_of(CLOCK_THREAD_CPUTIME_ID);
	ss_udp_count(udp, &s->count);
	session_end_all(&s->in);
	ss_udp_close(udp);
	loop_turn(s->loop, 0);
	ss_finder_free(service.finder);
	replay_free(service.replay);
	loop_free(s->loop);
	return NULL;
}

/* ---- the clients ------------------------------------------------------------------------- */

static struct dgram *client(struct loop *l, size_t i)
{
	static const uint8_t psk[SS_KEY_MAX] = "0123456789abcdef0123456789abcde";
	struct ss_client_conf conf = {.method = users.method, .nipsk = users.method->identity};
	struct user *u = users.v[i % users.n];
	struct dgram *udp;
	struct dest to;

	memcpy(conf.key, users.method->class == SS_2022 ? user_secret(u) : user_key(u), SS_KEY_MAX);
	memcpy(conf.ipsk[0], psk, SS_KEY_MAX);
	dest_set_addr(&to, &server_at);
	if (udp_dgram_new(l, AF_INET, NULL, &udp))
		abort();
	return ss_client_udp(udp, &to, &conf);
}

static void send_some(struct dgram *d, int n)
{
	for (int i = 0; i < n; i++) {
		struct packet p = {.buf = buf_new(loop_pool(d->loop))};

		dest_set_addr(&p.dest, &target_at);
		memset(p.buf->data + p.buf->end, 'x', size);
		p.buf->end += (uint32_t)size;
		if (dgram_send(d, &p, 1) < 1)
			buf_free(p.buf);
	}
}

static void drive(struct loop *l)
{
	struct dgram **c = calloc(nclients, sizeof(*c));
	struct packet p[DGRAM_BATCH];
	double end;

	for (size_t i = 0; i < nclients; i++)
		send_some(c[i] = client(l, i), WINDOW);
	end = cpu_of(CLOCK_MONOTONIC) + seconds;
	for (unsigned turn = 0; cpu_of(CLOCK_MONOTONIC) < end; turn++) {
		bool any = false;

		loop_turn(l, NSEC_MS);
		for (size_t i = 0; i < nclients; i++) {
			int n = dgram_recv(c[i], p, DGRAM_BATCH);

			for (int k = 0; k < n; k++)
				buf_free(p[k].buf);
			if (n > 0) {
				atomic_fetch_add(&echoed, (uint64_t)n);
				send_some(c[i], n);
			}
			any |= n > 0;
		}
		if (!any && turn % 64 == 0) /* what was lost is sent again */
			for (size_t i = 0; i < nclients; i++)
				send_some(c[i], 1);
	}
	for (size_t i = 0; i < nclients; i++)
		dgram_free(c[i]);
	free(c);
}

int main(int argc, char **argv)
{
	const char *method = argc > 1 ? argv[1] : "aes-128-gcm";
	struct server s = {0};
	struct loop *l;
	pthread_t t;
	int fd;

	if (argc > 2)
		nclients = strtoul(argv[2], NULL, 10);
	if (argc > 3)
		size = strtoul(argv[3], NULL, 10);
	if (argc > 4)
		seconds = strtod(argv[4], NULL);
	if (!ss_method_find(method) || !nclients || size > 8000) {
		fprintf(stderr, "usage: ss_packets [METHOD [CLIENTS [SIZE [SECONDS]]]]\n");
		return 2;
	}
	crowd_init(&users, method,
		   ss_method_find(method)->class == SS_2022 && !ss_method_find(method)->identity
			   ? 1
			   : nclients);
	s.table = users.table;
	fd = bound(&target_at);
	s.fd = bound(&server_at);
	l = loop_new(LOOP_EPOLL, 0);
	if (!l || pthread_create(&t, NULL, target, &fd) ||
	    pthread_create(&s.thread, NULL, serve, &s))
		return 1;
	drive(l);
	atomic_store(&stop, true);
	pthread_join(s.thread, NULL);
	pthread_join(t, NULL);
	loop_turn(l, 0);
	loop_free(l);
	printf("%-32s %zu clients, %zu bytes: %8.0f round trips/s, %.2f us of server CPU each; "
	       "%llu refused\n",
	       method, nclients, size, (double)echoed / seconds, s.cpu * 1e6 / (double)echoed,
	       (unsigned long long)s.count.refused);
	crowd_done(&users);
	return 0;
}
