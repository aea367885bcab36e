/* mux_core.c - the carrier and the table of children; mux_stream.c has the children that are streams. */
#include "stream/mux_core.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/err.h"

#define READS	    4 /* of the carrier in a turn, before somebody else has his */
#define SLOTS_MIN   8
#define ORDERLY_END (-ERR_FIRST)   /* no error has this number */
#define HASTE	    (2 * NSEC_SEC) /* how quiet it has to be when it is overdue */

static struct mux_core *of(struct mux *mux)
{
	return container_of(mux, struct mux_core, mux);
}

void mux_kick(struct mux_core *m)
{
	if (!m->gone)
		loop_queue(m->mux.loop, &m->run);
}

void mux_fail(struct mux_core *m, int err)
{
	if (!m->failed)
		m->failed = err;
	mux_kick(m);
}

int mux_glitch(struct mux_core *m)
{
	nsec_t now = loop_now(m->mux.loop);

	if (now - m->glitch_since >= NSEC_SEC) {
		m->glitch_since = now;
		m->glitches = 0;
	}
	return ++m->glitches > MUX_GLITCHES ? -ERR_PROTOCOL : 0;
}

int mux_stray(struct mux_core *m, size_t n)
{
	m->stray += n;
	return m->stray > MUX_STRAY ? -ERR_PROTOCOL : 0;
}

/* ---- the table ----------------------------------------------------------------------------- */

static struct mux_child **slot_of(const struct mux_core *m, uint32_t id)
{
	/* The peer chooses the numbers, and does not know the key. */
	return &m->table[hash_bytes(&m->key, &id, sizeof(id)) & (m->nslots - 1)];
}

static int grow(struct mux_core *m)
{
	size_t n = m->nslots ? m->nslots * 2 : SLOTS_MIN;
	struct mux_child **table;
	struct list_node *pos;

	if (m->nchildren < m->nslots)
		return 0;
	table = calloc(n, sizeof(*table));
	if (!table)
		return -ENOMEM;
	free(m->table);
	m->table = table;
	m->nslots = n;
	list_for_each(pos, &m->children) {
		struct mux_child *c = list_entry(pos, struct mux_child, link), **slot;

		slot = slot_of(m, c->id);
		c->next = *slot;
		*slot = c;
	}
	return 0;
}

struct mux_child *mux_find(const struct mux_core *m, uint32_t id)
{
	struct mux_child *c = m->nslots ? *slot_of(m, id) : NULL;

	while (c && c->id != id)
		c = c->next;
	return c;
}

bool mux_has_room(const struct mux_core *m)
{
	return m->refs <= MUX_CHILDREN; /* and those that are ended, and not freed yet */
}

int mux_child_add(struct mux_core *m, struct mux_child *c, uint32_t id)
{
	struct mux_child **slot;
	int err = grow(m);

	if (err)
		return err;
	c->m = m;
	c->id = id;
	c->attached = true;
	list_init(&c->turn);
	slot = slot_of(m, id);
	c->next = *slot;
	*slot = c;
	list_add_tail(&m->children, &c->link);
	m->nchildren++;
	m->refs++;
	return 0;
}

void mux_child_detach(struct mux_child *c)
{
	struct mux_core *m = c->m;
	struct mux_child **at;

	if (!c->attached)
		return;
	c->attached = false;
	m->nparting -= c->parting;
	c->parting = false;
	m->stray = 0;
	for (at = slot_of(m, c->id); *at != c; at = &(*at)->next)
		;
	*at = c->next;
	list_del(&c->link);
	list_del(&c->turn);
	m->idle_since = loop_now(m->mux.loop);
	if (--m->nchildren == 0)
		mux_kick(m); /* it may be the last one */
}

void mux_child_part(struct mux_child *c)
{
	if (!c->attached || c->parting)
		return;
	c->parting = true;
	c->m->nparting++;
}

size_t mux_load(const struct mux *mux)
{
	const struct mux_core *m = container_of(mux, const struct mux_core, mux);

	if (m->gone || m->draining || m->failed || m->stalled || !mux_has_room(m))
		return MUX_FULL;
	if (m->codec->full && m->codec->full(m))
		return MUX_FULL;
	if (m->asked && loop_now(mux->loop) - m->asked >= MUX_SILENCE)
		return MUX_FULL;
	return m->nchildren - m->nparting;
}

static void unref(struct mux_core *m)
{
	if (--m->refs > 0)
		return;
	if (m->codec->done)
		m->codec->done(m);
	free(m->table);
	loop_free_later(m->mux.loop, m);
}

void mux_hold(struct mux_core *m)
{
	m->refs++;
}

void mux_let_go(struct mux_core *m)
{
	unref(m);
}

void mux_child_gone(struct mux_child *c)
{
	struct mux_core *m = c->m;

	mux_child_detach(c);
	if (m->stalled == c) {
		m->stalled = NULL;
		mux_kick(m);
	}
	unref(m);
}

/* ---- taking turns -------------------------------------------------------------------------- */

static size_t window_of(const struct mux_child *c)
{
	return c->m->codec->window ? c->m->codec->window(c) : SIZE_MAX;
}

static size_t out_room(const struct mux_core *m)
{
	return bufq_len(&m->out) < MUX_OUT_MAX ? MUX_OUT_MAX - bufq_len(&m->out) : 0;
}

static void new_round(struct mux_child *c)
{
	c->deficit = MIN(c->deficit + MUX_QUANTUM, MUX_QUANTUM);
}

/* Whoever finds somebody waiting waits behind him. */
size_t mux_child_turn(struct mux_child *c, size_t want)
{
	struct mux_core *m = c->m;
	size_t room = MIN(out_room(m), window_of(c));

	if (room == 0)
		return 0;
	if (c->deficit <= 0 && !list_empty(&m->writers))
		return 0;
	if (c->deficit <= 0)
		new_round(c);
	if (c->deficit <= 0)
		return 0;
	room = MIN(room, (size_t)c->deficit);
	return MIN(want, room);
}

void mux_child_sent(struct mux_child *c, size_t n)
{
	struct mux_core *m = c->m;

	c->deficit -= (int32_t)n;
	if (!m->asked)
		m->asked = loop_now(m->mux.loop);
	mux_kick(m);
}

void mux_child_wake(struct mux_child *c, unsigned ev)
{
	struct waiter *rd = c->rd, *wr = c->wr;

	if ((ev & STREAM_RD) && rd) {
		c->rd = NULL;
		loop_queue(c->m->mux.loop, rd);
	}
	if ((ev & STREAM_WR) && wr) {
		c->wr = NULL;
		list_del(&c->turn);
		loop_queue(c->m->mux.loop, wr);
	}
}

/* In line for its turn: one who has no window would only hold the others up. */
static void line_up(struct mux_child *c)
{
	if (!c->wr || list_linked(&c->turn) || window_of(c) == 0)
		return;
	list_add_tail(&c->m->writers, &c->turn);
	if (out_room(c->m) > 0)
		mux_kick(c->m);
}

void mux_child_want(struct mux_child *c, unsigned ev, struct waiter *w)
{
	if (ev & STREAM_RD)
		c->rd = w;
	if (ev & STREAM_WR) {
		c->wr = w;
		line_up(c);
	}
}

void mux_child_writable(struct mux_child *c)
{
	line_up(c);
}

static void grant_turns(struct mux_core *m)
{
	size_t room = out_room(m);

	while (room > 0 && !list_empty(&m->writers)) {
		struct mux_child *c = list_entry(m->writers.next, struct mux_child, turn);

		if (c->deficit < MUX_QUANTUM)
			new_round(c);
		mux_child_wake(c, STREAM_WR);
		room -= MIN(room, (size_t)MUX_QUANTUM);
	}
}

/* ---- the carrier --------------------------------------------------------------------------- */

int mux_emit(struct mux_core *m, const void *head, size_t len, struct bufq *src, size_t n)
{
	size_t whole = len + n;

	if (!src)
		return bufq_append(&m->out, head, len);
	if (bufq_prepend(src, head, len))
		return -ENOMEM;
	return bufq_move(&m->out, src, whole) == whole ? 0 : -ENOMEM;
}

/* Children of a client are there before it is open, and wait for it. */
static int open_lower(struct mux_core *m)
{
	int err = m->open ? 0 : stream_open(m->lower);
	struct list_node *pos;

	if (err == -EAGAIN)
		stream_want(m->lower, STREAM_RD | STREAM_WR, &m->run);
	if (err || m->open)
		return err;
	m->open = true;
	list_for_each(pos, &m->children)
		mux_child_wake(list_entry(pos, struct mux_child, link), STREAM_RD | STREAM_WR);
	return 0;
}

static int flush(struct mux_core *m)
{
	if (bufq_len(&m->out) == m->first)
		return 0;
	m->first = 0;
	while (!bufq_empty(&m->out)) {
		ssize_t n = stream_push(m->lower, &m->out);

		if (n == -EAGAIN) {
			stream_want(m->lower, STREAM_WR, &m->run);
			return 0;
		}
		if (n < 0)
			return (int)n;
	}
	return 0;
}

/* He asks, and does not listen. */
static bool answers_pile_up(const struct mux_core *m)
{
	return bufq_len(&m->out) >= MUX_OUT_MAX + MUX_OUT_OVER;
}

static int look(struct mux_core *m)
{
	int err = m->codec->input(m);

	if (!err)
		m->stalled = NULL;
	return err;
}

/* 0: something will wake us.  1: there is more. */
static int read_some(struct mux_core *m)
{
	for (int reads = 0; reads < READS; reads++) {
		size_t len;
		ssize_t n;
		int err;

		if (answers_pile_up(m))
			return 1;
		err = look(m);
		if (err)
			return err == -EAGAIN ? 0 : err;
		len = bufq_len(&m->in);
		if (len >= MUX_READ_MAX)
			return -ERR_TOO_BIG;
		n = stream_pull(m->lower, &m->in, MUX_READ_MAX - len);
		if (n == -EAGAIN) {
			stream_want(m->lower, STREAM_RD, &m->run);
			return 0;
		}
		if (n < 0)
			return (int)n;
		if (n == 0)
			return len > 0 ? -ERR_TRUNCATED : ORDERLY_END;
		m->asked = 0;
		m->heard = true;
	}
	return 1;
}

static bool is_overdue(const struct mux_core *m)
{
	return m->overdue && loop_now(m->mux.loop) >= m->overdue;
}

static nsec_t quiet_for(const struct mux_core *m)
{
	return is_overdue(m) ? MIN(m->quiet, HASTE) : m->quiet;
}

static bool is_quiet(const struct mux_core *m)
{
	return m->nchildren == 0 && loop_now(m->mux.loop) - m->idle_since >= quiet_for(m);
}

/* Drained.  0: not over yet. */
static int part(struct mux_core *m)
{
	int said = m->codec->go_away ? m->codec->go_away(m, is_quiet(m) || is_overdue(m)) : 0;
	int err = said && said != -EAGAIN ? said : flush(m);

	if (err || said || !is_quiet(m) || bufq_len(&m->out) != m->first)
		return err;
	return ORDERLY_END;
}

static int turn(struct mux_core *m)
{
	int more, err = m->failed;

	if (!err)
		err = open_lower(m);
	if (!err)
		err = flush(m);
	if (err)
		return err == -EAGAIN ? 0 : err;
	more = read_some(m);
	if (more < 0)
		return more;
	err = flush(m);
	if (err)
		return err;
	grant_turns(m);
	if (more && !answers_pile_up(m))
		mux_kick(m);
	return m->draining ? part(m) : 0;
}

/* ---- its end ------------------------------------------------------------------------------- */

/* What its children are told.  One from which nothing has ever come is of no use, whoever they want to
 * reach: they learn why.
 */
static int reason(const struct mux_core *m, int err)
{
	if (m->heard)
		return 0;
	return err ? err : -ERR_TRUNCATED;
}

static void go(struct mux_core *m, int err)
{
	struct list_node *n;

	m->gone = true;
	waiter_cancel(&m->run);
	timer_stop(&m->timer);
	while ((n = m->children.next) != &m->children) {
		struct mux_child *c = list_entry(n, struct mux_child, link);

		mux_child_detach(c);
		c->lost(c, reason(m, err));
	}
}

static void end(struct mux_core *m, int err)
{
	go(m, err);
	m->mux.ended = true;
	m->mux.result = err;
	m->terms.sink->closed(m->terms.sink);
}

static void core_free(struct mux *mux)
{
	struct mux_core *m = of(mux);

	if (!m->gone)
		go(m, -ECONNRESET);
	m->first = 0;
	if (m->open && !m->failed)
		(void)!flush(
			m); /* what ended children have to say, and the answer to the carrier's request */
	waiter_cancel(&m->run);
	stream_free(m->lower);
	m->lower = NULL;
	bufq_done(&m->in);
	bufq_done(&m->out);
	unref(m);
}

static void core_drain(struct mux *mux, nsec_t quiet)
{
	struct mux_core *m = of(mux);

	if (!m->draining)
		m->overdue = loop_now(mux->loop) + MUX_DRAIN_MAX;
	m->quiet = m->draining ? MIN(m->quiet, quiet) : quiet;
	m->draining = true;
	mux_kick(m);
}

/* ---- time ---------------------------------------------------------------------------------- */

static nsec_t idle_at(const struct mux_core *m)
{
	return m->codec->idle && m->nchildren == 0 ? m->idle_since + m->codec->idle : 0;
}

static nsec_t stall_at(const struct mux_core *m)
{
	return m->stalled ? m->stalled_since + MUX_STALL : 0;
}

static nsec_t quiet_at(const struct mux_core *m)
{
	return m->draining && m->nchildren == 0 ? m->idle_since + quiet_for(m) : 0;
}

static void arm(struct mux_core *m, nsec_t at)
{
	if (at && (!timer_armed(&m->timer) || at < m->timer.at))
		timer_set(m->mux.loop, &m->timer, at);
}

/* What a turn looks at is armed when it is to come: it has been seen when it is past. */
static void arm_turn(struct mux_core *m, nsec_t at)
{
	if (at > loop_now(m->mux.loop))
		arm(m, at);
}

static void arm_all(struct mux_core *m)
{
	arm(m, idle_at(m));
	arm(m, stall_at(m));
	arm_turn(m, quiet_at(m));
	arm_turn(m, m->farewell);
	arm_turn(m, m->overdue);
}

static void on_time(struct timer *t)
{
	struct mux_core *m = container_of(t, struct mux_core, timer);
	nsec_t now = loop_now(m->mux.loop), idle = idle_at(m), stall = stall_at(m);

	if (idle && now >= idle) {
		end(m, 0);
		return;
	}
	if (stall && now >= stall)
		mux_stalled(m, now);
	if (m->draining)
		mux_kick(m);
	arm_all(m);
}

static void on_turn(struct waiter *w)
{
	struct mux_core *m = container_of(w, struct mux_core, run);
	int err;

	if (m->gone)
		return;
	if (m->terms.active)
		atomic_store_explicit(m->terms.active, loop_now(m->mux.loop), memory_order_relaxed);
	err = turn(m);
	if (err)
		end(m, err == ORDERLY_END ? 0 : err);
	else
		arm_all(m);
}

static const struct mux_ops core_ops = {
	.name = "mux",
	.drain = core_drain,
	.free = core_free,
};

struct mux *mux_core_start(struct mux_core *m, const struct mux_codec *codec, struct stream *lower,
			   const struct mux_terms *terms)
{
	struct loop *l = lower->loop;

	m->mux = (struct mux){.ops = &core_ops, .loop = l};
	m->codec = codec;
	m->lower = lower;
	m->terms = *terms;
	m->terms.first = NULL;
	m->refs = 1;
	loop_random(l, &m->key, sizeof(m->key));
	m->idle_since = m->asked = loop_now(l);
	bufq_init(&m->in, loop_pool(l), MUX_READ_MAX);
	bufq_init(&m->out, loop_pool(l), SIZE_MAX);
	if (terms->first)
		m->first = bufq_move(&m->out, terms->first, SIZE_MAX);
	list_init(&m->children);
	list_init(&m->writers);
	list_init(&m->streams);
	waiter_init(&m->run, on_turn);
	timer_init(&m->timer, on_time);
	if (!stream_peer(lower, &m->peer))
		m->peer.len = 0;
	if (!stream_local(lower, &m->local))
		m->local.len = 0;
	arm_all(m);
	mux_kick(m);
	return &m->mux;
}
