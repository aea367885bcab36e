/* Vision as a layer, both roles, over a record layer of the test's own: Vision knows nothing of TLS but that it
 * is made of records and can be passed by.
 */
#include "unit.h"

#include "proto/vless/vision.h"
#include "proto/vless/vision_wire.h"
#include "proto/vless/vless.h"
#include "stream/pair.h"
#include "stream/relay.h"

#include "hostile.h"
#include "people.h"

/* ---- crates: u16 length, then bytes of which every bit is turned ----------------------------- */

struct crate {
	struct stream s;
	struct stream *lower;
	struct bufq rq, wq;
	struct waiter rd, wr, *up_rd, *up_wr;
	unsigned mode, bypass; /* bits */
	size_t largest;	       /* record made */
};

static struct crate *of(const struct stream *s)
{
	return container_of(s, struct crate, s);
}

static void turn(struct bufq *to, struct bufq *from, size_t n)
{
	uint8_t mem[512];

	while (n > 0) {
		size_t k = bufq_take(from, mem, MIN(n, sizeof(mem)));

		for (size_t i = 0; i < k; i++)
			mem[i] ^= 0xff;
		assert_int_equal(bufq_append(to, mem, k), 0);
		n -= k;
	}
}

static int crate_open(struct stream *s)
{
	return stream_open(of(s)->lower);
}

/* The length of the first record, or 0: not all is there. */
static size_t whole(const struct crate *c)
{
	uint8_t head[2];
	size_t len;

	if (bufq_peek(&c->rq, 0, head, 2) < 2)
		return 0;
	len = (size_t)head[0] << 8 | head[1];
	assert_true(len > 0);
	return bufq_len(&c->rq) >= 2 + len ? len : 0;
}

static ssize_t open_crates(struct crate *c, struct bufq *dst, size_t max)
{
	size_t got = 0, len;
	struct bufq over;

	while (got < max && (len = whole(c)) > 0) {
		bufq_drain(&c->rq, 2);
		bufq_init(&over, dst->pool, SIZE_MAX);
		turn(&over, &c->rq, len);
		got += bufq_move(dst, &over, max - got);
		stream_unread(&c->s, &over);
		if (c->mode & 1 << STREAM_IN || !bufq_empty(&c->s.unread))
			break;
	}
	return (ssize_t)got;
}

static ssize_t crate_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct crate *c = of(s);
	ssize_t n;

	for (;;) {
		if (c->bypass & 1 << STREAM_IN) {
			n = (ssize_t)bufq_move(dst, &c->rq, max);
			return n ? n : stream_pull(c->lower, dst, max);
		}
		n = open_crates(c, dst, max);
		if (n > 0)
			return n;
		n = stream_pull(c->lower, &c->rq, 20000);
		if (n == 0 && !bufq_empty(&c->rq))
			return -ERR_TRUNCATED;
		if (n <= 0)
			return n;
	}
}

static int flush(struct crate *c)
{
	while (!bufq_empty(&c->wq)) {
		ssize_t n = stream_push(c->lower, &c->wq);

		if (n == -EAGAIN)
			stream_want(c->lower, STREAM_WR, &c->wr);
		if (n < 0)
			return (int)n;
	}
	return 0;
}

static ssize_t crate_push(struct stream *s, struct bufq *src)
{
	struct crate *c = of(s);
	size_t n = MIN(bufq_len(src), (size_t)60000);
	uint8_t head[2] = {(uint8_t)(n >> 8), (uint8_t)n};
	int err = flush(c);

	if (err)
		return err;
	if (c->bypass & 1 << STREAM_OUT)
		return stream_push(c->lower, src);
	c->largest = MAX(c->largest, n);
	assert_int_equal(bufq_append(&c->wq, head, 2), 0);
	turn(&c->wq, src, n);
	err = flush(c);
	return err && err != -EAGAIN ? err : (ssize_t)n;
}

static void up(struct crate *c, struct waiter **slot)
{
	struct waiter *w = *slot;

	*slot = NULL;
	if (w)
		loop_queue(c->s.loop, w);
}

static void wake_rd(struct waiter *w)
{
	struct crate *c = container_of(w, struct crate, rd);

	up(c, &c->up_rd);
}

static void wake_wr(struct waiter *w)
{
	struct crate *c = container_of(w, struct crate, wr);

	if (flush(c) != -EAGAIN)
		up(c, &c->up_wr);
}

static void crate_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct crate *c = of(s);

	if (ev & STREAM_RD)
		c->up_rd = w;
	if (ev & STREAM_WR)
		c->up_wr = w;
	if (ev & STREAM_RD)
		stream_want(c->lower, STREAM_RD, &c->rd);
	if (ev & STREAM_WR)
		stream_want(c->lower, STREAM_WR, &c->wr);
}

static int crate_shut(struct stream *s)
{
	int err = flush(of(s));

	return err ? err : stream_shut(of(s)->lower);
}

static void crate_free(struct stream *s)
{
	struct crate *c = of(s);

	stream_free(c->lower);
	waiter_cancel(&c->rd);
	waiter_cancel(&c->wr);
	bufq_done(&c->rq);
	bufq_done(&c->wq);
	stream_done(s);
	loop_free_later(s->loop, c);
}

static int crate_bypass(struct stream *s, enum stream_dir dir)
{
	of(s)->bypass |= 1u << dir;
	return 0;
}

static int crate_splice(struct stream *s, enum stream_dir dir, struct stream_raw *out)
{
	return of(s)->bypass & 1u << dir ? -EAGAIN : -ENOTSUP;
}

static int crate_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	if (attr != STREAM_RECORD_MODE)
		return -ENOTSUP;
	of(s)->mode = (unsigned)v.num;
	return 0;
}

static const struct stream_ops crate_ops = {
	.name = "crate",
	.open = crate_open,
	.pull = crate_pull,
	.push = crate_push,
	.want = crate_want,
	.shut = crate_shut,
	.free = crate_free,
	.bypass = crate_bypass,
	.splice = crate_splice,
	.set = crate_set,
};

static struct stream *crate_new(struct stream *lower)
{
	struct crate *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	stream_init(&c->s, &crate_ops, lower->loop);
	bufq_init(&c->rq, loop_pool(lower->loop), SIZE_MAX);
	bufq_init(&c->wq, loop_pool(lower->loop), SIZE_MAX);
	waiter_init(&c->rd, wake_rd);
	waiter_init(&c->wr, wake_wr);
	c->lower = lower;
	return &c->s;
}

/* ---- what is said inside --------------------------------------------------------------------- */

#define SPEECH 26000

struct speech {
	uint8_t p[SPEECH + 17000];
	size_t n;
	struct {
		size_t at, until; /* stop here until so much has been received */
	} hold[2];
};

static struct speech says[2]; /* by enum relay_dir */

static void add_record(struct speech *t, uint8_t type, size_t len)
{
	uint8_t head[] = {type, 3, 3, (uint8_t)(len >> 8), (uint8_t)len};

	memcpy(t->p + t->n, head, 5);
	for (size_t i = 0; i < len; i++)
		t->p[t->n + 5 + i] = pattern_byte(type, t->n + i);
	t->n += 5 + len;
}

/* A conversation of TLS 1.3, or of 1.2, as far as the records show it. */
static void rehearse(bool v13, size_t bulk)
{
	static const uint8_t ext[] = {0, 0x2b, 0, 2, 3, 4};
	static const size_t sizes[] = {300, 16384, 20, 5000, 1, 9000};
	struct speech *u = &says[RELAY_UP], *d = &says[RELAY_DOWN];
	size_t hello;

	u->n = d->n = 0;
	add_record(u, 22, 200);
	u->p[2] = u->p[5] = 1;
	hello = u->n;
	add_record(d, 22, 122);
	memset(d->p + 5, 0, 122);
	d->p[5] = 2;
	d->p[43] = 32;
	memcpy(d->p + 76, v13 ? "\x13\1" : "\xc0\x2f", 2);
	if (v13)
		memcpy(d->p + 121, ext, 6);
	add_record(d, 20, 1);
	add_record(d, v13 ? 23 : 22, 900);
	u->hold[0].at = hello;
	u->hold[0].until = d->n;
	d->hold[0].at = 0;
	d->hold[0].until = hello;
	add_record(u, 20, 1);
	add_record(u, v13 ? 23 : 22, 53);
	d->hold[1].at = d->n;
	d->hold[1].until = u->n;
	u->hold[1].at = SIZE_MAX;
	for (size_t i = 0; u->n < bulk; i++)
		add_record(u, 23, sizes[i % ARRAY_LEN(sizes)]);
	for (size_t i = 1; d->n < bulk; i++)
		add_record(d, 23, sizes[i % ARRAY_LEN(sizes)]);
}

struct actor {
	struct stream *s;
	struct waiter w;
	const struct speech *tx, *rx;
	size_t sent, got;
	bool opened, shut, eof;
	int err;
};

static size_t may_send(const struct actor *a)
{
	size_t until = a->tx->n;

	for (size_t i = 0; i < ARRAY_LEN(a->tx->hold); i++) {
		if (a->sent <= a->tx->hold[i].at && a->got < a->tx->hold[i].until)
			until = MIN(until, a->tx->hold[i].at);
	}
	return until - a->sent;
}

static int actor_send(struct actor *a)
{
	size_t n = may_send(a);
	struct bufq q;
	ssize_t k;

	if (n == 0 && a->sent < a->tx->n)
		return 0;
	if (n == 0) {
		k = stream_shut(a->s);
		a->shut = k == 0;
		return (int)k;
	}
	bufq_init(&q, loop_pool(a->s->loop), SIZE_MAX);
	assert_int_equal(bufq_append(&q, a->tx->p + a->sent, n), 0);
	k = stream_push(a->s, &q);
	assert_int_equal(bufq_len(&q), k > 0 ? n - (size_t)k : n);
	bufq_done(&q);
	a->sent += k > 0 ? (size_t)k : 0;
	return k > 0 ? 1 : (int)k;
}

static int actor_receive(struct actor *a)
{
	uint8_t mem[4096];
	struct bufq q;
	ssize_t n;
	size_t k;

	bufq_init(&q, loop_pool(a->s->loop), SIZE_MAX);
	n = stream_pull(a->s, &q, 4096);
	k = bufq_take(&q, mem, sizeof(mem));
	assert_int_equal(k, n > 0 ? n : 0);
	assert_true(a->got + k <= a->rx->n);
	assert_memory_equal(mem, a->rx->p + a->got, k);
	a->got += k;
	a->eof |= n == 0;
	return n > 0 ? 1 : (int)n;
}

static void actor_wake(struct waiter *w)
{
	struct actor *a = container_of(w, struct actor, w);
	int in = 0, out = 0, err = a->opened ? 0 : stream_open(a->s);

	if (err == -EAGAIN) {
		stream_want(a->s, STREAM_RD | STREAM_WR, w);
		return;
	}
	a->opened = !err;
	if (!err && !a->eof)
		in = actor_receive(a);
	if (!err && !a->shut)
		out = actor_send(a);
	if (in == -EAGAIN)
		stream_want(a->s, STREAM_RD, w);
	if (out == -EAGAIN)
		stream_want(a->s, STREAM_WR, w);
	if (err || (in < 0 && in != -EAGAIN) || (out < 0 && out != -EAGAIN))
		a->err = err ? err : in < 0 && in != -EAGAIN ? in : out;
	else if (in > 0 || out > 0)
		loop_queue(a->s->loop, w);
}

static void actor_start(struct actor *a, struct stream *s, enum relay_dir dir)
{
	a->s = s;
	a->tx = &says[dir];
	a->rx = &says[!dir];
	waiter_init(&a->w, actor_wake);
	loop_queue(s->loop, &a->w);
}

static bool actor_done(const struct actor *a)
{
	return a->err || (a->shut && a->eof);
}

/* ---- the play -------------------------------------------------------------------------------- */

struct play {
	struct people people;
	struct actor user, target;
	struct stream *s, *inner;
	struct crate *near, *far; /* the user's, ours */
	struct waiter w;
	struct relay relay;
	struct bufq first;
	struct meter meter;
	uint64_t billed[2];
	bool relaying, done;
	int err;
};

static const struct relay_conf relay_conf = {.splice = true};
static bool dribbles = true, drives_inside = true;

static size_t allow(struct meter *m, enum relay_dir dir, size_t want, nsec_t now, nsec_t *pause)
{
	return want;
}

static void count(struct meter *m, enum relay_dir dir, size_t bytes, nsec_t now)
{
	container_of(m, struct play, meter)->billed[dir] += bytes;
}

static void play_wake(struct waiter *w)
{
	struct play *t = container_of(w, struct play, w);
	int err;

	if (t->relaying) {
		t->done = t->relay.ended;
		return;
	}
	err = stream_open(t->s);
	if (err == -EAGAIN) {
		stream_want(t->s, STREAM_RD | STREAM_WR, w);
		return;
	}
	t->err = err;
	t->done = err != 0;
	if (err)
		return;
	t->s = stream_peel(t->s, &t->first);
	assert_true(bufq_empty(&t->first)); /* the answer goes within the first block */
	t->relaying = true;
	relay_start(&t->relay, &(struct relay_plan){.a = t->s,
						    .b = t->inner,
						    .first = &t->first,
						    .meter = &t->meter,
						    .conf = &relay_conf,
						    .done = &t->w});
}

static struct stream *maybe_dribble(struct stream *s)
{
	uint64_t seed;

	loop_random(s->loop, &seed, sizeof(seed));
	return dribbles ? dribble_new(s, &DRIBBLE(seed)) : s;
}

static const struct vless_conf with_flow = {.vision = true};

static void start(struct loop *l, void *state)
{
	uint8_t id[VLESS_ID_LEN];
	struct play *t = state;
	struct stream *x, *y, *end;
	struct dest to;

	people_init(&t->people, "vless", l, "alice");
	t->people.in.conf = &with_flow;
	assert_int_equal(dest_parse(&to, "target.example:443"), 0);
	assert_int_equal(vless_id_of_text("alice", 5, id), 0);
	id[6] ^= 0x55; /* a routing tag: what is echoed is the id as it came */
	assert_int_equal(pair_new(l, dribbles ? 3000 : 100000, &x, &y), 0);
	assert_int_equal(pair_new(l, 100000, &t->inner, &end), 0);
	bufq_init(&t->first, loop_pool(l), 16);
	waiter_init(&t->w, play_wake);
	t->meter = (struct meter){.allow = allow, .count = count};
	x = crate_new(maybe_dribble(x));
	y = crate_new(maybe_dribble(y));
	t->near = of(x);
	t->far = of(y);
	t->s = t->people.proto->server(y, &t->people.in);
	actor_start(&t->target, end, RELAY_DOWN);
	actor_start(&t->user, vless_client_vision(x, id, &to), RELAY_UP);
	loop_queue(l, &t->w);
}

static bool done(void *state)
{
	struct play *t = state;

	return t->done && actor_done(&t->user) && actor_done(&t->target);
}

static void stop(void *state)
{
	struct play *t = state;

	if (t->relaying)
		relay_stop(&t->relay);
	waiter_cancel(&t->w);
	stream_free(t->s);
	stream_free(t->inner);
	waiter_cancel(&t->user.w); /* only now: an end that is freed wakes the other */
	waiter_cancel(&t->target.w);
	stream_free(t->user.s);
	stream_free(t->target.s);
	bufq_done(&t->first);
	people_done(&t->people);
}

static void check(void *state)
{
	struct play *t = state;
	unsigned both = 1u << STREAM_IN | 1u << STREAM_OUT;

	assert_int_equal(t->err, 0);
	assert_int_equal(t->relay.result, 0);
	assert_int_equal(t->user.err, 0);
	assert_int_equal(t->target.err, 0);
	assert_int_equal(t->user.got, says[RELAY_DOWN].n);
	assert_int_equal(t->target.got, says[RELAY_UP].n);
	assert_int_equal(t->billed[RELAY_UP], says[RELAY_UP].n);
	assert_int_equal(t->billed[RELAY_DOWN], says[RELAY_DOWN].n);
	assert_int_equal(t->near->bypass, drives_inside ? both : 0);
	assert_int_equal(t->far->bypass, drives_inside ? both : 0);
	if (!drives_inside)
		return;
	assert_int_equal(t->far->mode, 0); /* records as they come, once that is of no interest */
	assert_true(t->far->largest <= 8192 + 2 && t->near->largest <= 8192 + 100);
}

static const struct scenario scene = {start, done, stop, check, sizeof(struct play)};

/* Once through, on a new loop. */
static void perform(uint64_t seed)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, seed);
	struct play t = {0};

	start(l, &t);
	assert_true(run_until(l, done, &t));
	check(&t);
	stop(&t);
	loop_turn(l, 3600 * NSEC_SEC);
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
}

static void tls13_inside_goes_direct_both_ways_byte_by_byte(void **state)
{
	drives_inside = true;
	rehearse(true, SPEECH);
	for (uint64_t seed = 1; seed <= 30; seed++) {
		dribbles = seed % 3 != 0;
		perform(seed);
	}
}

static void tls12_inside_stays_in_the_records(void **state)
{
	drives_inside = false;
	rehearse(false, SPEECH);
	for (uint64_t seed = 1; seed <= 30; seed++) {
		dribbles = seed % 3 != 0;
		perform(seed);
	}
}

static void no_tls_inside_stays_in_the_records(void **state)
{
	drives_inside = false;
	rehearse(true, SPEECH);
	for (int dir = 0; dir < 2; dir++) {
		memset(says[dir].hold, 0, sizeof(says[dir].hold));
		memset(says[dir].p, 'x', says[dir].n);
	}
	for (uint64_t seed = 1; seed <= 30; seed++) {
		dribbles = seed % 3 != 0;
		perform(seed);
	}
}

static void a_stop_at_any_turn_leaves_nothing(void **state)
{
	drives_inside = true;
	dribbles = false;
	rehearse(true, SPEECH);
	for (uint64_t seed = 1; seed <= 3; seed++)
		assert_true(kill_at_each_turn(&scene, seed) > 10);
}

/* The server speaks first: the client has to say whom it wants without a byte from above. */
static void a_silent_client_pads_after_half_a_second(void **state)
{
	drives_inside = false;
	dribbles = false;
	rehearse(true, 3000);
	memset(says[RELAY_UP].p, 'u', says[RELAY_UP].n);
	memset(says[RELAY_DOWN].p, 'd', says[RELAY_DOWN].n);
	for (int dir = 0; dir < 2; dir++)
		memset(says[dir].hold, 0, sizeof(says[dir].hold));
	says[RELAY_UP].hold[0].until = 100; /* not before the target has spoken */
	perform(1);
}

/* Whoever has nothing to ask but who is there. */
static void a_client_that_says_nothing_but_its_end_is_answered(void **state)
{
	drives_inside = false;
	for (int with = 0; with < 2; with++) {
		dribbles = with;
		rehearse(true, 3000);
		says[RELAY_UP].n = 0;
		memset(says[RELAY_DOWN].p, 'd', says[RELAY_DOWN].n);
		for (int dir = 0; dir < 2; dir++)
			memset(says[dir].hold, 0, sizeof(says[dir].hold));
		perform(1);
	}
}

/* ---- who does not agree ---------------------------------------------------------------------- */

static int answer_to(bool configured, bool records, uint8_t flow, uint8_t cmd, const char *behind,
		     size_t len)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct vless_request req = {.cmd = cmd, .flow = flow};
	struct people people;
	struct stream *x, *y, *s;
	struct bufq q;
	uint8_t mem[VLESS_REQ_MAX + 16];
	struct wr w = wr_of(mem, sizeof(mem));
	int err;

	people_init(&people, "vless", l, "alice");
	people.in.conf = configured ? &with_flow : NULL;
	assert_int_equal(vless_id_of_text("alice", 5, req.id), 0);
	assert_int_equal(dest_parse(&req.dest, "192.0.2.1:80"), 0);
	vless_request_emit(&w, &req);
	wr_bytes(&w, behind, len);
	assert_int_equal(pair_new(l, 10000, &x, &y), 0);
	if (records) {
		x = crate_new(x);
		y = crate_new(y);
	}
	s = people.proto->server(y, &people.in);
	bufq_init(&q, loop_pool(l), SIZE_MAX);
	assert_int_equal(bufq_append(&q, mem, w.len), 0);
	assert_true(stream_push(x, &q) > 0);
	err = stream_open(s);
	stream_free(s);
	stream_free(x);
	loop_turn(l, 0);
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
	people_done(&people);
	return err;
}

static void the_flow_is_agreed_on_or_the_user_is_closed(void **state)
{
	static const char xudp[] = "\0\x14\0\0\1\1\2", tcp[] = "\0\x14\0\1\1\1\1";
	enum { NONE = VLESS_FLOW_NONE, VISION = VLESS_FLOW_VISION };

	assert_int_equal(answer_to(true, true, VISION, VLESS_TCP, NULL, 0), 0);
	assert_int_equal(answer_to(true, true, VISION, VLESS_MUX, NULL, 0), 0);
	assert_int_equal(answer_to(true, true, VISION, VLESS_UDP, NULL, 0), -ERR_UNSUPPORTED);
	assert_int_equal(answer_to(true, false, VISION, VLESS_TCP, NULL, 0), -ERR_UNSUPPORTED);
	assert_int_equal(answer_to(false, true, VISION, VLESS_TCP, NULL, 0), -ERR_UNSUPPORTED);
	assert_int_equal(answer_to(true, true, NONE, VLESS_TCP, NULL, 0), -ERR_UNSUPPORTED);
	assert_int_equal(answer_to(true, true, NONE, VLESS_UDP, NULL, 0), 0);
	assert_int_equal(answer_to(true, true, NONE, VLESS_MUX, xudp, 7), 0);
	assert_int_equal(answer_to(true, true, NONE, VLESS_MUX, xudp, 6), -EAGAIN);
	assert_int_equal(answer_to(true, true, NONE, VLESS_MUX, tcp, 7), -ERR_UNSUPPORTED);
	assert_int_equal(answer_to(false, true, NONE, VLESS_TCP, NULL, 0), 0);
}

/* Several blocks in one read, so that content has to be copied, and at every chunk no memory at first. */
static void without_memory_a_pull_is_tried_again_and_nothing_is_lost(void **state)
{
	struct vision_block b = {.command = VISION_CONTINUE, .content = 500};
	uint8_t id[VLESS_ID_LEN] = {1}, mem[8000], got[6000];
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct wr w = wr_of(mem, sizeof(mem));
	struct buf_pool *pool = loop_pool(l);
	struct stream *near, *far, *s = vision_server_new(l, id);
	size_t room = 0, none = 0;
	struct bufq q;
	ssize_t n;

	assert_int_equal(pair_new(l, 100000, &near, &far), 0);
	vision_server_put_on(s, near);
	for (unsigned i = 0; i < sizeof(got) / b.content; i++) {
		vision_block_emit(&w, i ? NULL : id, &b, 100);
		for (size_t at = 0; at < b.content; at++)
			wr_u8(&w, pattern_byte(7, i * b.content + at));
		memset(wr_room(&w, 100), 0, 100);
	}
	bufq_init(&q, pool, SIZE_MAX);
	assert_int_equal(bufq_append(&q, mem, w.len), 0);
	assert_int_equal(stream_push(far, &q), w.len);
	for (int tries = 0; tries < 100 && bufq_len(&q) < sizeof(got); tries++) {
		pool->max = pool->nused + room;
		n = stream_pull(s, &q, 2000);
		pool->max = 0;
		assert_true(n > 0 || n == -ENOMEM);
		none += n == -ENOMEM;
		room = n == -ENOMEM ? room + 1 : 0;
	}
	assert_true(none > 0);
	assert_int_equal(bufq_take(&q, got, sizeof(got)), sizeof(got));
	for (size_t at = 0; at < sizeof(got); at++)
		assert_int_equal(got[at], pattern_byte(7, at));
	stream_free(s);
	stream_free(far);
	loop_turn(l, 0);
	assert_int_equal(pool->nused, 0);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tls13_inside_goes_direct_both_ways_byte_by_byte),
		cmocka_unit_test(tls12_inside_stays_in_the_records),
		cmocka_unit_test(no_tls_inside_stays_in_the_records),
		cmocka_unit_test(a_stop_at_any_turn_leaves_nothing),
		cmocka_unit_test(a_silent_client_pads_after_half_a_second),
		cmocka_unit_test(a_client_that_says_nothing_but_its_end_is_answered),
		cmocka_unit_test(the_flow_is_agreed_on_or_the_user_is_closed),
		cmocka_unit_test(without_memory_a_pull_is_tried_again_and_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
