/* header.h - the server side of protocols that are a header and then raw bytes: VLESS, Trojan.
 *
 * The layer reads from below until its parse() says that the request is whole, puts what came behind
 * it back, and from then on is transparent; the session peels it off.  When open() fails, peel()
 * gives the lower stream with every byte un-read, for the reject policy.
 */
#ifndef WEIR_PROTO_HEADER_H
#define WEIR_PROTO_HEADER_H

#include "base/rd.h"
#include "proto/proto.h"
#include "stream/stream.h"

struct header_server;

struct header_ops {
	struct stream_ops stream; /* HEADER_STREAM_OPS("vless") */
	size_t max;		  /* a request is never longer */
	/* Look at all that has come.  0: h->request is filled, `in` stands behind the request.
	 * -ERR_MORE.  -ERR_AUTH: for the reject policy, as is an end of stream in the middle.
	 * Others: close.  Sets h->known as soon as the user is known. */
	int (*parse)(struct header_server *h, struct rd *in);
	/* Bytes that must precede the first answer; may be NULL. */
	void (*answer)(struct bufq *first);
	/* What is below has opened, and the request is going to be read; it has been.  May be NULL. */
	void (*reading)(struct header_server *h, bool on);
	/* Stand `over` on `lower`, whose ownership passes; where parse() sets none, NULL. */
	void (*put_on)(struct stream *over, struct stream *lower);
};

struct header_server {
	struct stream s;
	struct stream *lower;
	const struct header_ops *ops;
	const struct proto_inbound *inbound;
	struct bufq in;
	struct stream_request request;
	/* parse() may make what peel() yields in place of `lower`: it sees to the answer then */
	struct stream *over;
	bool known;
	bool reading;
	int state; /* 1: ready, 0: reading, <0: failed */
};

int header_open(struct stream *s);
ssize_t header_pull(struct stream *s, struct bufq *dst, size_t max);
ssize_t header_push(struct stream *s, struct bufq *src);
void header_want(struct stream *s, unsigned ev, struct waiter *w);
int header_shut(struct stream *s);
void header_free(struct stream *s);
struct stream *header_peel(struct stream *s, struct bufq *first);
int header_query(const struct stream *s, enum stream_attr attr, union stream_value *out);
int header_set(struct stream *s, enum stream_attr attr, union stream_value v);

#define HEADER_STREAM_OPS(word)                                                              \
	{                                                                                    \
		.name = word, .open = header_open, .pull = header_pull, .push = header_push, \
		.want = header_want, .shut = header_shut, .free = header_free,               \
		.peel = header_peel, .query = header_query, .set = header_set,               \
	}

/* NULL: no memory, `lower` is freed. */
struct stream *header_server_new(struct stream *lower, const struct header_ops *ops,
				 const struct proto_inbound *inbound);

#endif
