#include "transport/muxcool/muxcool_flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"

#define SLOTS 1024

/* Seen from the sessions: a dgram.  Its carrier changes. */
struct assoc {
	struct dgram d;
	struct muxcool_flow *flow; /* NULL: at rest, or over */
	struct packet *queue;	   /* a ring of XUDP_QUEUE; NULL: empty */
	unsigned head, npackets;
	struct dest *fixed; /* where packets go that name no destination */
	struct stream_request request;
	struct addr peer;
	struct waiter *rd, *wr;
	bool over;
	bool answered; /* something has been sent back */
	bool unsaid;   /* a client's, of which the server does not know yet */
	int16_t err;   /* with `over`: why, where it was not in order */

	struct mux_core *left; /* which has ended it, and counts it until it is freed */
	struct house *house;

	/* of one with a global id */
	bool named;
	const void *realm;
	struct list_node link; /* in its slot */
	struct list_node rest; /* among those at rest */
	struct timer timer;
	uint8_t id[8];
};

struct muxcool_flow {
	struct mux_child c;
	struct assoc *a; /* NULL: gone */
};

/* Of a loop: its associations that have a global id, and how many packets wait in all. */
struct house {
	struct loop_local local;
	struct hash_key key;
	struct list_node slots[SLOTS];
	struct list_node resting; /* the longest first */
	unsigned nresting;
	unsigned queued;
};

static struct assoc *assoc_of(const struct dgram *d)
{
	return container_of(d, struct assoc, d);
}

/* ---- by user and global id ------------------------------------------------------------------- */

static const char house_key;

static void house_free(struct loop_local *local)
{
	free(container_of(local, struct house, local));
}

static struct house *house_of(struct loop *l)
{
	struct loop_local *local = loop_local_find(l, &house_key);
	struct house *h;

	if (local)
		return container_of(local, struct house, local);
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->local = (struct loop_local){.key = &house_key, .free = house_free};
	loop_random(l, &h->key, sizeof(h->key));
	for (int i = 0; i < SLOTS; i++)
		list_init(&h->slots[i]);
	list_init(&h->resting);
	loop_local_add(l, &h->local);
	return h;
}

/* The id is the client's word, and nobody else's association answers to it. */
static struct list_node *slot_of(struct house *h, const struct user *user, const uint8_t id[8])
{
	struct {
		uint64_t user;
		uint8_t id[8];
	} both = {(uintptr_t)user, {0}};

	memcpy(both.id, id, 8);
	return &h->slots[hash_bytes(&h->key, &both, sizeof(both)) % SLOTS];
}

static bool same_device(const struct addr *a, const struct addr *b)
{
	uint8_t x[16], y[16];

	if (!a->len || !b->len)
		return !a->len && !b->len;
	addr_ip16(a, x);
	addr_ip16(b, y);
	return ip16_same_device(x, y);
}

/* Its session was let in from one device and follows the rules of one inbound: nobody else may go on
 * with it, were he the same user. */
static struct assoc *find(struct house *h, const struct mux_core *m, const uint8_t id[8])
{
	const struct user *user = m->terms.user;
	struct list_node *pos, *slot = slot_of(h, user, id);

	list_for_each(pos, slot) {
		struct assoc *a = list_entry(pos, struct assoc, link);

		if (a->request.user == user && a->realm == m->terms.realm &&
		    !memcmp(a->id, id, 8) && same_device(&a->peer, &m->peer))
			return a;
	}
	return NULL;
}

/* ---- an association ------------------------------------------------------------------------- */

static void wake(struct assoc *a, struct waiter **w)
{
	struct waiter *who = *w;

	*w = NULL;
	if (who)
		loop_queue(a->d.loop, who);
}

static void wake_from_rest(struct assoc *a)
{
	timer_stop(&a->timer);
	if (list_linked(&a->rest))
		a->house->nresting--;
	list_del(&a->rest);
}

/* Nothing more comes: the session that has it will end. */
static void end(struct assoc *a)
{
	a->over = true;
	wake_from_rest(a);
	list_del(&a->link);
	wake(a, &a->rd);
	wake(a, &a->wr);
}

static void on_rested(struct timer *t)
{
	end(container_of(t, struct assoc, timer));
}

static void end_oldest(struct house *h, const struct user *of, unsigned max)
{
	struct assoc *oldest = NULL;
	struct list_node *pos;
	unsigned n = 0;

	list_for_each(pos, &h->resting) {
		struct assoc *a = list_entry(pos, struct assoc, rest);

		if (of && a->request.user != of)
			continue;
		if (n++ == 0)
			oldest = a;
	}
	if (n > max)
		end(oldest);
}

/* Its flow has gone. */
static void rest(struct assoc *a)
{
	struct house *h = a->house;

	a->flow = NULL;
	if (!a->named) {
		end(a);
		return;
	}
	list_add_tail(&h->resting, &a->rest);
	h->nresting++;
	timer_set(a->d.loop, &a->timer, loop_now(a->d.loop) + XUDP_REST);
	end_oldest(h, a->request.user, XUDP_REST_USER);
	if (h->nresting > XUDP_REST_ALL)
		end_oldest(h, NULL, XUDP_REST_ALL);
}

/* ---- a flow ---------------------------------------------------------------------------------- */

static void flow_free(struct muxcool_flow *f)
{
	struct loop *l = f->c.m->mux.loop;

	mux_child_gone(&f->c);
	loop_free_later(l, f);
}

static void let_go(struct muxcool_flow *f)
{
	struct assoc *a = f->a;
	struct mux_core *m = f->c.m;

	wake(a, &f->c.wr); /* who waited for his turn asks again */
	f->a = NULL;
	if (!a->named && !m->gone) { /* its session and its socket go at their turn only */
		mux_hold(m);
		a->left = m;
	}
	flow_free(f);
	rest(a);
}

static void flow_lost(struct mux_child *c, int err)
{
	struct muxcool_flow *f = container_of(c, struct muxcool_flow, c);

	f->a->err = (int16_t)err;
	let_go(f);
}

struct muxcool_flow *muxcool_flow_of(struct mux_child *c)
{
	return c->lost == flow_lost ? container_of(c, struct muxcool_flow, c) : NULL;
}

bool muxcool_flow_answered(const struct muxcool_flow *f)
{
	return f->a->answered;
}

void muxcool_flow_end(struct muxcool_flow *f)
{
	let_go(f);
}

/* We end it: the peer is told. */
static void close_flow(struct muxcool_flow *f)
{
	const struct muxcool_frame end_frame = {.session = (uint16_t)f->c.id,
						.status = MUXCOOL_END};
	struct mux_core *m = f->c.m;
	uint8_t mem[16];
	struct wr w = wr_of(mem, sizeof(mem));

	muxcool_frame_emit(&w, &end_frame);
	if (f->c.attached && !f->a->unsaid && bufq_append(&m->out, mem, w.len))
		mux_fail(m, -ENOMEM);
	mux_kick(m);
	flow_free(f);
}

/* ---- as a dgram ------------------------------------------------------------------------------ */

static struct packet take_packet(struct assoc *a)
{
	struct packet p = a->queue[a->head];

	a->head = (a->head + 1) % XUDP_QUEUE;
	a->npackets--;
	a->house->queued--;
	return p;
}

static int assoc_recv(struct dgram *d, struct packet *p, int max)
{
	struct assoc *a = assoc_of(d);
	int n = 0;

	if (a->flow && a->npackets == XUDP_QUEUE)
		mux_kick(a->flow->c.m); /* it may wait for us */
	while (n < max && a->npackets > 0)
		p[n++] = take_packet(a);
	if (n > 0 && a->npackets == 0) {
		free(a->queue);
		a->queue = NULL;
	}
	if (n > 0)
		return n;
	return a->over ? a->err : -EAGAIN;
}

/* The frame's head goes into the room before the packet, where it fits; small packets that wait share
 * a chunk. */
static int put(struct mux_core *m, const struct muxcool_frame *f, struct buf *b)
{
	uint8_t mem[XUDP_HEAD_MAX];
	struct wr w = wr_of(mem, sizeof(mem));

	muxcool_frame_emit(&w, f);
	if (w.err)
		return w.err;
	if (b->start >= w.len) {
		b->start -= (uint32_t)w.len;
		memcpy(buf_head(b), mem, w.len);
	} else if (bufq_append(&m->out, mem, w.len)) {
		return -ENOMEM;
	}
	bufq_pack(&m->out, b);
	return 0;
}

/* How it goes over, but for its destination.  False: it cannot. */
static bool frame_of(const struct assoc *a, const struct packet *p, struct muxcool_frame *out)
{
	const struct dest *to = a->unsaid && p->dest.type == DEST_NONE ? a->fixed : &p->dest;

	*out = (struct muxcool_frame){
		.session = (uint16_t)a->flow->c.id,
		.status = a->unsaid ? MUXCOOL_NEW : MUXCOOL_KEEP,
		.has_data = true,
		.data_len = buf_len(p->buf),
		.has_global_id = a->unsaid,
	};
	if (to->type != DEST_NONE) {
		out->network = MUXCOOL_UDP;
		dest_copy(&out->dest, to);
	} else if (a->unsaid) {
		return false;
	}
	memcpy(out->global_id, a->id, sizeof(a->id));
	return out->data_len <= XUDP_DATA_MAX;
}

static void send_one(struct assoc *a, struct packet *p)
{
	struct muxcool_flow *f = a->flow;
	struct muxcool_frame frame;

	if (!frame_of(a, p, &frame) || put(f->c.m, &frame, p->buf)) {
		a->d.dropped++;
		buf_free(p->buf);
	} else {
		a->unsaid = false;
		a->answered = true;
		mux_child_sent(&f->c, frame.data_len);
	}
	p->buf = NULL;
}

static int assoc_send(struct dgram *d, struct packet *p, int n)
{
	struct assoc *a = assoc_of(d);
	int i;

	if (a->over)
		return a->err ? a->err : -EPIPE;
	for (i = 0; i < n && a->flow && mux_child_turn(&a->flow->c, 1) > 0; i++)
		send_one(a, &p[i]);
	return i > 0 ? i : -EAGAIN; /* at rest it waits, as in a socket's buffer */
}

static void assoc_want(struct dgram *d, unsigned ev, struct waiter *w)
{
	struct assoc *a = assoc_of(d);

	if (a->over || ((ev & STREAM_RD) && a->npackets > 0)) {
		loop_queue(d->loop, w);
		return;
	}
	if (ev & STREAM_RD)
		a->rd = w;
	if (!(ev & STREAM_WR))
		return;
	if (a->flow)
		mux_child_want(&a->flow->c, STREAM_WR, w);
	else
		a->wr = w;
}

static void assoc_free(struct dgram *d)
{
	struct assoc *a = assoc_of(d);

	if (a->flow)
		close_flow(a->flow);
	wake_from_rest(a);
	list_del(&a->link);
	while (a->npackets > 0)
		buf_free(take_packet(a).buf);
	free(a->queue);
	free(a->fixed);
	if (a->left)
		mux_let_go(a->left);
	loop_free_later(d->loop, a);
}

static int assoc_query(const struct dgram *d, enum stream_attr attr, union stream_value *out)
{
	const struct assoc *a = assoc_of(d);

	if (attr == STREAM_REQUEST)
		out->request = &a->request;
	else if (attr == STREAM_PEER && a->peer.len)
		out->addr = &a->peer;
	else
		return -ENOTSUP;
	return 0;
}

static const struct dgram_ops assoc_ops = {
	.name = "xudp",
	.recv = assoc_recv,
	.send = assoc_send,
	.want = assoc_want,
	.free = assoc_free,
	.query = assoc_query,
};

/* ---- beginning ------------------------------------------------------------------------------- */

static struct assoc *assoc_new(struct mux_core *m, const struct muxcool_frame *f, struct house *h)
{
	struct assoc *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->d = (struct dgram){.ops = &assoc_ops, .loop = m->mux.loop};
	a->request = (struct stream_request){.user = m->terms.user, .network = NETWORK_UDP};
	dest_copy(&a->request.dest, &f->dest);
	a->peer = m->peer;
	list_init(&a->link);
	list_init(&a->rest);
	timer_init(&a->timer, on_rested);
	a->house = h;
	a->named = f->has_global_id;
	a->realm = m->terms.realm;
	if (a->named) {
		memcpy(a->id, f->global_id, sizeof(a->id));
		list_add_tail(slot_of(h, a->request.user, a->id), &a->link);
	}
	return a;
}

/* Whatever it was attached to it leaves. */
static void attach(struct assoc *a, struct muxcool_flow *f)
{
	struct muxcool_flow *old = a->flow;

	if (old) {
		wake(a, &old->c.wr);
		close_flow(old);
	}
	wake_from_rest(a);
	a->flow = f;
	f->a = a;
	wake(a, &a->wr);
}

int muxcool_flow_new(struct mux_core *m, const struct muxcool_frame *f, struct muxcool_flow **out)
{
	struct house *h = house_of(m->mux.loop);
	struct assoc *a = h && f->has_global_id ? find(h, m, f->global_id) : NULL;
	struct muxcool_flow *flow = calloc(1, sizeof(*flow));
	struct dest *fixed = dest_dup(&f->dest);
	bool known = a != NULL;

	if (!h || !flow || !fixed || mux_child_add(m, &flow->c, f->session))
		goto no_memory;
	flow->c.lost = flow_lost;
	if (!a)
		a = assoc_new(m, f, h);
	if (!a) {
		flow_free(flow);
		flow = NULL;
		goto no_memory;
	}
	free(a->fixed);
	a->fixed = fixed;
	attach(a, flow);
	if (!known)
		m->terms.sink->dgram(m->terms.sink, &a->d);
	if (!flow->c.attached)
		return -ECONNREFUSED;
	*out = flow;
	return 0;

no_memory:
	free(flow);
	free(fixed);
	return -ENOMEM;
}

struct dgram *muxcool_flow_open(struct mux_core *m, uint16_t number, const struct dest *first,
				const uint8_t id[8])
{
	struct muxcool_frame f = {.session = number};
	struct house *h = house_of(m->mux.loop);
	struct muxcool_flow *flow = calloc(1, sizeof(*flow));
	struct assoc *a = NULL;

	dest_copy(&f.dest, first);
	if (h && flow && !mux_child_add(m, &flow->c, number))
		a = assoc_new(m, &f, h);
	if (a)
		a->fixed = dest_dup(first);
	if (!a || !a->fixed) {
		if (flow && flow->c.m)
			flow_free(flow);
		else
			free(flow);
		free(a);
		return NULL;
	}
	flow->c.lost = flow_lost;
	a->unsaid = true;
	memcpy(a->id, id, sizeof(a->id));
	attach(a, flow);
	return &a->d;
}

bool muxcool_flow_is_full(const struct muxcool_flow *f)
{
	return f->a->npackets == XUDP_QUEUE;
}

/* A packet that waits has a chunk of its own, and flows are many: together they hold no more than
 * XUDP_QUEUED, half of it for who has nothing waiting yet; when memory is short only they get any. */
static bool may_queue(const struct assoc *a, const struct buf_pool *pool)
{
	unsigned queued = a->house->queued;

	if (a->npackets == 0)
		return queued < XUDP_QUEUED;
	return a->npackets < XUDP_QUEUE && queued < XUDP_QUEUED / 2 && !buf_pool_short(pool);
}

void muxcool_flow_feed(struct muxcool_flow *f, struct bufq *q, size_t n, const struct dest *dest)
{
	struct assoc *a = f->a;
	struct buf *b = NULL;
	struct packet *p;

	if (may_queue(a, q->pool)) {
		if (!a->queue)
			a->queue = calloc(XUDP_QUEUE, sizeof(*a->queue));
		if (a->queue)
			b = buf_new(q->pool);
	}
	if (!b) {
		a->d.dropped++;
		bufq_drain(q, n);
		return;
	}
	b->end += (uint32_t)bufq_take(q, buf_head(b), n);
	p = &a->queue[(a->head + a->npackets++) % XUDP_QUEUE];
	a->house->queued++;
	p->buf = b;
	dest_copy(&p->dest, dest->type == DEST_NONE ? a->fixed : dest);
	wake(a, &a->rd);
}
