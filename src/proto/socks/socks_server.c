#include "proto/socks/socks.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "proto/socks/socks_wire.h"
#include "stream/udp.h"

enum socks_state {
	GREETING,
	REQUEST,
	ANSWER, /* the last reply is on its way */
	READY,
};

struct socks_server {
	struct stream s;
	struct stream *lower;
	struct bufq in, out;
	enum socks_state state;
	bool lower_open;
	int err; /* decided; told once the reply is out */
	struct stream_request request;
	struct dgram *udp; /* of UDP ASSOCIATE */
};

static struct socks_server *of(const struct stream *s)
{
	return container_of(s, struct socks_server, s);
}

static int flush(struct socks_server *k)
{
	ssize_t n;

	while (!bufq_empty(&k->out)) {
		n = stream_push(k->lower, &k->out);
		if (n < 0)
			return (int)n;
	}
	return 0;
}

static int say(struct socks_server *k, const struct wr *w)
{
	return w->err ? w->err : bufq_append(&k->out, w->base, w->len);
}

static int reply(struct socks_server *k, enum socks_reply code, const struct addr *bound)
{
	static const struct addr nowhere = {.in = {.sin_family = AF_INET},
					    .len = sizeof(struct sockaddr_in)};
	uint8_t mem[SOCKS_MSG_MAX];
	struct wr w = wr_of(mem, sizeof(mem));
	struct dest d;

	dest_set_addr(&d, bound ? bound : &nowhere);
	socks_reply_emit(&w, code, &d);
	k->state = ANSWER;
	return say(k, &w);
}

static int greet(struct socks_server *k, struct rd *r)
{
	uint8_t mem[2];
	struct wr w = wr_of(mem, sizeof(mem));
	bool ok;
	int err = socks_greeting_parse(r, &ok);

	if (err)
		return err;
	socks_choice_emit(&w, ok);
	k->state = ok ? REQUEST : ANSWER;
	k->err = ok ? 0 : -ERR_AUTH;
	return say(k, &w);
}

static struct dgram *make_association(struct stream *s)
{
	struct socks_server *k = of(s);
	struct dgram *udp = k->udp;

	k->udp = NULL;
	return socks_udp_new(stream_peel(s, NULL), udp);
}

/* The association's socket is on the address that the client reached us at. */
static int associate(struct socks_server *k)
{
	union stream_value v;
	struct addr at;
	int err;

	if (!stream_local(k->lower, &at))
		return reply(k, SOCKS_FAILED, NULL);
	at = addr_unmap(&at);
	addr_set_port(&at, 0);
	err = udp_dgram_new(k->s.loop, at.sa.sa_family, &at, &k->udp);
	if (!err)
		err = k->udp->ops->query(k->udp, STREAM_LOCAL, &v);
	if (err) {
		k->err = err;
		return reply(k, SOCKS_FAILED, NULL);
	}
	k->request.network = NETWORK_UDP;
	k->request.udp = make_association;
	return reply(k, SOCKS_OK, v.addr);
}

static int take_request(struct socks_server *k, struct rd *r)
{
	uint8_t cmd;
	int err = socks_request_parse(r, &cmd, &k->request.dest);

	if (err)
		return err;
	switch (cmd) {
	case SOCKS_CONNECT:
		return reply(k, SOCKS_OK, NULL);
	case SOCKS_UDP:
		return associate(k);
	default:
		k->err = -ERR_UNSUPPORTED;
		return reply(k, SOCKS_BAD_COMMAND, NULL);
	}
}

/* One message, if it is whole: 0, -ERR_MORE, <0. */
static int step(struct socks_server *k)
{
	const uint8_t *bytes;
	struct rd r;
	size_t got;
	int err;

	bytes = bufq_linear(&k->in, 2 * SOCKS_MSG_MAX, &got);
	if (!bytes)
		return bufq_empty(&k->in) ? -ERR_MORE : -ENOMEM;
	r = rd_of(bytes, got);
	err = k->state == GREETING ? greet(k, &r) : take_request(k, &r);
	if (!err)
		bufq_drain(&k->in, r.pos);
	return err;
}

static int converse(struct socks_server *k)
{
	ssize_t n;
	int err;

	while (k->state < ANSWER) {
		err = step(k);
		if (err == -ERR_MORE) {
			err = flush(k);
			n = stream_pull(k->lower, &k->in, SOCKS_MSG_MAX);
			if (n <= 0)
				return n == 0 ? -ERR_TRUNCATED : (int)n;
		}
		if (err && err != -EAGAIN)
			return err;
	}
	err = flush(k);
	return err ? err : k->err;
}

static int socks_open(struct stream *s)
{
	struct socks_server *k = of(s);
	int err;

	if (k->state == READY)
		return 0;
	err = stream_open(k->lower);
	k->lower_open = err == 0;
	if (!err)
		err = converse(k);
	if (err)
		return err;
	stream_unread(k->lower, &k->in);
	k->state = READY;
	return 0;
}

static ssize_t socks_pull(struct stream *s, struct bufq *dst, size_t max)
{
	return stream_pull(of(s)->lower, dst, max);
}

static ssize_t socks_push(struct stream *s, struct bufq *src)
{
	return stream_push(of(s)->lower, src);
}

/* During the conversation, only what it waits for: a socket can nearly always be written to. */
static void socks_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct socks_server *k = of(s);

	if (k->lower_open && k->state != READY)
		ev = (k->state < ANSWER ? STREAM_RD : 0u) | (bufq_empty(&k->out) ? 0u : STREAM_WR);
	stream_want(k->lower, ev, w);
}

static int socks_shut(struct stream *s)
{
	return stream_shut(of(s)->lower);
}

static void gone(struct socks_server *k)
{
	bufq_done(&k->in);
	bufq_done(&k->out);
	dgram_free(k->udp);
	stream_done(&k->s);
	loop_free_later(k->s.loop, k);
}

static void socks_free(struct stream *s)
{
	stream_free(of(s)->lower);
	gone(of(s));
}

static struct stream *socks_peel(struct stream *s, struct bufq *first)
{
	struct stream *lower = of(s)->lower;

	gone(of(s));
	return lower;
}

static int socks_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	struct socks_server *k = of(s);

	if (attr != STREAM_REQUEST)
		return stream_query(k->lower, attr, out);
	if (k->state != READY)
		return -ENOTSUP;
	out->request = &k->request;
	return 0;
}

static int socks_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	return stream_set(of(s)->lower, attr, v);
}

static const struct stream_ops socks_ops = {
	.name = "socks",
	.open = socks_open,
	.pull = socks_pull,
	.push = socks_push,
	.want = socks_want,
	.shut = socks_shut,
	.free = socks_free,
	.peel = socks_peel,
	.query = socks_query,
	.set = socks_set,
};

struct stream *socks_server_new(struct stream *lower)
{
	struct socks_server *k = calloc(1, sizeof(*k));

	if (!k) {
		stream_free(lower);
		return NULL;
	}
	stream_init(&k->s, &socks_ops, lower->loop);
	k->lower = lower;
	bufq_init(&k->in, loop_pool(lower->loop), 4 * SOCKS_MSG_MAX);
	bufq_init(&k->out, loop_pool(lower->loop), SOCKS_MSG_MAX);
	return &k->s;
}
