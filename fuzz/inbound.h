/* inbound.h - an inbound's protocol layer fed by a stranger or a user, in pieces: for fuzz targets.
 *
 * The first byte of the input chooses: bit 0 that the first pull decides, the rest the sizes of the
 * pieces.  What follows is the stream.  Held are: bytes that were not used come back, all and in
 * order; nothing is answered before the request is whole; every chunk is back at the end.
 */
#ifndef WEIR_FUZZ_INBOUND_H
#define WEIR_FUZZ_INBOUND_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"
#include "stream/dgram.h"
#include "stream/pair.h"
#include "user/registry.h"

#define NEED(what)               \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

struct inbound_fuzz {
	struct loop *l;
	const struct proto *proto;
	struct user_registry *reg;
	struct proto_inbound in; /* its one user is "alice" */
	/* How long the request in front of `data` is: what the layer may keep, to the byte. */
	size_t (*request_len)(const uint8_t *data, size_t len);
	/* of this input */
	struct stream *far;
	const uint8_t *data;
	size_t len, fed;
	uint32_t sizes;
};

static int fuzz_derive(void *arg, const char *credential, size_t len, uint8_t *key, uint8_t *secret)
{
	const struct proto *proto = arg;

	return proto->user_key(credential, len, key);
}

/* Made once: what is under test is the layer, not the registry. */
static void fuzz_set_up(struct inbound_fuzz *f, const char *name)
{
	struct user_registry_conf conf = {.node = 1, .derive = fuzz_derive};
	static const uint8_t epoch[COUNTERS_EPOCH_LEN];
	struct user_entry alice = {.id = 1, .credential = "alice", .credential_len = 5};
	struct user_publication *pub;
	struct user_changes changes;
	struct user_list list;

	f->l = loop_new(LOOP_VIRTUAL, 1);
	f->proto = proto_find(name);
	NEED(f->l && f->proto);
	NEED(counters_create(NULL, epoch, 1, &conf.counters) == 0);
	conf.key_len = f->proto->key_len;
	conf.derive_arg = (void *)(uintptr_t)f->proto;
	NEED(user_registry_new(&conf, &f->reg) == 0);
	user_list_init(&list);
	NEED(user_list_add(&list, &alice) == 0);
	NEED(user_registry_apply(f->reg, &list, &changes, &pub) == 0);
	user_list_done(&list);
	f->in.users = pub->table;
	pub->acks = 1;
	user_publication_ack(pub);
}

/* The next piece; false: that was all, and the end is told. */
static bool fuzz_feed(struct inbound_fuzz *f)
{
	struct bufq q;
	size_t n;

	if (f->fed == f->len) {
		stream_shut(f->far);
		return false;
	}
	f->sizes = f->sizes * 1664525u + 1013904223u;
	n = f->sizes >> 31 ? 1 + (f->sizes >> 24) % 7 : f->len;
	n = MIN(n, f->len - f->fed);
	bufq_init(&q, loop_pool(f->l), SIZE_MAX);
	NEED(bufq_append(&q, f->data + f->fed, n) == 0);
	NEED(stream_push(f->far, &q) == (ssize_t)n);
	f->fed += n;
	return true;
}

/* What `s` yields must be the input from `at` on. */
static void fuzz_expect_rest(struct inbound_fuzz *f, struct stream *s, size_t at)
{
	uint8_t mem[512];
	struct bufq q;
	size_t n;

	do {
		bufq_init(&q, loop_pool(f->l), SIZE_MAX);
		while (stream_pull(s, &q, sizeof(mem)) > 0) {
			while ((n = bufq_take(&q, mem, sizeof(mem))) > 0) {
				NEED(at + n <= f->fed && !memcmp(mem, f->data + at, n));
				at += n;
			}
		}
		NEED(at == f->fed);
	} while (fuzz_feed(f));
}

static void fuzz_udp(struct inbound_fuzz *f, struct dgram *d)
{
	struct packet p[4];
	bool more = true;
	int n;

	while (d) {
		n = dgram_recv(d, p, 4);
		for (int i = 0; i < n; i++)
			NEED(buf_len(p[i].buf) <= BUF_PAYLOAD);
		if (n > 0) { /* echo: what cannot be said is dropped */
			int sent = dgram_send(d, p, n);

			for (int i = MAX(sent, 0); i < n; i++)
				buf_free(p[i].buf);
		}
		if (n == 0 || (n < 0 && n != -EAGAIN))
			break;
		if (n == -EAGAIN && !more)
			break;
		if (n == -EAGAIN)
			more = fuzz_feed(f);
	}
	dgram_free(d);
}

static void fuzz_one(struct inbound_fuzz *f, struct stream *near)
{
	struct stream *s = f->proto->server(near, &f->in);
	union stream_value v;
	struct bufq first;
	int err;

	NEED(s);
	bufq_init(&first, loop_pool(f->l), 64);
	while ((err = stream_open(s)) == -EAGAIN) {
		NEED(stream_query(s, STREAM_REQUEST, &v) == -ENOTSUP);
		if (!fuzz_feed(f) && stream_open(s) == -EAGAIN)
			abort(); /* an end decides */
	}
	if (err) {
		s = stream_peel(s, &first);
		NEED(s && bufq_empty(&first));
		fuzz_expect_rest(f, s, 0);
		stream_free(s);
		return;
	}
	NEED(stream_query(s, STREAM_REQUEST, &v) == 0);
	NEED(v.request->user == user_table_at(f->in.users, 0));
	if (v.request->network == NETWORK_UDP) {
		fuzz_udp(f, v.request->udp(s));
		return;
	}
	NEED(v.request->mux || v.request->dest.type != DEST_NONE);
	s = stream_peel(s, &first);
	bufq_done(&first);
	fuzz_expect_rest(f, s, f->request_len(f->data, f->fed));
	stream_free(s);
}

static int fuzz_inbound(struct inbound_fuzz *f, const char *proto, const uint8_t *data, size_t len)
{
	struct stream *near;

	if (!f->l)
		fuzz_set_up(f, proto);
	if (len == 0)
		return 0;
	f->in.first_pull_decides = data[0] & 1;
	f->sizes = data[0] >> 1;
	f->data = data + 1;
	f->len = len - 1;
	f->fed = 0;
	NEED(pair_new(f->l, SIZE_MAX >> 1, &near, &f->far) == 0);
	fuzz_one(f, near);
	stream_free(f->far);
	loop_turn(f->l, 0);
	NEED(loop_pool(f->l)->nused == 0);
	return 0;
}

#endif
