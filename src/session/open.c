/* From accept to a relay: the phases of a request that is served. */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "proto/carriers.h"
#include "session/session_impl.h"

#define REFUSED_PATIENCE NSEC_SEC /* for the client's end, when he has been told */

/* A request has been read: remember what outlives the protocol's layer. */
static int admit(struct session *s, const struct stream_request *req, const struct addr *peer,
		 bool carrier)
{
	nsec_t now = loop_now(s->in->loop);
	int err;

	s->network = (uint8_t)req->network;
	s->dest = dest_dup(&req->dest);
	if (!s->dest)
		return -ENOMEM;
	if (!req->user)
		return 0; /* a local listener's: nobody to bill */
	s->conn.carrier = carrier;
	err = user_conn_begin(&s->conn, req->user, peer, req->network == NETWORK_UDP, now);
	if (err)
		/* the session ends in this turn, with the user still there */
		s->refused = req->user;
	return err;
}

static void relay_packets(struct session *s, struct dgram *client, struct dgram *target,
			  const struct addr *peer)
{
	timer_stop(&s->deadline);
	bufq_done(&s->first);
	s->udp_client = client;
	s->udp_target = target;
	s->udp_peer = *peer;
	dgram_relay_start(&s->udp, client, target, &s->meter, s->in->times->udp_idle, &s->run);
}

static int start_udp(struct session *s, const struct stream_request *req)
{
	struct dgram *client, *target;
	struct addr peer = {0};
	int err;

	(void)session_peer(s, &peer); /* while there is a stream to ask */
	err = dialer_dgram(s->in->outbound, s->in->loop, s->dest, &target);
	if (err)
		return err;
	client = req->udp(s->client);
	s->client = NULL;
	if (!client) {
		dgram_free(target);
		return -ENOMEM;
	}
	relay_packets(s, client, target, &peer);
	return PHASE_UDP;
}

int session_open_udp(struct session *s, struct dgram *client, const struct stream_request *req,
		     const struct addr *peer)
{
	struct dgram *target;
	int err = admit(s, req, peer->len ? peer : NULL, false);

	if (!err)
		err = dialer_dgram(s->in->outbound, s->in->loop, s->dest, &target);
	if (err)
		return err;
	relay_packets(s, client, target, peer);
	s->phase = PHASE_UDP;
	return 0;
}

static int start_dial(struct session *s)
{
	struct stream *lower = stream_peel(s->client, &s->first);

	if (lower)
		s->client = lower;
	s->dial = dialer_dial(s->in->outbound, s->in->loop, s->dest, &s->run);
	if (!s->dial)
		return -ENOMEM;
	timer_set(s->in->loop, &s->deadline, loop_now(s->in->loop) + s->in->times->dial);
	return PHASE_DIAL;
}

/* NULL: none, as inside of one. */
static const struct mux_kind *carrier_of(const struct session *s, const struct stream_request *req)
{
	if (s->child || req->mux)
		return req->mux;
	return req->network == NETWORK_TCP ? carrier_find(&s->in->proto, &req->dest) : NULL;
}

/* A request has been read. */
static int serve(struct session *s, const struct stream_request *req)
{
	const struct mux_kind *carrier = carrier_of(s, req);
	struct addr peer;
	int err = admit(s, req, session_peer(s, &peer), carrier != NULL);

	if (err)
		return err;
	session_leave_half_open(s);
	if (carrier)
		return session_start_mux(s, carrier, req->mux_udp_only);
	return req->network == NETWORK_UDP ? start_udp(s, req) : start_dial(s);
}

int session_open(struct session *s)
{
	union stream_value v;
	int err;

	err = session_enter_half_open(s);
	if (err)
		return err;
	err = stream_open(s->client);
	if (err == -EAGAIN) {
		stream_want(s->client, STREAM_RD | STREAM_WR, &s->run);
		return session_enter_half_open(s) ? -ERR_LIMIT : -EAGAIN;
	}
	if ((err == -ERR_AUTH || err == -ERR_REJECTED) && !s->child)
		return PHASE_REJECT;
	if (err)
		return err;
	err = stream_query(s->client, STREAM_REQUEST, &v);
	if (err)
		return err;
	return serve(s, v.request);
}

static int start_relay(struct session *s, struct meter *meter)
{
	struct bufq first = s->first;

	timer_stop(&s->deadline);
	relay_start(&s->relay, &(struct relay_plan){.a = s->client,
						    .b = s->target,
						    .first = &first,
						    .meter = meter,
						    .conf = &s->in->times->relay,
						    .done = &s->run});
	return PHASE_RELAY;
}

int session_dial(struct session *s)
{
	struct dial *dial = s->dial;
	int err;

	err = dial_result(dial, &s->target);
	if (err == -EAGAIN)
		return err;
	s->dial = NULL;
	return err ? session_refuse(s, err) : start_relay(s, &s->meter);
}

/* A child of a multiplexer that knows an answer for that. */
int session_refuse(struct session *s, int err)
{
	if (!s->child || stream_set(s->client, STREAM_REFUSED, (union stream_value){.num = err}))
		return err;
	dial_cancel(s->dial);
	s->dial = NULL;
	s->why = err;
	timer_set(s->in->loop, &s->deadline, loop_now(s->in->loop) + REFUSED_PATIENCE);
	return PHASE_REFUSED;
}

/* Letting go at once could take the answer along (a reset); what he has sent ahead is nobody's. */
int session_refused(struct session *s)
{
	int err = session_drain(s);

	return err == -EAGAIN ? err : s->why;
}

/* A stranger's connection to the web server behind: relayed, timed, and nobody's traffic. */
int session_fall_dial(struct session *s)
{
	int err;

	if (s->dial) {
		err = dial_result(s->dial, &s->target);
		if (err == -EAGAIN)
			return err;
		s->dial = NULL;
	} else {
		err = stream_open(s->target);
		if (err == -EAGAIN) {
			stream_want(s->target, STREAM_WR, &s->run);
			return err;
		}
	}
	return err ? err : start_relay(s, session_stranger_meter(s));
}

int session_relay(struct session *s)
{
	if (!s->relay.ended)
		return -EAGAIN;
	return s->relay.result ? s->relay.result : PHASE_END;
}

int session_udp(struct session *s)
{
	if (!s->udp.ended)
		return -EAGAIN;
	return s->udp.result ? s->udp.result : PHASE_END;
}

void session_udp_end(struct session *s)
{
	dgram_relay_stop(&s->udp);
	dgram_free(s->udp_client);
	dgram_free(s->udp_target);
}
