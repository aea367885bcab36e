/* The resolver against a name server of our own, on a thread of its own. */
#include "unit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns/cache.h"
#include "dns/dns.h"
#include "net/sock.h"

enum rcode {
	OK = 0,
	SERVFAIL = 2,
	NXDOMAIN = 3,
	SILENT = 100,
};

/* What the server knows: a name, how many A and AAAA records, and what it says. */
static const struct zone {
	const char *name;
	unsigned a, aaaa;
	enum rcode rcode;
	unsigned delay_ms;
} zones[] = {
	{"one.test", 1, 0, OK, 0},	  {"both.test", 2, 1, OK, 0},
	{"six.test", 0, 1, OK, 0},	  {"many.test", 20, 3, OK, 0},
	{"none.test", 0, 0, OK, 0},	  {"nx.test", 0, 0, NXDOMAIN, 0},
	{"fail.test", 0, 0, SERVFAIL, 0}, {"silent.test", 0, 0, SILENT, 0},
	{"slow.test", 1, 0, OK, 30},
};

struct server {
	int fd;
	pthread_t thread;
	char address[ADDR_TEXT_MAX];
	atomic_uint asked; /* questions for A */
};

static const struct zone *zone_of(const char *name)
{
	static const struct zone unknown = {"", 0, 0, NXDOMAIN, 0}, mute = {"", 0, 0, SILENT, 0},
				 fine = {"", 1, 0, OK, 0};

	if (strstr(name, ".fine."))
		return &fine;
	if (strstr(name, ".mute."))
		return &mute;
	for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
		if (!strcasecmp(zones[i].name, name))
			return &zones[i];
	}
	return &unknown;
}

/* The question's name as text; returns where its type stands, 0 when it makes no sense. */
static size_t read_name(const uint8_t *msg, size_t len, char *out)
{
	size_t at = 12, n = 0;

	while (at < len && msg[at]) {
		size_t label = msg[at++];

		if (at + label > len || n + label + 2 > 256)
			return 0;
		memcpy(out + n, msg + at, label);
		n += label;
		out[n++] = '.';
		at += label;
	}
	out[n ? n - 1 : 0] = '\0';
	return at + 5 <= len ? at + 1 : 0;
}

static size_t put_record(uint8_t *p, unsigned type, unsigned i)
{
	size_t size = type == 1 ? 4 : 16;
	const uint8_t head[] = {0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 0, 60, 0, (uint8_t)size};

	memcpy(p, head, sizeof(head));
	memset(p + sizeof(head), 0, size);
	p[sizeof(head)] = type == 1 ? 192 : 0x20;
	p[sizeof(head) + 1] = type == 1 ? 0 : 0x01;
	p[sizeof(head) + 2] = type == 1 ? 2 : 0x0d;
	p[sizeof(head) + 3] = type == 1 ? 0 : 0xb8;
	p[sizeof(head) + size - 1] = (uint8_t)(i + 1);
	return sizeof(head) + size;
}

static size_t answer(struct server *s, const uint8_t *query, size_t len, uint8_t *out)
{
	char name[256];
	size_t at = read_name(query, len, name), end;
	const struct zone *z = zone_of(name);
	unsigned type, n;

	if (!at)
		return 0;
	type = query[at + 1];
	if (type == 1)
		atomic_fetch_add(&s->asked, 1);
	if (z->delay_ms)
		usleep(z->delay_ms * 1000);
	if (z->rcode == SILENT)
		return 0;
	n = type == 1 ? z->a : type == 28 ? z->aaaa : 0;
	end = at + 4;
	memcpy(out, query, end);
	out[2] = 0x84;
	out[3] = (uint8_t)(0x80 | z->rcode);
	memset(out + 6, 0, 6);
	out[7] = (uint8_t)n;
	for (unsigned i = 0; i < n; i++)
		end += put_record(out + end, type, i);
	return end;
}

static void *serve(void *arg)
{
	struct server *s = arg;
	uint8_t query[1024], out[2048];
	struct sockaddr_storage from;

	for (;;) {
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(s->fd, query, sizeof(query), 0, (struct sockaddr *)&from,
				     &from_len);
		size_t len;

		if (n < 12) /* the word to stop */
			return NULL;
		len = answer(s, query, (size_t)n, out);
		if (len)
			sendto(s->fd, out, len, 0, (struct sockaddr *)&from, from_len);
	}
}

static struct server *server_start(void)
{
	struct server *s = calloc(1, sizeof(*s));
	struct addr at;

	assert_non_null(s);
	assert_int_equal(addr_parse(&at, "127.0.0.1:0"), 0);
	s->fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(s->fd, &at.sa, at.len), 0);
	assert_int_equal(sock_local(s->fd, &at), 0);
	addr_format(&at, s->address);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	return s;
}

static void server_stop(struct server *s)
{
	struct addr at;

	assert_int_equal(addr_parse(&at, s->address), 0);
	sendto(s->fd, "stop", 4, 0, &at.sa, at.len);
	pthread_join(s->thread, NULL);
	close(s->fd);
	free(s);
}

/* ---- asking ---------------------------------------------------------------------------------- */

struct bench {
	struct loop *l;
	struct server *server;
	struct dns *dns;
};

static void bench_open(struct bench *b)
{
	b->l = loop_new(LOOP_EPOLL, 0);
	b->server = server_start();
	b->dns = dns_new_with(b->l, &(struct dns_options){.try_ms = 200, .tries = 2});
	assert_non_null(b->dns);
	assert_int_equal(dns_set_servers(b->dns, b->server->address), 0);
}

static void bench_close(struct bench *b)
{
	dns_free(b->dns);
	loop_free(b->l);
	server_stop(b->server);
}

struct question {
	struct resolve q;
	struct waiter w;
	int wakes;
};

static void on_wake(struct waiter *w)
{
	container_of(w, struct question, w)->wakes++;
}

static int ask(struct bench *b, struct question *x, const char *name)
{
	*x = (struct question){0};
	waiter_init(&x->w, on_wake);
	return resolver_start(dns_resolver(b->dns), &x->q, name, &x->w);
}

static void await(struct bench *b, struct question *x)
{
	for (int i = 0; i < 500 && !x->wakes; i++)
		loop_turn(b->l, 10 * NSEC_MS);
	assert_int_equal(x->wakes, 1);
	assert_null(x->q.query);
}

static void idle(struct bench *b, int ms)
{
	for (int i = 0; i < ms / 5; i++)
		loop_turn(b->l, 5 * NSEC_MS);
}

static void an_answer_comes_by_a_wake_and_the_next_one_at_once(void **state)
{
	struct question x;
	char text[ADDR_TEXT_MAX];
	struct bench b;

	bench_open(&b);
	assert_int_equal(ask(&b, &x, "one.test"), -EAGAIN);
	await(&b, &x);
	assert_int_equal(x.q.err, 0);
	assert_int_equal(x.q.n, 1);
	assert_string_equal(addr_format(&x.q.addrs[0], text), "192.0.2.1:0");

	assert_int_equal(ask(&b, &x, "ONE.test"), 0);
	assert_null(x.q.query);
	assert_int_equal(x.q.n, 1);
	assert_int_equal(x.wakes, 0);
	assert_int_equal(b.server->asked, 1);
	assert_int_equal(dns_cached(b.dns), 1);
	bench_close(&b);
}

static void both_families_are_asked_for(void **state)
{
	struct question x;
	int four = 0, six = 0;
	struct bench b;

	bench_open(&b);
	assert_int_equal(ask(&b, &x, "both.test"), -EAGAIN);
	await(&b, &x);
	assert_int_equal(x.q.err, 0);
	for (int i = 0; i < x.q.n; i++) {
		four += x.q.addrs[i].sa.sa_family == AF_INET;
		six += x.q.addrs[i].sa.sa_family == AF_INET6;
	}
	assert_int_equal(four, 2);
	assert_int_equal(six, 1);
	assert_int_equal(ask(&b, &x, "six.test"), -EAGAIN);
	await(&b, &x);
	assert_int_equal(x.q.n, 1);
	assert_int_equal(x.q.addrs[0].sa.sa_family, AF_INET6);
	bench_close(&b);
}

static void there_are_never_more_addresses_than_fit_and_some_of_each_family(void **state)
{
	struct question x;
	int six = 0;
	struct bench b;

	bench_open(&b);
	assert_int_equal(ask(&b, &x, "many.test"), -EAGAIN);
	await(&b, &x);
	assert_int_equal(x.q.n, RESOLVE_MAX);
	for (int i = 0; i < x.q.n; i++)
		six += x.q.addrs[i].sa.sa_family == AF_INET6;
	assert_in_range(six, 1, RESOLVE_MAX - 1);
	bench_close(&b);
}

static void those_who_ask_for_the_same_name_share_one_question(void **state)
{
	struct question x[5];
	struct bench b;

	bench_open(&b);
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		assert_int_equal(ask(&b, &x[i], i % 2 ? "slow.test" : "SLOW.TEST"), -EAGAIN);
	for (size_t i = 0; i < ARRAY_LEN(x); i++) {
		await(&b, &x[i]);
		assert_int_equal(x[i].q.n, 1);
	}
	assert_int_equal(b.server->asked, 1);
	bench_close(&b);
}

static void a_failure_says_which_and_is_remembered(void **state)
{
	static const struct {
		const char *name;
		int err;
	} rows[] = {
		{"nx.test", -ERR_NO_ADDRESS},
		{"none.test", -ERR_NO_ADDRESS},
		{"fail.test", -ERR_RESOLVE},
		{"silent.test", -ERR_RESOLVE},
	};
	struct question x;
	struct bench b;
	unsigned asked;

	bench_open(&b);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(ask(&b, &x, rows[i].name), -EAGAIN);
		await(&b, &x);
		assert_int_equal(x.q.err, rows[i].err);
		assert_int_equal(x.q.n, 0);
		asked = b.server->asked;
		assert_int_equal(ask(&b, &x, rows[i].name), 0);
		assert_int_equal(x.q.err, rows[i].err);
		assert_int_equal(b.server->asked, asked);
	}
	bench_close(&b);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Whoever waits for the old servers, too. */
static void a_file_read_again_names_the_servers_of_now(void **state)
{
	char path[] = "/tmp/weir-resolv-XXXXXX";
	struct dns_options opt = {.try_ms = 3000, .tries = 1, .file = path};
	struct question x, y;
	struct addr at;
	struct bench b;
	int fd, silent;

	b.l = loop_new(LOOP_EPOLL, 0);
	b.server = server_start();
	assert_int_equal(addr_parse(&at, b.server->address), 0);
	opt.port = addr_port(&at);
	assert_int_equal(addr_parse_ip(&at, "127.0.0.9", opt.port), 0);
	silent = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(silent, &at.sa, at.len), 0);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	write_file(path, "nameserver 127.0.0.9\n");
	b.dns = dns_new_with(b.l, &opt);
	assert_non_null(b.dns);
	assert_int_equal(ask(&b, &x, "one.test"), -EAGAIN);
	idle(&b, 50);
	assert_int_equal(x.wakes, 0);

	write_file(path, "nameserver 127.0.0.1\n");
	assert_int_equal(dns_reread(b.dns), 0);
	await(&b, &x);
	assert_int_equal(x.q.err, 0);
	assert_int_equal(ask(&b, &y, "both.test"), -EAGAIN);
	await(&b, &y);
	assert_int_equal(y.q.n, 3);
	/* An answer stays, whoever gave it. */
	write_file(path, "nameserver 127.0.0.9\n");
	assert_int_equal(dns_reread(b.dns), 0);
	assert_int_equal(ask(&b, &y, "one.test"), 0);
	assert_int_equal(ask(&b, &y, "six.test"), -EAGAIN); /* under way when it ends */
	close(silent);
	unlink(path);
	bench_close(&b);
}

static void what_needs_no_server_is_answered_at_once(void **state)
{
	struct question x;
	struct bench b;

	bench_open(&b);
	assert_int_equal(ask(&b, &x, "localhost"), 0);
	assert_int_equal(x.q.err, 0);
	assert_true(x.q.n > 0);
	assert_int_equal(b.server->asked, 0);
	bench_close(&b);
}

static void a_text_that_is_no_name_is_an_error_not_a_question(void **state)
{
	struct question x;
	char name[400];
	struct bench b;

	bench_open(&b);
	memset(name, 'a', 300);
	name[300] = '\0';
	assert_int_equal(ask(&b, &x, name), 0);
	assert_true(x.q.err < 0);
	memset(name + 70, '.', 1);
	name[80] = '\0'; /* a label of 70 */
	if (ask(&b, &x, name) == -EAGAIN)
		await(&b, &x);
	assert_true(x.q.err < 0);
	if (ask(&b, &x, "a..test") == -EAGAIN)
		await(&b, &x);
	assert_true(x.q.err < 0);
	assert_int_equal(b.server->asked, 0);
	bench_close(&b);
}

static void who_calls_off_is_not_woken_and_the_others_are(void **state)
{
	struct question x, y;
	struct bench b;

	bench_open(&b);
	assert_int_equal(ask(&b, &x, "slow.test"), -EAGAIN);
	assert_int_equal(ask(&b, &y, "slow.test"), -EAGAIN);
	resolver_cancel(dns_resolver(b.dns), &x.q);
	assert_null(x.q.query);
	await(&b, &y);
	idle(&b, 20);
	assert_int_equal(x.wakes, 0);
	resolver_cancel(dns_resolver(b.dns), &x.q);
	resolver_cancel(dns_resolver(b.dns), &y.q);

	assert_int_equal(ask(&b, &x, "both.test"), -EAGAIN);
	resolver_cancel(dns_resolver(b.dns), &x.q);
	for (int i = 0; i < 200 && ask(&b, &y, "both.test") == -EAGAIN; i++) {
		resolver_cancel(dns_resolver(b.dns), &y.q);
		idle(&b, 5);
	}
	assert_int_equal(y.q.n, 3); /* the answer was kept, for the next one */
	assert_int_equal(x.wakes, 0);
	bench_close(&b);
}

static void a_resolver_may_go_with_questions_under_way(void **state)
{
	struct question x[3];
	struct bench b;

	bench_open(&b);
	assert_int_equal(ask(&b, &x[0], "silent.test"), -EAGAIN);
	assert_int_equal(ask(&b, &x[1], "silent.test"), -EAGAIN);
	assert_int_equal(ask(&b, &x[2], "slow.test"), -EAGAIN);
	idle(&b, 10);
	dns_free(b.dns);
	b.dns = NULL;
	idle(&b, 60);
	for (size_t i = 0; i < ARRAY_LEN(x); i++) {
		assert_null(x[i].q.query);
		assert_int_equal(x[i].wakes, 0);
	}
	bench_close(&b);
}

static void many_names_at_once_are_all_answered(void **state)
{
	static struct question x[200];
	char name[32];
	struct bench b;

	bench_open(&b);
	for (unsigned i = 0; i < ARRAY_LEN(x); i++) {
		snprintf(name, sizeof(name), "unknown-%u.test", i);
		assert_int_equal(ask(&b, &x[i], name), -EAGAIN);
	}
	for (unsigned i = 0; i < ARRAY_LEN(x); i++) {
		await(&b, &x[i]);
		assert_int_equal(x[i].q.err, -ERR_NO_ADDRESS);
	}
	assert_int_equal(dns_cached(b.dns), ARRAY_LEN(x));
	bench_close(&b);
}

/* ---- more questions than places ------------------------------------------------------------- */

static void ask_unanswered(struct bench *b, struct question *v, unsigned from, unsigned to)
{
	char name[32];

	for (unsigned i = from; i < to; i++) {
		snprintf(name, sizeof(name), "n%u.mute.test", i);
		assert_int_equal(ask(b, &v[i], name), -EAGAIN);
		if (i % 64 == 0)
			loop_turn(b->l, 0);
	}
}

/* Nobody loses patience, and a file names the server. */
static void patient_bench_open(struct bench *b, char path[32])
{
	struct dns_options opt = {.try_ms = 60000, .tries = 1, .file = path};
	struct addr at;

	snprintf(path, 32, "/tmp/weir-resolv.%d", getpid());
	write_file(path, "nameserver 127.0.0.1\n");
	b->l = loop_new(LOOP_EPOLL, 0);
	b->server = server_start();
	assert_int_equal(addr_parse(&at, b->server->address), 0);
	opt.port = addr_port(&at);
	b->dns = dns_new_with(b->l, &opt);
	assert_non_null(b->dns);
}

/* A datagram may be lost where so many are sent: then another name has to do. */
static void somebody_is_answered(struct bench *b)
{
	struct question *x = calloc(30, sizeof(*x));
	char name[32];
	int n = -1;

	do {
		assert_true(++n < 30);
		idle(b, 50);
		snprintf(name, sizeof(name), "n%d.fine.test", n);
		assert_int_equal(ask(b, &x[n], name), -EAGAIN);
		for (int i = 0; i < 100 && !x[n].wakes; i++)
			loop_turn(b->l, 10 * NSEC_MS);
	} while (!x[n].wakes);
	assert_int_equal(x[n].q.err, 0);
	assert_int_equal(x[n].q.n, 1);
	for (int i = 0; i < n; i++)
		resolver_cancel(dns_resolver(b->dns), &x[i].q);
	loop_turn(b->l, 0);
	free(x);
}

static void where_all_places_are_taken_the_oldest_question_gives_way(void **state)
{
	struct question *v = calloc(DNS_CACHE_MAX, sizeof(*v));
	char path[32];
	struct bench b;

	patient_bench_open(&b, path);
	ask_unanswered(&b, v, 0, DNS_CACHE_MAX);
	somebody_is_answered(&b);
	assert_int_equal(v[0].wakes, 1);
	assert_int_equal(v[0].q.err, -ERR_RESOLVE);
	assert_int_equal(v[100].wakes, 0);
	assert_int_equal(dns_cached(b.dns), DNS_CACHE_MAX);
	bench_close(&b);
	unlink(path);
	free(v);
}

static void questions_that_were_given_up_do_not_pile_up(void **state)
{
	unsigned n = 2 * DNS_CACHE_MAX + 100;
	struct question *v = calloc(n, sizeof(*v));
	char path[32];
	struct bench b;

	patient_bench_open(&b, path);
	ask_unanswered(&b, v, 0, n - 100);
	assert_int_equal(dns_given_up(b.dns), DNS_CACHE_MAX);
	ask_unanswered(&b, v, n - 100, n); /* what is waited for is asked anew */
	assert_in_range(dns_given_up(b.dns), 0, 100);
	somebody_is_answered(&b);
	assert_int_equal(v[n - DNS_CACHE_MAX - 1].wakes, 1);
	assert_int_equal(v[n - DNS_CACHE_MAX - 1].q.err, -ERR_RESOLVE);
	assert_int_equal(v[n - DNS_CACHE_MAX + 100].wakes, 0);
	bench_close(&b);
	unlink(path);
	free(v);
}

static void a_question_that_nobody_waits_for_gives_way_before_an_older_one(void **state)
{
	struct question *v = calloc(DNS_CACHE_MAX, sizeof(*v));
	char path[32];
	struct bench b;

	patient_bench_open(&b, path);
	ask_unanswered(&b, v, 0, DNS_CACHE_MAX);
	for (unsigned i = 1000; i < 1040; i++)
		resolver_cancel(dns_resolver(b.dns), &v[i].q);
	somebody_is_answered(&b);
	assert_int_equal(v[0].wakes, 0);
	assert_int_equal(v[1000].wakes, 0);
	assert_in_range(dns_given_up(b.dns), 1, 30);
	bench_close(&b);
	unlink(path);
	free(v);
}

/* All have come to the server: what is under way at once fits into its socket. */
static void await_asked(struct bench *b, unsigned n)
{
	for (int i = 0; i < 1000 && b->server->asked < n; i++)
		loop_turn(b->l, 5 * NSEC_MS);
	assert_int_equal(b->server->asked, n);
}

/* Nor does it count as having failed. */
static void servers_of_now_are_asked_for_what_is_waited_for_and_nothing_else(void **state)
{
	struct question *v = calloc(200, sizeof(*v)), x;
	char path[32];
	struct bench b;

	patient_bench_open(&b, path);
	ask_unanswered(&b, v, 0, 100);
	await_asked(&b, 100);
	ask_unanswered(&b, v, 100, 200);
	await_asked(&b, 200);
	for (unsigned i = 100; i < 200; i++)
		resolver_cancel(dns_resolver(b.dns), &v[i].q);
	assert_int_equal(dns_reread(b.dns), 0);
	await_asked(&b, 300);
	idle(&b, 50);
	assert_int_equal(b.server->asked, 300);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(v[i].wakes, 0);
	assert_int_equal(ask(&b, &x, "n150.mute.test"), -EAGAIN);
	bench_close(&b);
	unlink(path);
	free(v);
}

static void a_list_of_servers_that_is_none_is_refused(void **state)
{
	struct bench b;

	bench_open(&b);
	assert_int_equal(dns_set_servers(b.dns, "not an address"), -ERR_CONFIG);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_comes_by_a_wake_and_the_next_one_at_once),
		cmocka_unit_test(both_families_are_asked_for),
		cmocka_unit_test(there_are_never_more_addresses_than_fit_and_some_of_each_family),
		cmocka_unit_test(those_who_ask_for_the_same_name_share_one_question),
		cmocka_unit_test(a_failure_says_which_and_is_remembered),
		cmocka_unit_test(a_file_read_again_names_the_servers_of_now),
		cmocka_unit_test(what_needs_no_server_is_answered_at_once),
		cmocka_unit_test(a_text_that_is_no_name_is_an_error_not_a_question),
		cmocka_unit_test(who_calls_off_is_not_woken_and_the_others_are),
		cmocka_unit_test(a_resolver_may_go_with_questions_under_way),
		cmocka_unit_test(many_names_at_once_are_all_answered),
		cmocka_unit_test(where_all_places_are_taken_the_oldest_question_gives_way),
		cmocka_unit_test(questions_that_were_given_up_do_not_pile_up),
		cmocka_unit_test(a_question_that_nobody_waits_for_gives_way_before_an_older_one),
		cmocka_unit_test(servers_of_now_are_asked_for_what_is_waited_for_and_nothing_else),
		cmocka_unit_test(a_list_of_servers_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
