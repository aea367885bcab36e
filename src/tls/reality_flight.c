#include "tls/reality_flight.h"

#include <string.h>

#include "tls/reality_auth.h"

enum {
	RECORD_CCS = 20,
	RECORD_HANDSHAKE = 22,
	RECORD_DATA = 23,
	SERVER_HELLO = 2,
	EXT_VERSIONS = 43,
	EXT_KEY_SHARE = 51,
	/* A second encrypted record that is longer than this is no EncryptedExtensions alone. */
	SEPARATE_MAX = 512,
};

/* RFC 8446 §4.1.3: SHA-256 of "HelloRetryRequest" in place of a random. */
static const uint8_t retry_random[32] = {
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
	0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
	0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
};

static void read_share(struct rd *r, struct server_hello *h)
{
	size_t len;

	h->group = rd_be16(r);
	len = rd_be16(r);
	rd_check(r, len == rd_left(r) &&
			    ((h->group == GROUP_X25519 && len == 32) ||
			     (h->group == GROUP_X25519MLKEM768 && len == MLKEM768_CT + 32)));
	h->share.p = rd_bytes(r, len);
	h->share.len = r->err ? 0 : len;
}

/* Each extension at most once, and no others than a ServerHello of TLS 1.3 has; pre_shared_key is
 * not for somebody who has offered no session. */
static void read_extensions(struct rd *r, struct server_hello *h, bool *is_13)
{
	bool share = false;

	while (!r->err && rd_left(r) > 0) {
		uint16_t type = rd_be16(r);
		struct rd body = rd_sub(r, rd_be16(r));

		if (type == EXT_VERSIONS && !*is_13) {
			*is_13 = rd_be16(&body) == 0x0304;
			rd_check(&body, *is_13);
		} else if (type == EXT_KEY_SHARE && !share) {
			read_share(&body, h);
			share = true;
		} else {
			rd_fail(r, -ERR_MALFORMED);
		}
		if (body.err || rd_left(&body) > 0)
			rd_fail(r, -ERR_MALFORMED);
	}
	if (!share)
		rd_fail(r, -ERR_MALFORMED);
}

static int read_hello(struct rd *r, struct server_hello *h)
{
	const uint8_t *random;
	bool is_13 = false;
	size_t n;

	rd_check(r, rd_be16(r) == 0x0303);
	random = rd_bytes(r, 32);
	if (random && !memcmp(random, retry_random, sizeof(retry_random)))
		return -ERR_UNSUPPORTED;
	rd_skip(r, rd_u8(r)); /* session id, echoed */
	h->suite = rd_be16(r);
	rd_check(r, h->suite >= 0x1301 && h->suite <= 0x1303);
	rd_check(r, rd_u8(r) == 0);
	n = rd_be16(r);
	rd_check(r, n == rd_left(r));
	read_extensions(r, h, &is_13);
	rd_check(r, is_13);
	return r->err == -ERR_MORE ? -ERR_MALFORMED : r->err;
}

int server_hello_parse(struct rd *in, struct server_hello *out)
{
	struct server_hello h = {0};
	struct rd r = *in, body;
	const uint8_t *start = r.base + r.pos;
	size_t len;
	int err;

	rd_check(&r, rd_u8(&r) == SERVER_HELLO);
	len = rd_be24(&r);
	if (!r.err && len > FLIGHT_RECORD_MAX)
		return -ERR_TOO_BIG;
	body = rd_sub(&r, len);
	if (r.err)
		return r.err;
	err = read_hello(&body, &h);
	if (err)
		return err;
	h.raw = (struct tls_bytes){start, 4 + len};
	*in = r;
	*out = h;
	return 0;
}

/* A record of the kind that must come now, whole.  Its length on the wire, 0 on error. */
static uint16_t read_record(struct rd *r, uint8_t type, struct rd *body)
{
	size_t len;

	rd_check(r, rd_u8(r) == type);
	rd_check(r, rd_u8(r) == 3);
	rd_check(r, rd_u8(r) == 3);
	len = rd_be16(r);
	if (!r->err && (len == 0 || len > FLIGHT_RECORD_MAX - 5))
		rd_fail(r, -ERR_MALFORMED);
	*body = rd_sub(r, len);
	return r->err ? 0 : (uint16_t)(5 + len);
}

/* What has come behind the handshake already: whole headers count. */
static void read_extra(struct rd *r, struct target_flight *f)
{
	struct rd body;

	while (!r->err && rd_left(r) > 0) {
		uint16_t len = read_record(r, RECORD_DATA, &body);

		if (len > 0 && f->nextra < FLIGHT_EXTRA)
			f->extra[f->nextra++] = len;
	}
}

int target_flight_parse(struct rd in, struct target_flight *out)
{
	struct target_flight f = {0};
	struct rd r = in, body;
	int err;

	read_record(&r, RECORD_HANDSHAKE, &body);
	if (r.err)
		return r.err;
	err = server_hello_parse(&body, &f.hello);
	if (err)
		return err == -ERR_MORE ? -ERR_MALFORMED : err;
	rd_check(&body, rd_left(&body) == 0);
	if (body.err)
		return -ERR_MALFORMED;
	read_record(&r, RECORD_CCS, &body);
	rd_check(&r, body.len == 1);
	f.wire[0] = read_record(&r, RECORD_DATA, &body);
	f.combined = f.wire[0] > SEPARATE_MAX;
	for (int i = 1; i < 4 && !f.combined; i++)
		f.wire[i] = read_record(&r, RECORD_DATA, &body);
	read_extra(&r, &f);
	if (r.err)
		return r.err;
	*out = f;
	return 0;
}
