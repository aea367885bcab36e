/* The client of sing-box's multiplex: what a stream begins with, over a session of one of the three. */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "proto/client.h"
#include "proto/singmux/singmux.h"
#include "proto/singmux/singmux_carrier.h"
#include "proto/singmux/singmux_udp.h"
#include "proto/singmux/singmux_wire.h"
#include "transport/mux_session/mux_session.h"

static struct mux *start(struct stream *carrier, struct sink *sink, bool padding, uint8_t protocol)
{
	/* only version 1 can say that there is padding, and the reference says it in no other case */
	const struct singmux_hello hello = {
		.version = padding, .protocol = protocol, .padding = padding};
	const struct mux_terms terms = {.sink = sink};
	struct stream *lower = singmux_carrier_client(carrier, &hello);
	struct mux_session *s = lower ? calloc(1, sizeof(*s)) : NULL;

	if (!s || mux_session_begin(s, protocol)) {
		free(s);
		stream_free(lower);
		return NULL;
	}
	return mux_core_start(&s->core, s->core.codec, lower, &terms);
}

/* The server's words are its own, and as many as it likes; what matters is that nothing will come. */
static int answer(struct rd *in)
{
	struct singmux_answer a;
	struct rd r = *in;

	return rd_u8(&r) == SINGMUX_REFUSED ? -ERR_UNREACHED : singmux_answer_parse(in, &a);
}

static struct stream *open_stream(struct mux *mux, const struct singmux_request *q)
{
	struct mux_session *s = container_of(mux, struct mux_session, core.mux);
	struct mux_stream *ms = s->open(s);
	uint8_t mem[SINGMUX_REQUEST_MAX];
	struct wr w = wr_of(mem, sizeof(mem));

	if (!ms)
		return NULL;
	singmux_request_emit(&w, q);
	return client_stream_new(&ms->s, mem, w.len, answer);
}

static struct stream *client_stream(struct mux *mux, const struct dest *to)
{
	struct singmux_request q = {0};

	dest_copy(&q.dest, to);
	return open_stream(mux, &q);
}

/* Servers of this kind remember no ids. */
static struct dgram *client_packets(struct mux *mux, const struct dest *first, const uint8_t id[8])
{
	struct singmux_request q = {.udp = true, .packet_addr = true};
	struct stream *s;

	if (first->type != DEST_NONE && first->port)
		dest_copy(&q.dest, first);
	else
		singmux_dest(&q.dest);
	s = open_stream(mux, &q);
	return s ? framed_new(s, &singmux_addr_framing, true, first, NULL) : NULL;
}

static struct mux *start_smux(struct stream *carrier, struct sink *sink, bool padding)
{
	return start(carrier, sink, padding, SINGMUX_SMUX);
}

static struct mux *start_yamux(struct stream *carrier, struct sink *sink, bool padding)
{
	return start(carrier, sink, padding, SINGMUX_YAMUX);
}

static struct mux *start_h2mux(struct stream *carrier, struct sink *sink, bool padding)
{
	return start(carrier, sink, padding, SINGMUX_H2MUX);
}

const struct mux_client_kind singmux_smux_client = {"smux", true, start_smux, client_stream,
						    client_packets};
const struct mux_client_kind singmux_yamux_client = {"yamux", false, start_yamux, client_stream,
						     client_packets};
const struct mux_client_kind singmux_h2mux_client = {"h2mux", false, start_h2mux, client_stream,
						     client_packets};
