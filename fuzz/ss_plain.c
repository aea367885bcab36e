/* ss_plain.c - Shadowsocks without integrity, streams and packets, against somebody who has the key: what
 * arrives is the input under the cipher, so that the address behind it is reached.
 *
 * First byte: bits 0-3 the method, bit 4 a packet, bit 5 our role (a client), bits 6-7 the sizes of the
 * pieces that arrive.  Held are: however a stream is cut, the same destination and the same bytes come out of
 * it, which are those that went in; nothing is answered.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rd.h"
#include "proto/shadowsocks/shadowsocks.h"
#include "proto/shadowsocks/ss_cipher.h"
#include "proto/shadowsocks/ss_packet.h"
#include "stream/pair.h"
#include "user/table.h"

#define NEED(what)               \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

#define METHODS	 11
#define WIRE_MAX 8192

struct house {
	const struct ss_method *method;
	struct user_table *table;
	struct ss_conf conf;
	struct proto_inbound in;
	struct ss_client_conf client;
};

struct run {
	struct house *h;
	const uint8_t *wire;
	size_t nwire, fed;
	uint32_t sizes; /* 0: all at once */
	int err;
	struct dest dest;
	uint8_t got[WIRE_MAX];
	size_t ngot;
};

static struct loop *l;
static struct house houses[METHODS];
static const uint8_t iv[SS_SALT_MAX] = {7, 7, 7};

static void house_open(struct house *h, const struct ss_method *m)
{
	static const struct hash_key hash = {1, 2};
	struct user *u = calloc(1, sizeof(*u) + 2 * SS_KEY_MAX + 1);

	NEED(u);
	u->key_len = u->secret_len = SS_KEY_MAX;
	NEED(ss_user_derive(m, SS_CREDENTIAL_TEXT, "alice", 5, u->bytes, u->bytes + SS_KEY_MAX) ==
	     0);
	h->method = m;
	h->table = user_table_new(1, SS_KEY_MAX, &hash);
	NEED(h->table && user_table_add(h->table, u));
	h->conf.method = m;
	h->in.users = h->table;
	h->in.conf = &h->conf;
	h->client.method = m;
	NEED(ss_key(m, "alice", 5, h->client.key) == 0);
}

static void open_all(void)
{
	const struct ss_method *m;
	size_t n = 0;

	l = loop_new(LOOP_VIRTUAL, 1);
	NEED(l);
	for (size_t i = 0; (m = ss_method_at(i)); i++) {
		if (ss_method_insecure(m))
			house_open(&houses[n++], m);
	}
	NEED(n == METHODS);
}

/* What somebody with the key sends, whatever it says. */
static size_t seal(const struct house *h, const uint8_t *text, size_t len, uint8_t *out)
{
	const struct ss_method *m = h->method;
	struct stream_cipher *c;

	memcpy(out, text, len);
	if (m->class == SS_PLAIN)
		return len;
	memcpy(out, iv, m->salt_len);
	c = ss_cipher_make(m, h->client.key, iv, true);
	NEED(c && stream_cipher_run(c, text, len, out + m->salt_len) == 0);
	stream_cipher_free(c);
	return m->salt_len + len;
}

/* ---- streams ----------------------------------------------------------------------------- */

static bool feed(struct run *r, struct stream *far)
{
	size_t n = r->nwire - r->fed;
	struct bufq q;

	if (n == 0) {
		stream_shut(far);
		return false;
	}
	if (r->sizes) {
		r->sizes = r->sizes * 1664525u + 1013904223u;
		n = MIN(n, (size_t)(1 + (r->sizes >> 26)));
	}
	bufq_init(&q, loop_pool(l), SIZE_MAX);
	NEED(bufq_append(&q, r->wire + r->fed, n) == 0);
	NEED(stream_push(far, &q) == (ssize_t)n);
	r->fed += n;
	return true;
}

static void read_on(struct run *r, struct stream *s, struct stream *far)
{
	bool more = true;
	struct bufq q;
	ssize_t n;

	do {
		bufq_init(&q, loop_pool(l), SIZE_MAX);
		n = stream_pull(s, &q, 1 + r->sizes % 4000);
		if (n > 0) {
			NEED(r->ngot + (size_t)n <= sizeof(r->got));
			NEED(bufq_peek(&q, 0, r->got + r->ngot, (size_t)n) == (size_t)n);
			r->ngot += (size_t)n;
		}
		bufq_done(&q);
		if (n == -EAGAIN && !more)
			break;
		if (n == -EAGAIN)
			more = feed(r, far);
	} while (n > 0 || n == -EAGAIN);
}

static void serve(struct run *r, struct stream *near, struct stream *far)
{
	struct stream *s = shadowsocks_proto.server(near, &r->h->in);
	union stream_value v;
	struct bufq q;
	bool more = true;

	NEED(s);
	while ((r->err = stream_open(s)) == -EAGAIN && more)
		more = feed(r, far);
	if (!r->err) {
		NEED(stream_query(s, STREAM_REQUEST, &v) == 0 && v.request->user);
		r->dest = v.request->dest;
		read_on(r, s, far);
	}
	bufq_init(&q, loop_pool(l), SIZE_MAX);
	NEED(stream_pull(far, &q, 1) <= 0); /* nothing is answered */
	bufq_done(&q);
	stream_free(s);
}

static void ask(struct run *r, struct stream *near, struct stream *far)
{
	struct stream *s;
	struct dest to;

	NEED(dest_parse(&to, "a.example:1") == 0);
	s = ss_client_new(near, &r->h->client, &to);
	NEED(s && stream_open(s) == 0);
	read_on(r, s, far);
	stream_free(s);
}

static void go(struct run *r, bool client)
{
	struct stream *near, *far;

	NEED(pair_new(l, SIZE_MAX >> 1, &near, &far) == 0);
	if (client)
		ask(r, near, far);
	else
		serve(r, near, far);
	stream_free(far);
	loop_turn(l, 0);
	NEED(loop_pool(l)->nused == 0);
}

static void try_stream(struct run *whole, const uint8_t *text, size_t len, uint8_t flags)
{
	static struct run cut;
	bool client = flags & 32;
	size_t head = 0;

	cut = *whole;
	cut.sizes = flags | 1;
	go(whole, client);
	go(&cut, client);
	NEED(whole->ngot == cut.ngot && !memcmp(whole->got, cut.got, cut.ngot));
	NEED(whole->err == cut.err || whole->err == -EAGAIN || cut.err == -EAGAIN);
	if (whole->err)
		return;
	if (!client) {
		struct rd r = rd_of(text, len);
		struct dest d;

		rd_dest(&r, DEST_SOCKS, &d);
		NEED(!r.err && dest_equal(&d, &whole->dest) && dest_equal(&d, &cut.dest));
		head = r.pos;
	}
	NEED(whole->ngot == len - head && !memcmp(whole->got, text + head, whole->ngot));
}

/* ---- packets ----------------------------------------------------------------------------- */

static void try_packet(const struct house *h, const uint8_t *wire, size_t nwire,
		       const uint8_t *text, size_t len)
{
	static uint8_t scratch[BUF_SIZE];
	struct buf *b = buf_new(loop_pool(l));
	int err;

	NEED(b);
	memcpy(b->data + b->end, wire, nwire);
	b->end += (uint32_t)nwire;
	err = ss_packet_open(h->method, h->client.key, b, scratch);
	NEED(!err || (err == -ERR_AUTH && buf_len(b) == nwire));
	if (!err)
		NEED(buf_len(b) == len && !memcmp(buf_head(b), text, len));
	buf_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t wire[WIRE_MAX];
	static struct run whole;

	if (!l)
		open_all();
	if (len == 0 || len > WIRE_MAX / 2)
		return 0;
	memset(&whole, 0, sizeof(whole));
	whole.h = &houses[(data[0] & 15) % METHODS];
	whole.wire = wire;
	whole.nwire = seal(whole.h, data + 1, len - 1, wire);
	if (data[0] & 16)
		try_packet(whole.h, wire, whole.nwire, data + 1, len - 1);
	else
		try_stream(&whole, data + 1, len - 1, data[0]);
	return 0;
}
