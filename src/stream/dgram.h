/* dgram.h - packets with addresses: UDP sockets, and UDP carried inside streams.
 *
 * Each packet is one chunk plus the address of its far end: where it goes when sent, where it came
 * from when received, so NAT stays full-cone.  Dropping is allowed and counted; splitting is not.
 * Waiting follows the stream rules S1-S3, S9-S11.
 */
#ifndef WEIR_STREAM_DGRAM_H
#define WEIR_STREAM_DGRAM_H

#include "stream/stream.h"

#define DGRAM_BATCH 32

struct packet {
	struct buf *buf;  /* payload; one chunk, up to BUF_PAYLOAD bytes; may be empty */
	struct dest dest; /* DEST_NONE: the carrier's fixed destination */
};

struct dgram;

struct dgram_ops {
	const char *name;
	/* Up to `max` packets into p[].  >0: that many, chunks now the caller's.  0: orderly end (a
	 * carrying stream ended).  -EAGAIN.  <0: broken. */
	int (*recv)(struct dgram *d, struct packet *p, int max);
	/* Send p[0..n).  Returns how many were taken (chunks with them, dropped ones included), >=
	 * 1, or -EAGAIN with none taken, or <0: broken. */
	int (*send)(struct dgram *d, struct packet *p, int n);
	void (*want)(struct dgram *d, unsigned ev, struct waiter *w);
	void (*free)(struct dgram *d);
	int (*query)(const struct dgram *d, enum stream_attr attr,
		     union stream_value *out); /* optional */
};

struct dgram {
	const struct dgram_ops *ops;
	struct loop *loop;
	uint64_t dropped; /* packets this layer threw away */
};

int dgram_recv(struct dgram *d, struct packet *p, int max);
int dgram_send(struct dgram *d, struct packet *p, int n);
void dgram_want(struct dgram *d, unsigned ev, struct waiter *w);
void dgram_free(struct dgram *d); /* NULL is fine */

#endif
