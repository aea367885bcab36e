/* The client's side of an association, as the relay sees it: a dgram whose packets come out of the
 * shared socket's hands, and go out by the shared socket.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/random.h"
#include "proto/shadowsocks/ss_udp_impl.h"

#define BUCKETS_START 16
#define ENDED_MAX     4096 /* sessions without an owner */

static struct ss_assoc *of(const struct dgram *d)
{
	return container_of(d, struct ss_assoc, d);
}

/* ---- the table --------------------------------------------------------------------------- */

static void fill(struct ss_assoc **buckets, uint32_t mask, const struct list_node *from)
{
	struct list_node *pos;

	list_for_each(pos, from) {
		struct ss_assoc *a = list_entry(pos, struct ss_assoc, link);

		a->chain = buckets[a->hash & mask];
		buckets[a->hash & mask] = a;
	}
}

static bool grow(struct ss_udp *u)
{
	uint32_t size = u->buckets ? 2 * (u->mask + 1) : BUCKETS_START;
	struct ss_assoc **buckets;

	if (u->buckets && u->n < u->mask + 1)
		return true;
	buckets = calloc(size, sizeof(*buckets));
	if (!buckets)
		return u->buckets != NULL;
	free(u->buckets);
	u->buckets = buckets;
	u->mask = size - 1;
	fill(buckets, u->mask, &u->all);
	fill(buckets, u->mask, &u->ended);
	return true;
}

int ss_assoc_add(struct ss_udp *u, struct ss_assoc *a, uint64_t hash)
{
	if (!grow(u))
		return -ENOMEM;
	a->hash = hash;
	a->chain = u->buckets[hash & u->mask];
	u->buckets[hash & u->mask] = a;
	list_add_tail(&u->all, &a->link);
	u->n++;
	return 0;
}

static struct ss_assoc *same(struct ss_assoc *a, uint64_t hash)
{
	while (a && a->hash != hash)
		a = a->chain;
	return a;
}

struct ss_assoc *ss_assoc_first(const struct ss_udp *u, uint64_t hash)
{
	return u->buckets ? same(u->buckets[hash & u->mask], hash) : NULL;
}

struct ss_assoc *ss_assoc_next(struct ss_assoc *a)
{
	return same(a->chain, a->hash);
}

static void out_of_list(struct ss_assoc *a)
{
	list_del(&a->link);
	a->udp->nended -= a->ended;
	a->ended = false;
}

static void unlink_assoc(struct ss_assoc *a)
{
	struct ss_udp *u = a->udp;

	if (!list_linked(&a->link))
		return;
	if (u->member && a->method->class == SS_2022)
		ss_sessions_release(u->member, a->s->client);
	for (struct ss_assoc **at = &u->buckets[a->hash & u->mask]; *at; at = &(*at)->chain) {
		if (*at == a) {
			*at = a->chain;
			break;
		}
	}
	out_of_list(a);
	u->n--;
}

/* ---- life -------------------------------------------------------------------------------- */

static const struct dgram_ops assoc_ops;

struct ss_assoc *ss_assoc_new(struct ss_udp *u, const struct ss_method *m)
{
	bool edition = m->class == SS_2022;
	struct ss_assoc *a = calloc(1, sizeof(*a) + (edition ? sizeof(a->s[0]) : 0));

	if (!a)
		return NULL;
	a->d = (struct dgram){.ops = &assoc_ops, .loop = u->loop};
	a->udp = u;
	a->method = m;
	list_init(&a->link);
	list_init(&a->blocked);
	return a;
}

static void drop_held(struct ss_assoc *a)
{
	struct buf *b;

	while ((b = a->first)) {
		a->first = b->next;
		b->next = NULL;
		buf_free(b);
	}
	a->last = NULL;
	if (a->udp)
		a->udp->held -= a->held;
	a->held = 0;
}

void ss_assoc_free(struct ss_assoc *a)
{
	struct loop *l = a->d.loop;

	drop_held(a);
	list_del(&a->blocked);
	if (a->udp)
		unlink_assoc(a);
	if (a->method->class == SS_2022) {
		aead_key_clear(&a->s->open);
		aead_key_clear(&a->s->seal);
	}
	cleanse(a->key, sizeof(a->key));
	loop_free_later(l, a);
}

void ss_assoc_rest(struct ss_assoc *a)
{
	struct ss_udp *u = a->udp;

	drop_held(a);
	list_del(&a->blocked);
	if (a->ended)
		return;
	list_del(&a->link);
	list_add_tail(&u->ended, &a->link);
	a->ended = true;
	if (!a->used)
		a->used = loop_now(u->loop);
	if (++u->nended > ENDED_MAX)
		ss_assoc_free(list_entry(u->ended.next, struct ss_assoc, link));
}

void ss_assoc_end(struct ss_assoc *a)
{
	if (!a->live) {
		ss_assoc_free(a);
		return;
	}
	drop_held(a);
	unlink_assoc(a);
	list_del(&a->blocked);
	a->udp = NULL;
	a->over = true;
	if (a->rd)
		loop_queue(a->d.loop, a->rd);
	if (a->wr)
		loop_queue(a->d.loop, a->wr);
}

void ss_assoc_take(struct ss_assoc *a, struct buf *b, const struct addr *peer,
		   const struct addr *local)
{
	struct ss_udp *u = a->udp;

	a->peer = *peer;
	a->local = *local;
	a->used = loop_now(u->loop);
	out_of_list(a);
	list_add_tail(&u->all, &a->link);
	if (a->held >= SS_UDP_ASSOC_HELD || u->held >= SS_UDP_HELD) {
		u->count.dropped++;
		buf_free(b);
		return;
	}
	b->next = NULL;
	if (a->last)
		a->last->next = b;
	else
		a->first = b;
	a->last = b;
	a->held++;
	u->held++;
	if (a->rd)
		loop_queue(u->loop, a->rd);
	a->rd = NULL;
}

/* ---- the dgram --------------------------------------------------------------------------- */

/* The address has been looked at when the packet came. */
static void take_address(struct buf *b, struct dest *out)
{
	struct rd r = rd_of(buf_head(b), buf_len(b));

	rd_dest(&r, DEST_SOCKS, out);
	b->start += (uint32_t)r.pos;
}

static int assoc_recv(struct dgram *d, struct packet *p, int max)
{
	struct ss_assoc *a = of(d);
	int n = 0;

	while (n < max && a->first) {
		struct buf *b = a->first;

		a->first = b->next;
		if (!a->first)
			a->last = NULL;
		b->next = NULL;
		a->held--;
		a->udp->held--;
		take_address(b, &p[n].dest);
		p[n++].buf = b;
	}
	if (n > 0)
		return n;
	return a->over ? 0 : -EAGAIN;
}

/* What we send opens like what is sent to us, so our own salts are remembered, too: an answer that is thrown
 * back at us must not become a request.
 */
static int seal_salted(struct ss_assoc *a, const uint8_t *salt, struct packet *p)
{
	struct replay *r = a->udp->service.replay;

	if (r && a->method->class == SS_AEAD)
		(void)!replay_add(r, salt, a->method->salt_len, loop_now(a->d.loop));
	return ss_packet_seal(a->method, a->key, salt, p->buf, &p->dest);
}

static int seal(struct ss_assoc *a, const uint8_t *salt, struct packet *p)
{
	struct ss_packet_out o;

	if (a->method->class != SS_2022)
		return seal_salted(a, salt, p);
	o = (struct ss_packet_out){
		.method = a->method,
		.session = &a->s->seal,
		.header_key = a->key,
		.separate = a->s->out,
		.time = (uint64_t)loop_wall(a->d.loop),
		.client = a->s->client,
		.padding = ss_packet_padding(&p->dest, buf_len(p->buf)),
	};
	a->s->out.packet++;
	return ss_packet_seal_2022(&o, p->buf, &p->dest);
}

/* Sealed packets that the socket does not take are lost: they cannot be unsealed. */
static void send_sealed(struct ss_assoc *a, const struct mmsg *m, int n)
{
	struct ss_udp *u = a->udp;
	int done = 0;

	while (done < n) {
		int sent = mmsg_send(u->io.fd, u->family, m + done, n - done);

		if (sent == -EINTR)
			continue;
		if (sent == -EAGAIN) {
			u->io.ready &= ~IO_WR;
			break;
		}
		if (sent <= 0) { /* this one cannot be sent: too long, no route */
			a->d.dropped++;
			sent = 1;
		}
		done += sent;
	}
	a->d.dropped += (uint64_t)(n - done);
}

static int assoc_send(struct dgram *d, struct packet *p, int n)
{
	struct ss_assoc *a = of(d);
	UNINIT uint8_t salts[MMSG_BATCH * SS_SALT_MAX];
	UNINIT struct mmsg m[MMSG_BATCH];
	int ready = 0;

	if (a->over)
		return -ECONNRESET;
	if (!(a->udp->io.ready & IO_WR))
		return -EAGAIN;
	n = MIN(n, MMSG_BATCH);
	if (a->method->class != SS_2022)
		random_bytes(salts, (size_t)n * a->method->salt_len);
	for (int i = 0; i < n; i++) {
		if (seal(a, salts + i * a->method->salt_len, &p[i]))
			d->dropped++;
		else
			m[ready++] = (struct mmsg){p[i].buf, a->peer, a->local};
	}
	if (ready)
		send_sealed(a, m, ready);
	for (int i = 0; i < n; i++)
		buf_free(p[i].buf);
	a->used = loop_now(d->loop);
	return n;
}

static void assoc_want(struct dgram *d, unsigned ev, struct waiter *w)
{
	struct ss_assoc *a = of(d);

	if (ev & STREAM_RD) {
		a->rd = w;
		if (a->first || a->over)
			loop_queue(d->loop, w);
	}
	if (!(ev & STREAM_WR))
		return;
	a->wr = w;
	if (a->over || a->udp->io.ready & IO_WR) {
		loop_queue(d->loop, w);
		return;
	}
	if (list_empty(&a->udp->blocked))
		io_want(d->loop, &a->udp->io, IO_WR, &a->udp->writable);
	list_del(&a->blocked);
	list_add_tail(&a->udp->blocked, &a->blocked);
}

/* A 2022 session's numbers are remembered until nothing of it can be accepted any more: else a
 * recording would open it again.
 */
static void assoc_free(struct dgram *d)
{
	struct ss_assoc *a = of(d);

	a->live = false;
	a->rd = a->wr = NULL;
	if (a->over || a->method->class != SS_2022) {
		ss_assoc_free(a);
		return;
	}
	ss_assoc_rest(a);
}

static const struct dgram_ops assoc_ops = {
	.name = "shadowsocks",
	.recv = assoc_recv,
	.send = assoc_send,
	.want = assoc_want,
	.free = assoc_free,
};
