/* A multiplexer: the session of its carrier does nothing but hold it, and each child becomes a session
 * of the same inbound and the same user, metered and limited by itself.
 */
#include <errno.h>

#include "base/err.h"
#include "session/session_impl.h"

static struct session *of_sink(struct sink *k)
{
	return container_of(k, struct session, children);
}

/* The inbound has room for one more, and counts it. */
static bool is_welcome(struct session_inbound *in)
{
	return !in->child || in->child(in);
}

static void on_stream(struct sink *k, struct stream *child)
{
	struct session_inbound *in = of_sink(k)->in;
	struct session *s = is_welcome(in) ? session_new(in) : NULL;

	if (!s) {
		stream_free(child);
		return;
	}
	s->client = child;
	s->child = true;
	timer_set(in->loop, &s->deadline, s->started + in->times->handshake);
	loop_queue(in->loop, &s->run);
}

static void on_dgram(struct sink *k, struct dgram *child)
{
	struct session *carrier = of_sink(k);
	union stream_value v;

	if (!is_welcome(carrier->in) || child->ops->query(child, STREAM_REQUEST, &v)) {
		dgram_free(child);
		return;
	}
	session_start_udp(carrier->in, child, v.request, &carrier->mux_peer);
}

static void on_closed(struct sink *k)
{
	struct session *s = of_sink(k);

	loop_queue(s->in->loop, &s->run);
}

int session_start_mux(struct session *s, const struct mux_kind *kind, bool udp_only)
{
	struct mux_terms terms = {
		.sink = &s->children,
		.user = s->conn.user,
		.realm = s->in,
		.first = &s->first,
		.active = &s->conn.active,
		.udp_only = udp_only,
	};
	struct stream *lower = stream_peel(s->client, &s->first);
	struct addr peer = {0};
	struct mux *mux;

	if (lower)
		s->client = lower;
	(void)session_peer(s, &peer);
	mux = kind->serve(s->client, &terms);
	s->client = NULL;
	if (!mux)
		return -ENOMEM;
	timer_stop(&s->deadline);
	bufq_done(&s->first); /* the last of what the phase before held */
	s->mux = mux;
	s->children = (struct sink){on_stream, on_dgram, on_closed};
	s->mux_peer = peer;
	if (s->in->drained)
		mux_drain(mux, s->in->quiet);
	return PHASE_MUX;
}

int session_mux(struct session *s)
{
	if (!s->mux->ended)
		return -EAGAIN;
	return s->mux->result ? s->mux->result : PHASE_END;
}

void session_drain_carriers(struct session_inbound *in, nsec_t quiet)
{
	struct list_node *pos;

	in->drained = true;
	in->quiet = quiet;
	list_for_each(pos, &in->sessions) {
		struct session *s = list_entry(pos, struct session, link);

		if (s->phase == PHASE_MUX)
			mux_drain(s->mux, quiet);
	}
}
