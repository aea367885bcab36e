#include "mux_rig.h"

#include <errno.h>

#include "base/err.h"
#include "proto/singmux/singmux.h"
#include "stage.h"
#include "stream/pair.h"
#include "stream/proxied.h"
#include "transport/muxcool/muxcool.h"
#include "unit.h"

const struct rig_kind rig_kinds[RIG_KINDS] = {
	{&muxcool_client, &muxcool_kind, false, true},
	{&singmux_smux_client, &singmux_kind, false, true},
	{&singmux_yamux_client, &singmux_kind, false, false},
	{&singmux_h2mux_client, &singmux_kind, false, false},
	{&singmux_smux_client, &singmux_padded_kind, true, true},
	{&singmux_h2mux_client, &singmux_padded_kind, true, false},
};

/* ---- who serves -------------------------------------------------------------------------- */

/* -EAGAIN: nothing to do.  0: go on.  Others: it is over. */
static int echo(struct rig_served *v)
{
	ssize_t n;

	if (!bufq_empty(&v->q)) {
		n = stream_push(v->s, &v->q);
		return n < 0 ? (int)n : 0;
	}
	if (v->eof && !v->shut) {
		int err = stream_shut(v->s);

		v->shut = err == 0;
		return err;
	}
	if (v->shut)
		return -EPIPE;
	n = stream_pull(v->s, &v->q, 20000);
	v->eof = n == 0;
	return n < 0 ? (int)n : 0;
}

static void echo_packets(struct waiter *w)
{
	struct rig_served *v = container_of(w, struct rig_served, w);
	struct packet p[DGRAM_BATCH];
	int n = dgram_recv(v->d, p, DGRAM_BATCH);

	if (n > 0) {
		int sent = dgram_send(v->d, p, n);

		for (int i = MAX(sent, 0); i < n; i++)
			buf_free(p[i].buf);
		loop_queue(v->rig->l, w);
	} else if (n == -EAGAIN) {
		dgram_want(v->d, STREAM_RD, w);
	} else {
		v->over = true;
	}
}

static void serve_packets(struct rig_served *v, struct dgram *d)
{
	v->d = d;
	waiter_init(&v->w, echo_packets);
	loop_queue(v->rig->l, &v->w);
}

static int begin(struct rig_served *v)
{
	int err = stream_open(v->s);
	struct stream *lower;
	union stream_value req;

	if (err)
		return err;
	assert_int_equal(stream_query(v->s, STREAM_REQUEST, &req), 0);
	dest_format(&req.request->dest, v->to);
	v->open = true;
	if (req.request->udp) {
		struct stream *s = v->s;

		v->s = NULL;
		serve_packets(v, req.request->udp(s));
		return -ENOTSUP;
	}
	lower = stream_peel(v->s, &v->q);
	v->s = lower ? lower : v->s;
	return 0;
}

static void serve(struct waiter *w)
{
	struct rig_served *v = container_of(w, struct rig_served, w);
	int err = v->open ? 0 : begin(v);

	if (err == -ENOTSUP)
		return;
	if (err == -EAGAIN) {
		stream_want(v->s, STREAM_RD | STREAM_WR, w);
		return;
	}
	while (!err)
		err = echo(v);
	if (err == -EAGAIN)
		stream_want(v->s, bufq_empty(&v->q) && !v->eof ? STREAM_RD : STREAM_WR, w);
	else
		v->over = true;
}

static struct rig_served *next_served(struct sink *k)
{
	struct rig *r = container_of(k, struct rig_end, sink)->rig;
	struct rig_served *v = &r->served[r->nserved++];

	assert_true(r->nserved <= RIG_SERVED);
	v->rig = r;
	bufq_init(&v->q, loop_pool(r->l), SIZE_MAX);
	return v;
}

static void on_stream(struct sink *k, struct stream *s)
{
	struct rig_served *v = next_served(k);

	v->s = s;
	waiter_init(&v->w, serve);
	loop_queue(s->loop, &v->w);
}

static void on_packets(struct sink *k, struct dgram *d)
{
	serve_packets(next_served(k), d);
}

static void on_closed(struct sink *k)
{
}

/* ---- carriers ---------------------------------------------------------------------------- */

static struct stream *carrier(void *arg, struct loop *l)
{
	struct rig *r = arg;
	struct rig_end *e = &r->ends[r->nends++];
	struct stream *near;

	assert_true(r->nends <= RIG_CARRIERS);
	e->rig = r;
	assert_int_equal(pair_new(l, r->dribbles ? 700 : 1 << 20, &near, &e->raw), 0);
	e->ours = r->wrong || r->deaf;
	if (r->wrong) {
		put_bytes(e->raw, "this is no PROXY header\r\n", 25);
		return proxied_new(near);
	}
	if (r->deaf)
		return near;
	rig_serve(r, r->nends - 1, r->dribbles ? dribble_new(e->raw, &DRIBBLE(r->nends)) : e->raw);
	return r->dribbles ? dribble_new(near, &DRIBBLE(r->nends + 100)) : near;
}

void rig_serve(struct rig *r, unsigned carrier, struct stream *lower)
{
	struct rig_end *e = &r->ends[carrier];

	e->sink = (struct sink){on_stream, on_packets, on_closed};
	e->mux = r->kind->server->serve(lower, &(struct mux_terms){.sink = &e->sink});
	assert_non_null(e->mux);
}

void rig_init(struct rig *r, struct loop *l, size_t kind, unsigned streams)
{
	*r = (struct rig){.l = l, .kind = &rig_kinds[kind]};
	r->conf = (struct mux_pool_conf){
		.kind = r->kind->client, .padding = r->kind->padding, .streams = streams};
	mux_pool_init(&r->pool, &r->conf, carrier, r);
}

void rig_stop(struct rig *r)
{
	mux_pool_done(&r->pool);
	for (unsigned i = 0; i < r->nserved; i++) {
		struct rig_served *v = &r->served[i];

		waiter_cancel(&v->w);
		stream_free(v->s);
		dgram_free(v->d);
		bufq_done(&v->q);
	}
	for (unsigned i = 0; i < r->nends; i++) {
		mux_free(r->ends[i].mux);
		if (r->ends[i].ours)
			stream_free(r->ends[i].raw);
	}
	r->nserved = r->nends = 0;
}

struct stream *rig_stream(struct rig *r, uint16_t port)
{
	struct dest to;
	struct stream *s;

	assert_int_equal(dest_parse(&to, "192.0.2.1:1"), 0);
	to.port = port;
	s = mux_pool_stream(&r->pool, r->l, &to);
	assert_non_null(s);
	return s;
}

void rig_cut(struct rig *r, unsigned carrier)
{
	pair_reset(r->ends[carrier].raw, -ECONNRESET);
}

struct dgram *rig_packets(struct rig *r, const char *to)
{
	struct dest d = {.type = DEST_NONE};
	struct dgram *p;

	if (to)
		assert_int_equal(dest_parse(&d, to), 0);
	p = mux_pool_packets(&r->pool, r->l, &d);
	assert_non_null(p);
	return p;
}
