/* tls_record.c - any sequence of records, sealed as a peer that holds the keys would, or not sealed
 * at all, cut into any pieces: opening never reads or writes where it may not, and what comes out
 * is what went in as data.
 *
 * The input is a list of: what (1 byte), length (2), then that many bytes:  0 raw onto the wire; 1
 * a record, its first byte the inner type, its second the padding; 2 how the wire is cut from here
 * on; 3 the sender's next key.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "tls/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct run {
	struct buf_pool pool;
	struct tls_dir peer;
	struct tls_records rec;
	struct bufq wire, out;
	size_t piece, sent; /* cut; bytes of data that were sealed */
	bool over, raw;
};

static void deliver(struct run *f, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i += f->piece) {
		struct buf *b = buf_new(&f->pool);
		size_t n = MIN(f->piece, len - i);

		memcpy(b->data + b->end, p + i, n);
		b->end += (uint32_t)n;
		bufq_push(&f->wire, b);
	}
}

static void seal(struct run *f, const uint8_t *p, size_t len)
{
	static uint8_t rec[TLS_CIPHER_MAX + TLS_HEADER], text[TLS_PLAIN_MAX + 256];
	struct iovec iov = {text, 0};
	size_t pad, n;

	if (len < 2)
		return;
	pad = p[1];
	n = MIN(len - 2, (size_t)TLS_PLAIN_MAX - 256);
	/* tls_seal() appends a type: with padding, that is one of the zeros. */
	memcpy(text, p + 2, n);
	text[n] = p[0];
	memset(text + n + 1, 0, pad);
	iov.iov_len = pad ? n + pad : n;
	if (tls_seal(&f->peer, pad ? 0 : p[0], &iov, 1, iov.iov_len, rec))
		abort();
	if (p[0] == TLS_DATA || p[0] == 0) /* of type 0 is padding: the text may end in a 23 */
		f->sent += n;
	deliver(f, rec, iov.iov_len + TLS_OVERHEAD);
}

static void open_all(struct run *f)
{
	while (!f->over) {
		size_t before = bufq_len(&f->wire), had = bufq_len(&f->out);

		switch (tls_records_open(&f->rec, &f->wire, &f->out)) {
		case TLS_GOT_MORE:
			assert(bufq_len(&f->wire) == before);
			assert(tls_records_need(&f->wire) > before);
			return;
		case TLS_GOT_RECORD:
		case TLS_GOT_ASKED:
			assert(bufq_len(&f->wire) < before);
			break;
		default:
			assert(bufq_len(&f->out) == had);
			f->over = true;
		}
	}
}

static void step(struct run *f, uint8_t what, struct rd *body)
{
	size_t len = rd_left(body);
	const uint8_t *p = rd_bytes(body, len);

	switch (what % 4) {
	case 0:
		f->raw = f->raw || len > 0;
		deliver(f, p, len);
		break;
	case 1:
		seal(f, p, len);
		break;
	case 2:
		f->piece = len ? 1 + p[0] * 64 % BUF_PAYLOAD : BUF_PAYLOAD;
		break;
	default:
		if (tls_dir_update(&f->peer))
			abort();
	}
	open_all(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t secret[TLS_SECRET_MAX] = "a secret that is none";
	struct run f = {.piece = BUF_PAYLOAD};
	struct rd r = rd_of(data, len);

	buf_pool_init(&f.pool, 16, 0);
	bufq_init(&f.wire, &f.pool, SIZE_MAX);
	bufq_init(&f.out, &f.pool, SIZE_MAX);
	tls_records_init(&f.rec, len > 0 && data[0] & 128);
	if (tls_dir_set(&f.peer, 0x1301, secret, 0) || tls_dir_set(&f.rec.in, 0x1301, secret, 0))
		abort();
	while (!r.err && rd_left(&r) > 0 && !f.over) {
		uint8_t what = rd_u8(&r);
		struct rd body = rd_sub(&r, rd_be16(&r));

		if (!r.err)
			step(&f, what, &body);
	}
	assert(f.raw || bufq_len(&f.out) <= f.sent);
	bufq_done(&f.wire);
	bufq_done(&f.out);
	tls_dir_clear(&f.peer);
	tls_records_clear(&f.rec);
	buf_pool_done(&f.pool);
	return 0;
}
