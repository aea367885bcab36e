/* What a stranger gets.  One policy an inbound, the same for every cause (docs/ARCHITECTURE.md, section 7). */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "net/proxy_proto.h"
#include "session/session_impl.h"
#include "stream/tcp.h"

#define FIRST_LOOK 8192
#define DRAIN_READ 65536
#define PARTING	   NSEC_SEC /* from our end of stream to closing */

/* The PROXY header in front of all that the stranger has sent. */
static int add_proxy_header(struct session *s, struct bufq *sent, uint8_t version)
{
	uint8_t head[PROXY_EMIT_MAX];
	struct wr w = wr_of(head, sizeof(head));
	struct addr peer = {0}, local = {0};

	(void)session_peer(s, &peer); /* unknown makes UNKNOWN */
	(void)stream_local(s->client, &local);
	proxy_emit(&w, version, &peer, &local);
	return w.err ? w.err : bufq_prepend(sent, head, w.len);
}

static int dial_fallback(struct session *s)
{
	const struct fallback *f = s->fallback;

	s->dial = NULL;
	if (f->unix_path)
		return unix_connect(s->in->loop, f->unix_path, &s->target);
	s->dial = dialer_dial(s->in->fallback_dialer, s->in->loop, &f->dest, &s->run);
	return s->dial ? 0 : -ENOMEM;
}

static int fall_back(struct session *s)
{
	struct bufq sent;
	const uint8_t *bytes;
	size_t got = 0;
	ssize_t n;
	int err = stream_open(s->client);

	if (err) /* the deadline has come before the handshakes below were through */
		return err == -EAGAIN ? -ERR_TIMEOUT : err;
	bufq_init(&sent, loop_pool(s->in->loop), FIRST_LOOK);
	/* un-read bytes: there at once, or none came */
	n = stream_pull(s->client, &sent, FIRST_LOOK);
	bytes = n > 0 ? bufq_linear(&sent, FIRST_LOOK, &got) : NULL;
	s->fallback = fallback_select(s->in->fallbacks, stream_text(s->client, STREAM_SNI),
				      stream_text(s->client, STREAM_ALPN), bytes, got);
	if (s->fallback && s->fallback->xver)
		err = add_proxy_header(s, &sent, s->fallback->xver);
	stream_unread(s->client, &sent);
	if (err)
		return err;
	if (!s->fallback)
		return PHASE_CLOSING;
	err = dial_fallback(s);
	timer_set(s->in->loop, &s->deadline, loop_now(s->in->loop) + s->in->times->dial);
	return err ? err : PHASE_FALL_DIAL;
}

static size_t stranger_allow(struct meter *m, enum relay_dir dir, size_t want, nsec_t now,
			     nsec_t *pause)
{
	struct session *s = container_of(m, struct session, meter);

	return s->mirrored && s->throttle
		       ? throttle_allow(&s->throttle[dir], &s->in->throttle[dir], want, now, pause)
		       : want;
}

static void stranger_count(struct meter *m, enum relay_dir dir, size_t bytes, nsec_t now)
{
	struct session *s = container_of(m, struct session, meter);
	_Atomic uint64_t *sum = s->in->strangers ? &s->in->strangers[dir] : NULL;

	if (sum)
		atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + bytes,
				      memory_order_relaxed);
	if (s->mirrored && s->throttle)
		throttle_count(&s->throttle[dir], &s->in->throttle[dir], bytes, now);
}

struct meter *session_stranger_meter(struct session *s)
{
	s->meter = (struct meter){.allow = stranger_allow, .count = stranger_count};
	return &s->meter;
}

/* 0, -ENOMEM. */
static int set_throttle(struct session *s)
{
	const struct throttle_rule *rule = s->in->throttle;

	if (!rule || (!rule[RELAY_UP].rate_Bps && !rule[RELAY_DOWN].rate_Bps))
		return 0;
	s->throttle = calloc(2, sizeof(*s->throttle));
	return s->throttle ? 0 : -ENOMEM;
}

int session_mirror(struct session *s)
{
	union stream_value v;
	struct stream *lower;
	struct bufq none;

	if (stream_query(s->client, STREAM_REJECT, &v))
		return -ENOTSUP;
	s->rejected = true;
	s->target = v.stream;
	bufq_init(&none, loop_pool(s->in->loop), SIZE_MAX);
	while ((lower = stream_peel(s->client, &none)))
		s->client = lower;
	bufq_done(&none);
	/* What let go of him is still there: a layer above it does not step aside. */
	if (stream_open(s->client) == -ERR_REJECTED)
		return -ERR_REJECTED;
	s->mirrored = true;
	if (set_throttle(s))
		return -ENOMEM;
	bufq_done(&s->first);
	timer_stop(&s->deadline);
	s->phase = PHASE_RELAY;
	relay_start(&s->relay, &(struct relay_plan){.a = s->client,
						    .b = s->target,
						    .meter = session_stranger_meter(s),
						    .conf = &s->in->times->mirror,
						    .done = &s->run});
	return 0;
}

int session_reject(struct session *s)
{
	struct stream *lower;
	int err = session_mirror(s);

	if (err != -ENOTSUP)
		return err ? err : PHASE_RELAY;
	s->rejected = true;
	lower = stream_peel(s->client, &s->first);
	if (lower)
		s->client = lower;
	switch (s->in->reject) {
	case REJECT_FALLBACK:
		return fall_back(s);
	case REJECT_DRAIN:
		return PHASE_DRAIN;
	default:
		return PHASE_CLOSING;
	}
}

/* Read and forget, until the peer ends or the handshake deadline does it: no reply, no threshold. */
int session_drain(struct session *s)
{
	struct bufq sink;
	ssize_t n;

	bufq_init(&sink, loop_pool(s->in->loop), DRAIN_READ);
	n = stream_pull(s->client, &sink, DRAIN_READ);
	bufq_done(&sink);
	if (n > 0) {
		loop_queue(s->in->loop, &s->run);
		return -EAGAIN;
	}
	if (n == -EAGAIN) {
		stream_want(s->client, STREAM_RD, &s->run);
		return -EAGAIN;
	}
	return s->rejected ? -ERR_AUTH : -ERR_TIMEOUT;
}

/* Silence, or half a request: judging goes on, because it is what reads.  Nobody is served any more. */
int session_late(struct session *s)
{
	int err = stream_open(s->client);

	if (err == -EAGAIN)
		stream_want(s->client, STREAM_RD, &s->run);
	return err == 0 || err == -ERR_AUTH ? PHASE_PARTING : err;
}

/* Closing with bytes unread would be a reset, and tell who keeps sending from who is silent: the
 * deadline says the end of stream, and what still comes is read for a moment, the same of who was
 * refused and of who has said nothing.  Within TLS the end of the record layer is the same for all.
 */
bool session_part(struct session *s)
{
	union stream_value v;

	if (s->in->reject != REJECT_DRAIN || !stream_query(s->client, STREAM_ALPN, &v))
		return false;
	if (s->phase != PHASE_OPEN && s->phase != PHASE_DRAIN)
		return false;
	s->phase = s->phase == PHASE_OPEN ? PHASE_LATE : PHASE_PARTING;
	timer_set(s->in->loop, &s->deadline, loop_now(s->in->loop) + PARTING);
	if (stream_shut(s->client))
		return false;
	loop_queue(s->in->loop, &s->run);
	return true;
}

int session_closing(struct session *s)
{
	int err = stream_shut(s->client);

	if (err == -EAGAIN) {
		stream_want(s->client, STREAM_WR, &s->run);
		return err;
	}
	return -ERR_AUTH;
}
