/* sealed_server.h - the server's side of a sealed stream, until its request has been read.
 *
 * The protocol reads a request step by step.  Nothing is answered before the target does, and whatever
 * is wrong with a request is -ERR_AUTH: the reject policy, the same for every cause.
 */
#ifndef WEIR_PROTO_SEALED_SERVER_H
#define WEIR_PROTO_SEALED_SERVER_H

#include "proto/proto.h"
#include "proto/sealed.h"

/* From accept until the answer has begun.  The object of the protocol's begins with it: l->head. */
struct sealed_hello {
	const struct proto_inbound *inbound;
	struct stream_request request;
	/* One step, out of l->rq.  0; -ERR_MORE; -EAGAIN, with l->again; others are wrong for ever. */
	int (*step)(struct sealed *l);
	struct bufq text; /* opened */
	struct bufq raw;  /* all that came, where a fallback may want it */
	bool known;	  /* a step has found out whose it is */
	bool done;	  /* the last step was that */
};

/* `size` is the layer's, as in sealed_new().  Takes `lower` and `h`, which was calloc()ed and may be
 * NULL.  NULL: no memory, both are freed. */
struct stream *sealed_server_new(size_t size, struct stream *lower, const struct stream_ops *stream,
				 const struct sealed_ops *ops, struct sealed_hello *h,
				 const struct proto_inbound *inbound,
				 int (*step)(struct sealed *l));

/* Of free_head(): what the hello begins with. */
void sealed_hello_done(struct sealed_hello *h);

int sealed_server_open(struct stream *s);
int sealed_server_query(const struct stream *s, enum stream_attr attr, union stream_value *out);
struct stream *sealed_server_peel(struct stream *s, struct bufq *first);

#define SEALED_SERVER \
	.open = sealed_server_open, .query = sealed_server_query, .peel = sealed_server_peel

#endif
