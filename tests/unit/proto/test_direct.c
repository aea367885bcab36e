/* The direct outbound: real sockets on loopback, a resolver that says what the test wants. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/sock.h"
#include "proto/direct/direct.h"
#include "proto/direct/direct_dial.h"
#include "stream/udp.h"

#include "packets.h"

/* ---- a resolver in the test's hands ---------------------------------------------------------- */

struct fake {
	struct resolver r;
	struct loop *l;
	struct resolve *pending[8];
	int npending, asked, cancelled;
	bool at_once;
	int err, n; /* what it says */
	struct addr addrs[RESOLVE_MAX];
};

static void fake_fill(struct fake *f, struct resolve *q)
{
	q->query = NULL;
	q->err = f->err;
	q->n = f->err ? 0 : f->n;
	memcpy(q->addrs, f->addrs, sizeof(f->addrs));
}

static int fake_start(struct resolver *r, struct resolve *q, const char *name)
{
	struct fake *f = container_of(r, struct fake, r);

	f->asked++;
	if (f->at_once) {
		fake_fill(f, q);
		return 0;
	}
	q->query = f;
	assert_true(f->npending < (int)ARRAY_LEN(f->pending));
	f->pending[f->npending++] = q;
	return -EAGAIN;
}

static void fake_cancel(struct resolver *r, struct resolve *q)
{
	struct fake *f = container_of(r, struct fake, r);

	for (int i = 0; i < f->npending; i++) {
		if (f->pending[i] == q)
			f->pending[i] = f->pending[--f->npending];
	}
	q->query = NULL;
	f->cancelled++;
}

/* The answer to everything that waits. */
static void fake_answer(struct fake *f)
{
	while (f->npending > 0) {
		struct resolve *q = f->pending[--f->npending];

		fake_fill(f, q);
		loop_queue(f->l, q->waiter);
	}
}

static const struct resolver_ops fake_ops = {.start = fake_start, .cancel = fake_cancel};

static struct addr at(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, text), 0);
	return a;
}

static uint16_t port_of(const char *text)
{
	struct addr a = at(text);

	return addr_port(&a);
}

static void fake_says(struct fake *f, const char *a, const char *b, const char *c)
{
	const char *const texts[] = {a, b, c};

	f->err = 0;
	f->n = 0;
	for (int i = 0; i < 3; i++) {
		if (texts[i])
			assert_int_equal(addr_parse_ip(&f->addrs[f->n++], texts[i], 0), 0);
	}
}

/* ---- the outbound ---------------------------------------------------------------------------- */

struct bench {
	struct loop *l;
	struct fake fake;
	struct direct_conf conf;
	struct own_addr own;
	struct direct direct;
	struct waiter w;
	int wakes;
	struct dial *dial;
	struct stream *s;
};

static void on_wake(struct waiter *w)
{
	container_of(w, struct bench, w)->wakes++;
}

static void bench_open(struct bench *b)
{
	*b = (struct bench){.l = loop_new(LOOP_EPOLL, 0)};
	b->fake = (struct fake){.r = {&fake_ops}, .l = b->l, .at_once = true};
	b->conf.allow_private = true;
	own_addr_init(&b->own);
	direct_init(&b->direct, &b->fake.r, &b->conf, &b->own);
	waiter_init(&b->w, on_wake);
}

static void bench_close(struct bench *b)
{
	stream_free(b->s);
	loop_turn(b->l, 0);
	assert_int_equal(loop_pool(b->l)->nused, 0);
	loop_free(b->l);
	own_addr_done(&b->own);
}

static void dial(struct bench *b, const char *to)
{
	struct dest d;

	assert_int_equal(dest_parse(&d, to), 0);
	b->wakes = 0;
	b->dial = dialer_dial(&b->direct.dialer, b->l, &d, &b->w);
	assert_non_null(b->dial);
}

static int result(struct bench *b)
{
	int err = -EAGAIN;

	stream_free(b->s);
	b->s = NULL;
	for (int i = 0; i < 1000 && err == -EAGAIN; i++) {
		err = dial_result(b->dial, &b->s);
		if (err == -EAGAIN)
			loop_turn(b->l, 10 * NSEC_MS);
	}
	return err;
}

static int listen_on(const char *text, int backlog, char *out)
{
	struct addr a = at(text);
	int fd = socket(a.sa.sa_family, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	if (bind(fd, &a.sa, a.len) < 0) {
		close(fd);
		return -1;
	}
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(sock_local(fd, &a), 0);
	addr_format(&a, out);
	return fd;
}

/* "name:port of text". */
static const char *named(const char *text)
{
	static char out[DEST_TEXT_MAX];

	snprintf(out, sizeof(out), "name.test:%u", port_of(text));
	return out;
}

/* ---- selection ------------------------------------------------------------------------------- */

static const char *selected(struct bench *b, const char *list)
{
	static char out[512];
	struct addr addrs[RESOLVE_MAX];
	char copy[256], *save = NULL, text[ADDR_TEXT_MAX];
	size_t len = 0;
	int n = 0;

	snprintf(copy, sizeof(copy), "%s", list);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		assert_int_equal(addr_parse_ip(&addrs[n++], w, 0), 0);
	n = direct_select(&b->direct, addrs, n, 80);
	if (n < 0)
		return err_name(n);
	out[0] = '\0';
	for (int i = 0; i < n; i++) {
		assert_int_equal(addr_port(&addrs[i]), 80);
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%s", i ? " " : "",
					addr_format_ip(&addrs[i], text));
	}
	return out;
}

static void families_take_turns_the_preferred_one_first(void **state)
{
	static const struct {
		enum direct_family family;
		const char *in, *out;
	} rows[] = {
		{DIRECT_ANY, "1.1.1.1 1.1.1.2 2a00::1 2a00::2", "2a00::1 1.1.1.1 2a00::2 1.1.1.2"},
		{DIRECT_IP6_FIRST, "1.1.1.1 2a00::1", "2a00::1 1.1.1.1"},
		{DIRECT_IP4_FIRST, "2a00::1 2a00::2 2a00::3 1.1.1.1",
		 "1.1.1.1 2a00::1 2a00::2 2a00::3"},
		{DIRECT_IP4_ONLY, "2a00::1 1.1.1.2 1.1.1.1", "1.1.1.2 1.1.1.1"},
		{DIRECT_IP6_ONLY, "2a00::1 1.1.1.2 1.1.1.1", "2a00::1"},
		{DIRECT_IP6_ONLY, "1.1.1.2 1.1.1.1", "NO_ADDRESS"},
		{DIRECT_IP4_ONLY, "2a00::1", "NO_ADDRESS"},
		{DIRECT_ANY, "::ffff:1.1.1.1", "1.1.1.1"},
		{DIRECT_IP6_ONLY, "::ffff:1.1.1.1", "NO_ADDRESS"},
		{DIRECT_ANY, "1.1.1.1", "1.1.1.1"},
	};
	struct bench b;

	bench_open(&b);
	b.conf.allow_private = false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		b.conf.family = rows[i].family;
		assert_string_equal(selected(&b, rows[i].in), rows[i].out);
	}
	bench_close(&b);
}

static void private_and_own_addresses_are_left_out(void **state)
{
	static const char *const private[] = {
		"127.0.0.1",	  "10.1.2.3", "192.168.1.1", "169.254.169.254", "0.0.0.0",
		"100.64.0.1",	  "::1",      "fe80::1",     "fc00::1",		"::ffff:10.0.0.1",
		"64:ff9b::a00:1", "::",
	};
	struct addr own[] = {at("203.0.114.5:0"), at("[2a00:1::5]:0")};
	struct bench b;

	bench_open(&b);
	b.conf.allow_private = false;
	assert_int_equal(own_addr_set(&b.own, own, 2), 1);
	for (size_t i = 0; i < ARRAY_LEN(private); i++)
		assert_string_equal(selected(&b, private[i]), "DENIED");
	assert_string_equal(selected(&b, "203.0.114.5"), "DENIED");
	assert_string_equal(selected(&b, "::ffff:203.0.114.5 2a00:1::5"), "DENIED");
	/* a name with a public address among them is reached there, and only there */
	assert_string_equal(selected(&b, "127.0.0.1 1.1.1.1 2a00:1::5"), "1.1.1.1");
	b.conf.allow_private = true;
	assert_string_equal(selected(&b, "127.0.0.1"), "127.0.0.1");
	assert_string_equal(selected(&b, "203.0.114.5"), "203.0.114.5");
	bench_close(&b);
}

/* ---- dialling -------------------------------------------------------------------------------- */

static void an_address_is_dialled_and_the_stream_is_open(void **state)
{
	char where[ADDR_TEXT_MAX];
	int fd = listen_on("127.0.0.1:0", 4, where);
	struct addr peer;
	struct bench b;

	bench_open(&b);
	dial(&b, where);
	assert_int_equal(result(&b), 0);
	assert_int_equal(stream_open(b.s), 0);
	assert_true(stream_peer(b.s, &peer));
	assert_int_equal(b.fake.asked, 0);
	close(fd);
	bench_close(&b);
}

static void nobody_listening_is_a_refusal(void **state)
{
	char where[ADDR_TEXT_MAX];
	struct bench b;

	close(listen_on("127.0.0.1:0", 4, where));
	bench_open(&b);
	dial(&b, where);
	assert_int_equal(result(&b), -ECONNREFUSED);
	bench_close(&b);
}

static void a_private_address_is_denied_by_number_and_by_name(void **state)
{
	char where[ADDR_TEXT_MAX];
	int fd = listen_on("127.0.0.1:0", 4, where);
	struct bench b;

	bench_open(&b);
	b.conf.allow_private = false;
	dial(&b, where);
	assert_int_equal(result(&b), -ERR_DENIED);
	fake_says(&b.fake, "127.0.0.1", "::1", NULL);
	dial(&b, named(where));
	assert_int_equal(result(&b), -ERR_DENIED);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	close(fd);
	bench_close(&b);
}

static void a_name_is_resolved_now_or_later(void **state)
{
	char where[ADDR_TEXT_MAX];
	int fd = listen_on("127.0.0.1:0", 4, where);
	struct stream *none = NULL;
	struct bench b;

	bench_open(&b);
	fake_says(&b.fake, "127.0.0.1", NULL, NULL);
	dial(&b, named(where));
	assert_int_equal(result(&b), 0);

	b.fake.at_once = false;
	dial(&b, named(where));
	loop_turn(b.l, 5 * NSEC_MS);
	assert_int_equal(dial_result(b.dial, &none), -EAGAIN);
	assert_null(none);
	fake_answer(&b.fake);
	assert_int_equal(result(&b), 0);
	assert_int_equal(b.fake.asked, 2);
	close(fd);
	bench_close(&b);
}

static void the_resolver_s_error_is_the_dial_s(void **state)
{
	struct bench b;

	bench_open(&b);
	b.fake.err = -ERR_RESOLVE;
	dial(&b, "name.test:80");
	assert_int_equal(result(&b), -ERR_RESOLVE);
	b.fake.at_once = false;
	b.fake.err = -ERR_NO_ADDRESS;
	dial(&b, "name.test:80");
	fake_answer(&b.fake);
	assert_int_equal(result(&b), -ERR_NO_ADDRESS);
	b.fake.err = 0;
	fake_says(&b.fake, "127.0.0.1", NULL, NULL);
	b.conf.family = DIRECT_IP6_ONLY;
	dial(&b, "name.test:80");
	fake_answer(&b.fake);
	assert_int_equal(result(&b), -ERR_NO_ADDRESS);
	bench_close(&b);
}

static void an_address_that_fails_makes_room_for_the_next_at_once(void **state)
{
	char where[ADDR_TEXT_MAX], text[ADDR_TEXT_MAX];
	int fd = listen_on("127.0.0.3:0", 4, where);
	struct addr peer;
	struct bench b;
	nsec_t begun;

	bench_open(&b);
	fake_says(&b.fake, "127.0.0.1", "127.0.0.2", "127.0.0.3");
	begun = loop_now(b.l);
	dial(&b, named(where));
	assert_int_equal(result(&b), 0);
	assert_true(loop_now(b.l) - begun < 200 * NSEC_MS * unit_slow());
	assert_true(stream_peer(b.s, &peer));
	assert_string_equal(addr_format_ip(&peer, text), "127.0.0.3");
	close(fd);
	bench_close(&b);
}

static void when_all_fail_the_last_one_says_why(void **state)
{
	char where[ADDR_TEXT_MAX];
	struct bench b;

	close(listen_on("127.0.0.1:0", 4, where));
	bench_open(&b);
	fake_says(&b.fake, "127.0.0.1", "127.0.0.2", "127.0.0.3");
	dial(&b, named(where));
	assert_int_equal(result(&b), -ECONNREFUSED);
	bench_close(&b);
}

/* A listener whose queue is full answers nobody: connecting to it hangs.  How many connections that
 * takes is the kernel's business; -1 where it cannot be had.
 */
static int hanging(const char *where, int fds[64])
{
	struct addr a = at(where);

	for (int i = 0; i < 64; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		int err;

		assert_true(fd >= 0);
		fds[i] = fd;
		err = connect(fd, &a.sa, a.len) == 0 ? 0 : errno;
		usleep(20000);
		if (err == EINPROGRESS && connect(fd, &a.sa, a.len) < 0 && errno == EALREADY)
			return i + 1;
	}
	return -1;
}

static void an_address_that_hangs_is_overtaken_after_a_quarter_of_a_second(void **state)
{
	char where[ADDR_TEXT_MAX], here[ADDR_TEXT_MAX], text[ADDR_TEXT_MAX];
	int full = listen_on("127.0.0.1:0", 0, where), good, fds[64], n;
	struct bench b;
	struct addr peer;
	nsec_t begun;

	n = hanging(where, fds);
	snprintf(here, sizeof(here), "127.0.0.2:%u", port_of(where));
	good = listen_on(here, 4, here);
	if (n > 0 && good >= 0) {
		bench_open(&b);
		fake_says(&b.fake, "127.0.0.1", "127.0.0.2", NULL);
		begun = loop_now(b.l);
		dial(&b, named(where));
		assert_int_equal(result(&b), 0);
		assert_true(loop_now(b.l) - begun >= 240 * NSEC_MS);
		assert_true(loop_now(b.l) - begun < 1000 * NSEC_MS * unit_slow());
		assert_true(stream_peer(b.s, &peer));
		assert_string_equal(addr_format_ip(&peer, text), "127.0.0.2");

		/* and both can be abandoned under way */
		fake_says(&b.fake, "127.0.0.1", "127.0.0.1", NULL);
		dial(&b, named(where));
		for (int i = 0; i < 4; i++)
			loop_turn(b.l, 100 * NSEC_MS);
		dial_cancel(b.dial);
		b.wakes = 0;
		loop_turn(b.l, 10 * NSEC_MS);
		assert_int_equal(b.wakes, 0);
		bench_close(&b);
	}
	for (int i = 0; i < (n > 0 ? n : 64); i++)
		close(fds[i]);
	close(full);
	if (good >= 0)
		close(good);
	if (n < 0 || good < 0)
		skip();
}

static void a_dial_can_be_called_off_at_any_time(void **state)
{
	char where[ADDR_TEXT_MAX];
	int fd = listen_on("127.0.0.1:0", 4, where);
	struct bench b;

	bench_open(&b);
	fake_says(&b.fake, "127.0.0.1", NULL, NULL);
	dial(&b, where); /* connecting */
	dial_cancel(b.dial);
	dial(&b, where); /* connected, and the wake queued */
	for (int i = 0; i < 20; i++)
		loop_turn(b.l, NSEC_MS);
	dial_cancel(b.dial);
	b.fake.at_once = false;
	dial(&b, named(where)); /* resolving */
	dial_cancel(b.dial);
	assert_int_equal(b.fake.cancelled, 1);
	dial(&b, named(where)); /* answered, not yet told */
	fake_answer(&b.fake);
	dial_cancel(b.dial);
	b.wakes = 0;
	loop_turn(b.l, 10 * NSEC_MS);
	assert_int_equal(b.wakes, 0);
	close(fd);
	bench_close(&b);
}

static void the_configured_source_is_where_it_comes_from(void **state)
{
	char where[ADDR_TEXT_MAX], text[ADDR_TEXT_MAX];
	int fd = listen_on("127.0.0.1:0", 4, where), got;
	struct addr from;
	struct bench b;

	bench_open(&b);
	b.conf.source = at("127.0.0.9:0");
	dial(&b, where);
	assert_int_equal(result(&b), 0);
	got = accept(fd, NULL, NULL);
	assert_int_equal(sock_peer(got, &from), 0);
	assert_string_equal(addr_format_ip(&from, text), "127.0.0.9");
	close(got);
	close(fd);
	bench_close(&b);
}

static void block_goes_nowhere(void **state)
{
	struct dgram *d = NULL;
	struct bench b;
	struct dest to;

	bench_open(&b);
	assert_int_equal(dest_parse(&to, "192.0.2.1:80"), 0);
	b.dial = dialer_dial(&block_dialer, b.l, &to, &b.w);
	loop_turn(b.l, 0);
	assert_int_equal(b.wakes, 1);
	assert_int_equal(result(&b), -ERR_BLOCKED);
	b.dial = dialer_dial(&block_dialer, b.l, &to, &b.w);
	dial_cancel(b.dial);
	loop_turn(b.l, 0);
	assert_int_equal(b.wakes, 1);
	assert_int_equal(dialer_dgram(&block_dialer, b.l, &to, &d), -ERR_BLOCKED);
	bench_close(&b);
}

/* ---- UDP ------------------------------------------------------------------------------------- */

struct udp_bench {
	struct bench b;
	struct dgram *d;
	struct dgram *far[2]; /* on 127.0.0.1 and 127.0.0.2, the same port */
	uint16_t port;
	char names[4][DEST_TEXT_MAX];
};

static void address_of(struct dgram *d, char *out)
{
	union stream_value v;

	assert_int_equal(d->ops->query(d, STREAM_LOCAL, &v), 0);
	addr_format(v.addr, out);
}

static void udp_open(struct udp_bench *u)
{
	char text[ADDR_TEXT_MAX];
	struct dest none = {0};
	struct addr a = at("127.0.0.1:0");

	bench_open(&u->b);
	assert_int_equal(udp_dgram_new(u->b.l, AF_INET, &a, &u->far[0]), 0);
	address_of(u->far[0], text);
	a = at(text);
	u->port = addr_port(&a);
	a = at("127.0.0.2:0");
	addr_set_port(&a, u->port);
	assert_int_equal(udp_dgram_new(u->b.l, AF_INET, &a, &u->far[1]), 0);
	for (unsigned i = 0; i < ARRAY_LEN(u->names); i++)
		snprintf(u->names[i], DEST_TEXT_MAX, "n%u.test:%u", i, u->port);
	assert_int_equal(dialer_dgram(&u->b.direct.dialer, u->b.l, &none, &u->d), 0);
}

static void udp_close(struct udp_bench *u)
{
	dgram_free(u->d);
	dgram_free(u->far[0]);
	dgram_free(u->far[1]);
	bench_close(&u->b);
}

static void send_text(struct dgram *d, const char *text, const char *to)
{
	struct packet p = packet_of(d->loop, text, to);

	assert_int_equal(dgram_send(d, &p, 1), 1);
}

/* One packet within a moment; "" in `from` and false: none. */
static bool expect(struct dgram *d, const char *text, char *from)
{
	char at_[DEST_TEXT_MAX];
	struct packet p;
	int n = -EAGAIN;

	for (int i = 0; i < 30 && n == -EAGAIN; i++) {
		n = dgram_recv(d, &p, 1);
		if (n == -EAGAIN)
			loop_turn(d->loop, 5 * NSEC_MS);
	}
	if (n == -EAGAIN)
		return false;
	assert_int_equal(n, 1);
	dest_format(&p.dest, from ? from : at_);
	assert_int_equal(buf_len(p.buf), strlen(text));
	assert_memory_equal(buf_head(p.buf), text, strlen(text));
	buf_free(p.buf);
	return true;
}

static void a_name_keeps_its_address_and_labels_what_comes_from_it(void **state)
{
	char from[DEST_TEXT_MAX], label[DEST_TEXT_MAX], number[DEST_TEXT_MAX];
	struct udp_bench u;

	udp_open(&u);
	fake_says(&u.b.fake, "127.0.0.1", NULL, NULL);
	send_text(u.d, "one", u.names[0]);
	assert_true(expect(u.far[0], "one", from));
	send_text(u.far[0], "answer", from);
	assert_true(expect(u.d, "answer", label));
	assert_string_equal(label, u.names[0]);

	/* the resolver has changed its mind; this association has not */
	fake_says(&u.b.fake, "127.0.0.2", NULL, NULL);
	send_text(u.d, "two", u.names[0]);
	assert_true(expect(u.far[0], "two", NULL));
	assert_int_equal(u.b.fake.asked, 1);

	/* who was not asked may answer, too, under its own address */
	send_text(u.far[1], "hello", from);
	assert_true(expect(u.d, "hello", label));
	snprintf(number, sizeof(number), "127.0.0.2:%u", u.port);
	assert_string_equal(label, number);
	udp_close(&u);
}

static void packets_wait_for_their_name_in_order_and_not_without_end(void **state)
{
	char text[8];
	struct udp_bench u;

	udp_open(&u);
	u.b.fake.at_once = false;
	for (int i = 0; i < 12; i++) {
		snprintf(text, sizeof(text), "p%d", i);
		send_text(u.d, text, u.names[0]);
	}
	assert_int_equal(u.b.fake.asked, 1);
	assert_int_equal(u.d->dropped, 4);
	fake_says(&u.b.fake, "127.0.0.1", NULL, NULL);
	fake_answer(&u.b.fake);
	/* the answer is here, and nobody has looked: one more, which is too many, not another
	 * question */
	send_text(u.d, "p12", u.names[0]);
	assert_int_equal(u.b.fake.asked, 1);
	assert_int_equal(u.d->dropped, 5);
	for (int i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "p%d", i);
		assert_true(expect(u.far[0], text, NULL));
	}
	send_text(u.d, "now", u.names[0]);
	assert_true(expect(u.far[0], "now", NULL));
	udp_close(&u);
}

static void a_name_that_failed_is_asked_for_again_by_the_next_packet(void **state)
{
	struct udp_bench u;

	udp_open(&u);
	u.b.fake.err = -ERR_RESOLVE;
	send_text(u.d, "lost", u.names[0]);
	assert_int_equal(u.d->dropped, 1);
	fake_says(&u.b.fake, "127.0.0.1", NULL, NULL);
	send_text(u.d, "found", u.names[0]);
	assert_true(expect(u.far[0], "found", NULL));
	assert_int_equal(u.b.fake.asked, 2);
	udp_close(&u);
}

static void what_is_not_allowed_is_dropped_by_number_and_by_name(void **state)
{
	char number[DEST_TEXT_MAX];
	struct udp_bench u;

	udp_open(&u);
	u.b.conf.allow_private = false;
	snprintf(number, sizeof(number), "127.0.0.1:%u", u.port);
	send_text(u.d, "by number", number);
	fake_says(&u.b.fake, "127.0.0.1", NULL, NULL);
	send_text(u.d, "by name", u.names[0]);
	send_text(u.d, "nowhere", NULL);
	assert_int_equal(u.d->dropped, 3);
	assert_false(expect(u.far[0], "", NULL));
	udp_close(&u);
}

static void what_may_not_be_sent_to_may_not_answer(void **state)
{
	char number[DEST_TEXT_MAX], back[ADDR_TEXT_MAX];
	struct udp_bench u;

	udp_open(&u);
	snprintf(number, sizeof(number), "127.0.0.1:%u", u.port);
	send_text(u.d, "here I am", number);
	assert_true(expect(u.far[0], "here I am", back));
	send_text(u.far[0], "welcome", back);
	assert_true(expect(u.d, "welcome", NULL));
	u.b.conf.allow_private = false;
	send_text(u.far[0], "from a private address", back);
	assert_false(expect(u.d, "", NULL));
	assert_int_equal(u.d->dropped, 1);
	udp_close(&u);
}

/* A link-local address without an interface: the kernel has no way there on any host. */
static void of_two_families_one_is_chosen_that_can_be_reached(void **state)
{
	struct udp_bench u;

	udp_open(&u);
	fake_says(&u.b.fake, "fe80::1", "127.0.0.1", NULL);
	send_text(u.d, "whatever works", u.names[0]);
	assert_true(expect(u.far[0], "whatever works", NULL));
	u.b.conf.family = DIRECT_IP6_FIRST;
	send_text(u.d, "and if told otherwise", u.names[1]);
	assert_true(expect(u.far[0], "and if told otherwise", NULL));
	udp_close(&u);
}

static void many_names(struct udp_bench *u, char name[DEST_TEXT_MAX], int i)
{
	snprintf(name, DEST_TEXT_MAX, "m%d.test:%u", i, u->port);
	send_text(u->d, "x", name);
}

static void an_association_forgets_the_name_used_longest_ago_for_a_new_one(void **state)
{
	char name[DEST_TEXT_MAX];
	struct udp_bench u;

	udp_open(&u);
	fake_says(&u.b.fake, "127.0.0.1", NULL, NULL);
	for (int i = 0; i < 70; i++) {
		many_names(&u, name, i);
		if (i >= 3)
			many_names(&u, name, 3); /* in use all the time */
	}
	assert_int_equal(u.d->dropped, 0);
	assert_int_equal(u.b.fake.asked, 70);
	many_names(&u, name, 10); /* remembered */
	many_names(&u, name, 3);
	assert_int_equal(u.b.fake.asked, 70);
	many_names(&u, name, 4); /* forgotten */
	assert_int_equal(u.b.fake.asked, 71);
	udp_close(&u);
}

static void what_waits_for_names_is_bounded_in_all(void **state)
{
	char name[DEST_TEXT_MAX];
	struct udp_bench u;

	udp_open(&u);
	u.b.fake.at_once = false;
	for (int i = 0; i < 8; i++) {
		for (int k = 0; k < 5; k++)
			many_names(&u, name, i);
	}
	assert_int_equal(u.d->dropped, 8);
	/* answered and gone: there is room again */
	u.b.fake.err = -ERR_RESOLVE;
	fake_answer(&u.b.fake);
	loop_turn(u.b.l, 0);
	assert_int_equal(u.d->dropped, 40);
	many_names(&u, name, 1);
	assert_int_equal(u.d->dropped, 40);
	udp_close(&u);
}

static void an_association_may_go_while_its_names_are_asked_for(void **state)
{
	struct udp_bench u;

	udp_open(&u);
	u.b.fake.at_once = false;
	send_text(u.d, "one", u.names[0]);
	send_text(u.d, "two", u.names[1]);
	fake_says(&u.b.fake, "127.0.0.1", NULL, NULL);
	u.b.fake.npending--; /* the first stays a question, the second has its answer */
	fake_fill(&u.b.fake, u.b.fake.pending[1]);
	loop_queue(u.b.l, u.b.fake.pending[1]->waiter);
	dgram_free(u.d);
	u.d = NULL;
	assert_int_equal(u.b.fake.cancelled, 1);
	udp_close(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families_take_turns_the_preferred_one_first),
		cmocka_unit_test(private_and_own_addresses_are_left_out),
		cmocka_unit_test(an_address_is_dialled_and_the_stream_is_open),
		cmocka_unit_test(nobody_listening_is_a_refusal),
		cmocka_unit_test(a_private_address_is_denied_by_number_and_by_name),
		cmocka_unit_test(a_name_is_resolved_now_or_later),
		cmocka_unit_test(the_resolver_s_error_is_the_dial_s),
		cmocka_unit_test(an_address_that_fails_makes_room_for_the_next_at_once),
		cmocka_unit_test(when_all_fail_the_last_one_says_why),
		cmocka_unit_test(an_address_that_hangs_is_overtaken_after_a_quarter_of_a_second),
		cmocka_unit_test(a_dial_can_be_called_off_at_any_time),
		cmocka_unit_test(the_configured_source_is_where_it_comes_from),
		cmocka_unit_test(block_goes_nowhere),
		cmocka_unit_test(a_name_keeps_its_address_and_labels_what_comes_from_it),
		cmocka_unit_test(packets_wait_for_their_name_in_order_and_not_without_end),
		cmocka_unit_test(a_name_that_failed_is_asked_for_again_by_the_next_packet),
		cmocka_unit_test(what_is_not_allowed_is_dropped_by_number_and_by_name),
		cmocka_unit_test(what_may_not_be_sent_to_may_not_answer),
		cmocka_unit_test(of_two_families_one_is_chosen_that_can_be_reached),
		cmocka_unit_test(an_association_forgets_the_name_used_longest_ago_for_a_new_one),
		cmocka_unit_test(what_waits_for_names_is_bounded_in_all),
		cmocka_unit_test(an_association_may_go_while_its_names_are_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
