/* wire.h - the frame of targets that read a stream: input that is sealed on its way, and arrives in
 * pieces.  A target's struct begins with a struct wire, and its input with a byte of flags.
 */
#ifndef WEIR_FUZZ_WIRE_H
#define WEIR_FUZZ_WIRE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stream/pair.h"

#define NEED(what)               \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

#define WIRE_MAX 200000

struct wire {
	struct loop *l;
	uint8_t flags;
	const uint8_t *data; /* the input that is left */
	size_t len;
	uint8_t bytes[WIRE_MAX]; /* what arrives */
	size_t n, fed;
	uint32_t sizes; /* of the pieces */
	struct stream *near, *far;
};

/* False: there is no input. */
static bool wire_begin(struct wire *w, const uint8_t *data, size_t len, unsigned size_bits)
{
	if (len == 0)
		return false;
	w->flags = data[0];
	w->sizes = (uint32_t)w->flags >> size_bits;
	w->data = data + 1;
	w->len = len - 1;
	w->n = w->fed = 0;
	return true;
}

static void wire_open(struct wire *w)
{
	NEED(pair_new(w->l, SIZE_MAX >> 1, &w->near, &w->far) == 0);
}

/* `near` has been freed with what stood on it. */
static void wire_end(struct wire *w)
{
	stream_free(w->far);
	loop_turn(w->l, 0);
	NEED(loop_pool(w->l)->nused == 0);
}

/* The next bytes of the input, and zeroes behind its end. */
static size_t take(struct wire *w, void *out, size_t len)
{
	size_t n = MIN(len, w->len);

	memset(out, 0, len);
	memcpy(out, w->data, n);
	w->data += n;
	w->len -= n;
	return n;
}

static void put(struct wire *w, const void *bytes, size_t len)
{
	len = MIN(len, sizeof(w->bytes) - w->n);
	memcpy(w->bytes + w->n, bytes, len);
	w->n += len;
}

/* The next piece arrives.  False: the end does. */
static bool feed(struct wire *w)
{
	struct bufq q;
	size_t n;

	if (w->fed == w->n) {
		stream_shut(w->far);
		return false;
	}
	w->sizes = w->sizes * 1664525u + 1013904223u;
	n = w->sizes >> 31 ? 1 + (w->sizes >> 24) % 50 : w->n;
	n = MIN(n, w->n - w->fed);
	bufq_init(&q, loop_pool(w->l), SIZE_MAX);
	NEED(bufq_append(&q, w->bytes + w->fed, n) == 0);
	NEED(stream_push(w->far, &q) == (ssize_t)n);
	w->fed += n;
	return true;
}

static void read_on(struct wire *w, struct stream *s)
{
	bool more = true;
	struct bufq q;
	ssize_t n;

	do {
		bufq_init(&q, loop_pool(w->l), SIZE_MAX);
		n = stream_pull(s, &q, 1 + w->sizes % 40000);
		NEED(n <= 0 || bufq_len(&q) == (size_t)n);
		bufq_done(&q);
		if (n == -EAGAIN && more)
			more = feed(w);
		else if (n == -EAGAIN)
			break;
	} while (n > 0 || n == -EAGAIN);
}

/* Until open() has an answer, or the end has come more than once: what that is. */
static int open_on(struct wire *w, struct stream *s)
{
	int err, turns = 0;

	while ((err = stream_open(s)) == -EAGAIN && turns < 3)
		turns += !feed(w);
	return err;
}

#endif
