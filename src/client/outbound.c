#include "client/outbound.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/lazy.h"
#include "client/outbound_proto.h"
#include "proto/singmux/singmux_wire.h"
#include "transport/muxcool/muxcool.h"

struct outbound_dial {
	struct dial dial;
	struct stream *s; /* the whole stack, opening */
	struct waiter *w;
};

/* To the server, up to its protocol. */
static struct stream *carrier(struct outbound *o, struct loop *l)
{
	const struct outbound_conf *c = o->conf;
	struct stream *s = lazy_new(l, o->under, c->via.type == DEST_NONE ? &c->server : &c->via);

	if (s && o->conf->tls)
		s = tls_client_new(s, o->conf->tls);
	if (s && o->conf->reality)
		s = reality_client_new(s, o->conf->reality);
	return s && o->conf->obfs ? httpobfs_client_new(s, o->conf->obfs) : s;
}

static struct stream *stack(struct outbound *o, struct loop *l, const struct dest *to)
{
	struct stream *s = carrier(o, l);

	return s ? o->conf->proto->stream(s, o->conf, to) : NULL;
}

/* ---- carriers of a multiplexer ------------------------------------------------------------- */

/* Some protocols have a command for mux.cool; all else is asked for by name. */
static struct stream *mux_carrier(void *arg, struct loop *l)
{
	struct outbound *o = arg;
	const struct outbound_conf *c = o->conf;
	bool cool = c->mux.kind == &muxcool_client;
	struct dest to = {.type = DEST_NONE};
	struct stream *s;

	if (!cool)
		singmux_dest(&to);
	else if (dest_set_name(&to, muxcool_kind.host, strlen(muxcool_kind.host), MUXCOOL_PORT))
		return NULL;
	if (!cool || !c->proto->muxcool)
		return stack(o, l, &to);
	s = carrier(o, l);
	return s ? c->proto->muxcool(s, c) : NULL;
}

/* ---- dialling ------------------------------------------------------------------------------ */

static int outbound_result(struct dial *dial, struct stream **out)
{
	struct outbound_dial *d = container_of(dial, struct outbound_dial, dial);
	int err = stream_open(d->s);

	if (err == -EAGAIN) {
		stream_want(d->s, STREAM_RD | STREAM_WR, d->w);
		return err;
	}
	if (err)
		stream_free(d->s);
	else
		*out = d->s;
	free(d);
	return err;
}

static void outbound_cancel(struct dial *dial)
{
	struct outbound_dial *d = container_of(dial, struct outbound_dial, dial);

	waiter_cancel(d->w);
	stream_free(d->s);
	free(d);
}

static const struct dial_ops dial_ops = {
	.result = outbound_result,
	.cancel = outbound_cancel,
};

static struct dial *outbound_dial(struct dialer *dialer, struct loop *l, const struct dest *to,
				  struct waiter *w)
{
	struct outbound *o = container_of(dialer, struct outbound, dialer);
	struct outbound_dial *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->dial.ops = &dial_ops;
	d->w = w;
	d->s = o->conf->mux.kind && !o->conf->mux.no_tcp ? mux_pool_stream(&o->tcp, l, to)
							 : stack(o, l, to);
	if (!d->s) {
		free(d);
		return NULL;
	}
	loop_queue(l, w); /* the first look at the result begins the connection */
	return &d->dial;
}

/* Straight to the server, whatever streams are wrapped in, or to a plugin that carries packets. */
static int dgram_apart(struct outbound *o, struct loop *l, struct dgram **out)
{
	const struct outbound_conf *c = o->conf;
	const struct dest *to = c->via_udp.type == DEST_NONE ? &c->server : &c->via_udp;
	struct dgram *udp;
	int err = dialer_dgram(o->under, l, to, &udp);

	if (err)
		return err;
	*out = c->proto->packets_apart(udp, c, to);
	return *out ? 0 : -ENOMEM;
}

static bool is_muxed(const struct outbound_mux *m, const struct dest *first)
{
	return m->kind && !m->no_udp && !(m->quic == QUIC_ALONE && first->port == 443);
}

/* The association is there at once; its carrier connects when the first packet is sent. */
static int outbound_dgram(struct dialer *dialer, struct loop *l, const struct dest *first,
			  struct dgram **out)
{
	struct outbound *o = container_of(dialer, struct outbound, dialer);
	const struct outbound_conf *c = o->conf;
	struct stream *s;

	if (is_muxed(&c->mux, first)) {
		*out = mux_pool_packets(o->udp.conf ? &o->udp : &o->tcp, l, first);
		return *out ? 0 : -ENOMEM;
	}
	if (c->apart)
		return dgram_apart(o, l, out);
	/* The request names the one destination; a SOCKS association does not know any yet. */
	if (c->plain_udp && c->proto->has_plain_udp && !first->port)
		return -ENOTSUP;
	s = carrier(o, l);
	*out = s ? c->proto->packets(s, c, first) : NULL;
	return *out ? 0 : -ENOMEM;
}

static const struct dialer_ops outbound_ops = {
	.name = "outbound",
	.dial = outbound_dial,
	.dgram = outbound_dgram,
};

void outbound_init(struct outbound *o, struct dialer *under, const struct outbound_conf *conf)
{
	const struct outbound_mux *m = &conf->mux;

	*o = (struct outbound){.dialer.ops = &outbound_ops, .under = under, .conf = conf};
	if (!m->kind)
		return;
	o->tcp_conf = (struct mux_pool_conf){
		.kind = m->kind,
		.padding = m->padding,
		.streams = m->streams,
		.carriers = m->carriers,
		.min_streams = m->min_streams,
		.no_quic = m->quic == QUIC_REJECTED,
	};
	mux_pool_init(&o->tcp, &o->tcp_conf, mux_carrier, o);
	if (!m->udp_streams)
		return;
	o->udp_conf = o->tcp_conf;
	o->udp_conf.streams = m->udp_streams;
	mux_pool_init(&o->udp, &o->udp_conf, mux_carrier, o);
}

void outbound_done(struct outbound *o)
{
	mux_pool_done(&o->tcp);
	mux_pool_done(&o->udp);
}
