#include "client/udp_forward.h"

#include <errno.h>
#include <stdlib.h>

#include "stream/udp.h"

#define PEERS_MAX 1024

struct peer {
	struct list_node link;
	struct udp_forward *owner;
	struct dest from;
	struct dgram *out;
	struct waiter ready; /* answers are there */
	nsec_t last;
};

struct udp_forward {
	struct loop *loop;
	struct dialer *outbound;
	struct dest *to;
	struct dgram *local;
	struct waiter ready;
	struct timer sweep;
	struct list_node peers;
	size_t npeers;
	nsec_t idle;
};

static void peer_free(struct peer *p)
{
	waiter_cancel(&p->ready);
	list_del(&p->link);
	p->owner->npeers--;
	dgram_free(p->out);
	loop_free_later(p->owner->loop, p);
}

/* Back to whoever sent: false when the association has ended. */
static bool answers(struct peer *p)
{
	struct packet pkt[DGRAM_BATCH];
	int n;

	while ((n = dgram_recv(p->out, pkt, DGRAM_BATCH)) > 0) {
		p->last = loop_now(p->owner->loop);
		for (int i = 0; i < n; i++) {
			pkt[i].dest = p->from;
			if (dgram_send(p->owner->local, &pkt[i], 1) < 1)
				buf_free(pkt[i].buf);
		}
	}
	if (n != -EAGAIN)
		return false;
	dgram_want(p->out, STREAM_RD, &p->ready);
	return true;
}

static void on_answers(struct waiter *w)
{
	struct peer *p = container_of(w, struct peer, ready);

	if (!answers(p))
		peer_free(p);
}

static struct peer *peer_new(struct udp_forward *f, const struct dest *from)
{
	struct peer *p;

	if (f->npeers >= PEERS_MAX || !(p = calloc(1, sizeof(*p))))
		return NULL;
	if (dialer_dgram(f->outbound, f->loop, f->to, &p->out)) {
		free(p);
		return NULL;
	}
	p->owner = f;
	p->from = *from;
	waiter_init(&p->ready, on_answers);
	list_add_tail(&f->peers, &p->link);
	f->npeers++;
	loop_queue(f->loop, &p->ready);
	return p;
}

static struct peer *peer_of(struct udp_forward *f, const struct dest *from)
{
	struct list_node *pos;

	list_for_each(pos, &f->peers) {
		struct peer *p = list_entry(pos, struct peer, link);

		if (dest_equal(&p->from, from))
			return p;
	}
	return peer_new(f, from);
}

static void send_on(struct udp_forward *f, struct packet *pkt)
{
	struct peer *p = peer_of(f, &pkt->dest);

	if (!p) {
		buf_free(pkt->buf);
		return;
	}
	p->last = loop_now(f->loop);
	dest_copy(&pkt->dest, f->to);
	if (dgram_send(p->out, pkt, 1) < 1)
		buf_free(pkt->buf);
	if (!list_linked(&p->ready.link))
		loop_queue(f->loop, &p->ready); /* a carrier that was idle has to be listened to */
}

static void on_ready(struct waiter *w)
{
	struct udp_forward *f = container_of(w, struct udp_forward, ready);
	struct packet pkt[DGRAM_BATCH];
	int n;

	while ((n = dgram_recv(f->local, pkt, DGRAM_BATCH)) > 0) {
		for (int i = 0; i < n; i++)
			send_on(f, &pkt[i]);
	}
	if (n == -EAGAIN)
		dgram_want(f->local, STREAM_RD, &f->ready);
}

static void on_sweep(struct timer *t)
{
	struct udp_forward *f = container_of(t, struct udp_forward, sweep);
	struct list_node *pos, *tmp;
	nsec_t now = loop_now(f->loop);

	list_for_each_safe(pos, tmp, &f->peers) {
		struct peer *p = list_entry(pos, struct peer, link);

		if (now - p->last >= f->idle)
			peer_free(p);
	}
	timer_set(f->loop, t, now + f->idle / 2);
}

int udp_forward_open(struct loop *l, const struct addr *at, const struct dest *to,
		     struct dialer *outbound, nsec_t idle, struct udp_forward **out)
{
	struct udp_forward *f = calloc(1, sizeof(*f));
	int err;

	if (!f || !(f->to = dest_dup(to))) {
		free(f);
		return -ENOMEM;
	}
	err = udp_dgram_new(l, at->sa.sa_family, at, &f->local);
	if (err) {
		free(f->to);
		free(f);
		return err;
	}
	f->loop = l;
	f->outbound = outbound;
	f->idle = idle;
	list_init(&f->peers);
	waiter_init(&f->ready, on_ready);
	timer_init(&f->sweep, on_sweep);
	timer_set(l, &f->sweep, loop_now(l) + idle);
	loop_queue(l, &f->ready);
	*out = f;
	return 0;
}

void udp_forward_close(struct udp_forward *f)
{
	struct list_node *pos, *tmp;

	if (!f)
		return;
	list_for_each_safe(pos, tmp, &f->peers)
		peer_free(list_entry(pos, struct peer, link));
	waiter_cancel(&f->ready);
	timer_stop(&f->sweep);
	dgram_free(f->local);
	free(f->to);
	loop_free_later(f->loop, f);
}
