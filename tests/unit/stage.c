#include "unit.h"

#include "proto/trojan/trojan.h"
#include "proto/vless/vless.h"
#include "stream/pair.h"
#include "stream/proxied.h"

#include "hostile.h"
#include "packets.h"
#include "stage.h"

/* ---- the outside ----------------------------------------------------------------------------- */

struct stage_dial {
	struct dial dial;
	struct stage_dialer *from;
	struct waiter *up;
	struct timer timer;
	struct loop *l;
	enum stage_answer answer;
	bool decided;
	char to[DEST_TEXT_MAX];
};

static void dial_gone(struct stage_dial *d)
{
	timer_stop(&d->timer);
	waiter_cancel(d->up);
	loop_free_later(d->l, d);
}

static void decide(struct timer *t)
{
	struct stage_dial *d = container_of(t, struct stage_dial, timer);

	d->decided = true;
	loop_queue(d->l, d->up);
}

static void keep(struct stage_dialer *from, struct stream *far)
{
	from->all = realloc(from->all, (from->nall + 1) * sizeof(*from->all));
	assert_non_null(from->all);
	from->all[from->nall++] = from->target = far;
}

static void let_all_go(struct stage_dialer *from)
{
	while (from->nall > 0)
		stream_free(from->all[--from->nall]);
	free(from->all);
}

static int dial_get(struct dial *dial, struct stream **out)
{
	struct stage_dial *d = container_of(dial, struct stage_dial, dial);
	struct stage_dialer *from = d->from;
	struct stream *near, *far;

	if (!d->decided)
		return -EAGAIN;
	dial_gone(d);
	if (d->answer == STAGE_REFUSES)
		return from->err;
	assert_int_equal(pair_new(from->stage->l, from->stage->capacity, &near, &far), 0);
	memcpy(from->to, d->to, sizeof(d->to)); /* there may have been others meanwhile */
	if (from->accepted) {
		from->accepted(from, far);
	} else {
		keep(from, far);
	}
	*out = near;
	return 0;
}

static void dial_abandon(struct dial *dial)
{
	struct stage_dial *d = container_of(dial, struct stage_dial, dial);

	d->from->cancelled++;
	dial_gone(d);
}

static const struct dial_ops dial_ops = {.result = dial_get, .cancel = dial_abandon};

static struct dial *stage_dial(struct dialer *dialer, struct loop *l, const struct dest *to,
			       struct waiter *w)
{
	struct stage_dialer *from = container_of(dialer, struct stage_dialer, dialer);
	struct stage_dial *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	*d = (struct stage_dial){.dial = {&dial_ops}, .from = from, .up = w, .l = l};
	timer_init(&d->timer, decide);
	d->answer = from->answer;
	from->dials++;
	dest_format(to, d->to);
	memcpy(from->to, d->to, sizeof(d->to));
	if (from->answer != STAGE_IS_SILENT)
		timer_set(l, &d->timer, loop_now(l) + from->delay);
	return &d->dial;
}

static int stage_dgram(struct dialer *dialer, struct loop *l, const struct dest *first,
		       struct dgram **out)
{
	struct stage_dialer *from = container_of(dialer, struct stage_dialer, dialer);

	from->dials++;
	dest_format(first, from->to);
	if (from->answer == STAGE_REFUSES)
		return from->err;
	dgram_free(from->dgram);
	assert_int_equal(pair_dgram_new(l, 64, out, &from->dgram), 0);
	pair_dgram_set_blocking(from->dgram);
	return 0;
}

static const struct dialer_ops dialer_ops = {
	.name = "stage",
	.dial = stage_dial,
	.dgram = stage_dgram,
};

/* ---- the inbound ----------------------------------------------------------------------------- */

static struct stream *build_stack(struct session_inbound *in, struct stream *leaf)
{
	struct stage *g = container_of(in, struct stage, in);

	if (g->proxied)
		leaf = proxied_new(leaf);
	return leaf ? g->people.proto->server(leaf, &in->proto) : NULL;
}

static void on_end(struct session_inbound *in, const struct session_report *r)
{
	struct stage *g = container_of(in, struct stage, in);

	if (r->carrier)
		return;
	g->ended++;
	g->report = *r;
	g->ended_at = loop_now(g->l);
	g->user = r->user ? user_id(r->user) : 0;
	g->dest[0] = g->peer[0] = '\0';
	if (r->dest)
		dest_format(r->dest, g->dest);
	if (r->peer)
		addr_format(r->peer, g->peer);
	if (g->each)
		g->each(g, r);
}

void stage_init(struct stage *g, struct loop *l, const char *proto, const char *users)
{
	*g = (struct stage){.l = l, .capacity = 65536};
	people_init(&g->people, proto, l, users);
	g->times = (struct session_times){
		.handshake = 60 * NSEC_SEC,
		.dial = 15 * NSEC_SEC,
		.udp_idle = 60 * NSEC_SEC,
		.relay = {.idle = 300 * NSEC_SEC, .linger = 10 * NSEC_SEC},
	};
	g->out = (struct stage_dialer){.dialer = {&dialer_ops}, .stage = g, .err = -ECONNREFUSED};
	g->fall = g->out;
	g->in = (struct session_inbound){
		.proto = g->people.in,
		.loop = l,
		.user_worker = &g->people.worker,
		.stack = build_stack,
		.outbound = &g->out.dialer,
		.fallback_dialer = &g->fall.dialer,
		.times = &g->times,
		.reject = REJECT_CLOSE,
		.ended = on_end,
	};
	list_init(&g->in.sessions);
	list_init(&g->half_open.sessions);
	g->half_open.sources = &g->sources;
}

void stage_done(struct stage *g)
{
	assert_int_equal(g->in.nsessions, 0);
	assert_true(list_empty(&g->in.sessions));
	let_all_go(&g->out);
	let_all_go(&g->fall);
	dgram_free(g->out.dgram);
	loop_turn(g->l, 0);
	people_done(&g->people);
}

static struct stream *dribbled(struct stream *s)
{
	uint64_t seed;

	loop_random(s->loop, &seed, sizeof(seed));
	return dribble_new(s, &DRIBBLE(seed));
}

struct stream *stage_connect(struct stage *g, const char *peer)
{
	struct stream *near, *far;
	struct addr from, to;

	g->in.proto.users = g->people.in.users;
	assert_int_equal(pair_new(g->l, g->capacity, &near, &far), 0);
	assert_int_equal(addr_parse(&to, "203.0.113.80:443"), 0);
	if (peer) {
		assert_int_equal(addr_parse(&from, peer), 0);
		pair_set_addr(near, &from, &to);
	}
	session_start(&g->in, g->dribble ? dribbled(near) : near);
	return far;
}

static struct dest dest_of(const char *text)
{
	struct dest d;

	assert_int_equal(dest_parse(&d, text), 0);
	return d;
}

bool stage_is_vless(const struct stage *g)
{
	return !strcmp(g->people.proto->name, "vless");
}

struct stream *stage_client(struct stage *g, struct stream *lower, const char *name, const char *to)
{
	struct dest dest = dest_of(to);
	uint8_t key[USER_KEY_MAX];

	if (stage_is_vless(g)) {
		assert_int_equal(vless_id_of_text(name, strlen(name), key), 0);
		return vless_client_new(lower, key, &dest);
	}
	assert_int_equal(trojan_key_of_password(name, strlen(name), key), 0);
	return trojan_client_new(lower, key, &dest);
}

struct dgram *stage_client_udp(struct stage *g, struct stream *lower, const char *name,
			       const char *to)
{
	struct dest dest = dest_of(to);
	uint8_t key[USER_KEY_MAX];

	if (stage_is_vless(g)) {
		assert_int_equal(vless_id_of_text(name, strlen(name), key), 0);
		return vless_client_udp(lower, key, &dest, g->plain_udp);
	}
	assert_int_equal(trojan_key_of_password(name, strlen(name), key), 0);
	return trojan_client_udp(lower, key, &dest);
}

size_t stage_request(struct stage *g, const char *name, const char *to, uint8_t out[1024])
{
	struct wr w = wr_of(out, 1024);

	if (stage_is_vless(g)) {
		struct vless_request req = {.cmd = VLESS_TCP, .dest = dest_of(to)};

		assert_int_equal(vless_id_of_text(name, strlen(name), req.id), 0);
		vless_request_emit(&w, &req);
	} else {
		struct trojan_request req = {.cmd = TROJAN_CONNECT, .dest = dest_of(to)};

		assert_int_equal(trojan_key_of_password(name, strlen(name), req.key), 0);
		trojan_request_emit(&w, &req);
	}
	assert_int_equal(w.err, 0);
	return w.len;
}

/* ---- bytes by hand --------------------------------------------------------------------------- */

void put_bytes(struct stream *s, const void *bytes, size_t len)
{
	struct bufq q;

	if (len == 0)
		return;
	bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
	assert_int_equal(bufq_append(&q, bytes, len), 0);
	assert_int_equal(stream_push(s, &q), len);
}

size_t get_bytes(struct stream *s, void *out, size_t max, ssize_t *end)
{
	struct bufq q;
	ssize_t n = -EAGAIN;
	size_t got;

	bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
	while (bufq_len(&q) < max && (n = stream_pull(s, &q, max - bufq_len(&q))) > 0)
		;
	if (end)
		*end = n;
	got = bufq_take(&q, out, max);
	bufq_done(&q);
	return got;
}

static ssize_t pull_scarce(struct stream *s, struct bufq *q)
{
	struct buf_pool *pool = loop_pool(s->loop);
	ssize_t n = -ENOMEM;

	for (size_t spare = pool->nused ? 0 : 1; n == -ENOMEM; spare++) {
		assert_true(spare < 100);
		pool->max = pool->nused + spare;
		n = stream_pull(s, q, 3);
		assert_int_equal(n > 0 ? (size_t)n : 0, bufq_len(q));
	}
	pool->max = 0;
	return n;
}

void assert_comes_when_memory_is_scarce(struct stream *s, const void *want, size_t len)
{
	const uint8_t *bytes = want;
	uint8_t got[3];
	struct bufq q;

	for (size_t at = 0; at < len;) {
		ssize_t n;

		bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
		n = pull_scarce(s, &q);
		assert_in_range(n, 1, MIN(len - at, sizeof(got)));
		bufq_take(&q, got, (size_t)n);
		assert_memory_equal(got, bytes + at, (size_t)n);
		at += (size_t)n;
	}
}

void settle_now(struct loop *l)
{
	for (int i = 0; i < 100000 && loop_turn(l, 0) > 0; i++)
		;
}

size_t get_all(struct stream *s, uint8_t out[65536], ssize_t *end)
{
	return get_bytes(s, out, 65536, end);
}

void hang_up(struct stream *s)
{
	static const union stream_value yes = {.num = 1};

	stream_set(s, STREAM_ABORT, yes);
	stream_free(s);
}

/* ---- all at once ------------------------------------------------------------------------- */

void stage_open(struct stage *g, const char *proto, const char *users)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);

	assert_non_null(l);
	stage_init(g, l, proto, users);
}

void stage_close(struct stage *g)
{
	struct loop *l = g->l;

	session_end_all(&g->in);
	stage_done(g);
	assert_int_equal(loop_turn(l, 3600 * NSEC_SEC), 0);
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
}

nsec_t stage_until_ended(struct stage *g, nsec_t since)
{
	unsigned before = g->ended;

	while (g->ended == before)
		assert_true(loop_turn(g->l, -1) > 0);
	return g->ended_at - since;
}

struct stream *stage_served(struct stage *g, const char *name, const char *peer)
{
	struct stream *far = stage_connect(g, peer);
	uint8_t req[1024];

	put_bytes(far, req, stage_request(g, name, "target.example:443", req));
	settle_now(g->l);
	assert_non_null(g->out.target);
	return far;
}

struct dgram *stage_served_udp(struct stage *g, const char *name)
{
	struct stream *far = stage_connect(g, NULL);
	struct dgram *d = stage_client_udp(g, far, name, "dns.example:53");
	struct packet p = packet_of(g->l, "query", "dns.example:53");

	assert_int_equal(dgram_send(d, &p, 1), 1);
	settle_now(g->l);
	assert_non_null(g->out.dgram);
	packet_expect(g->out.dgram, "query", "dns.example:53");
	return d;
}
