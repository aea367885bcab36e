#include "tls/hello.h"

#include <string.h>

enum {
	RECORD_HANDSHAKE = 22,
	CLIENT_HELLO = 1,
};

/* RFC 8446 §4.2 and the extensions' own documents. */
enum {
	EXT_SERVER_NAME = 0,
	EXT_GROUPS = 10,
	EXT_SIGALGS = 13,
	EXT_ALPN = 16,
	EXT_PSK = 41,
	EXT_EARLY_DATA = 42,
	EXT_VERSIONS = 43,
	EXT_KEY_SHARE = 51,
	EXT_ECH = 0xfe0d,
};

/* What lies inside a length that the peer has written: running out of it is the peer's lie, not a
 * reason to wait. */
static int inner_error(int err)
{
	return err == -ERR_MORE ? -ERR_MALFORMED : err;
}

static struct rd rd_over(struct tls_bytes b)
{
	return rd_of(b.p, b.len);
}

/* The `n` bytes to come, as they lie. */
static struct tls_bytes take(struct rd *r, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);

	return (struct tls_bytes){p, p ? n : 0};
}

static struct tls_bytes take_rest(struct rd *r)
{
	return take(r, rd_left(r));
}

/* A length that must be all that is left. */
static void rest_length(struct rd *r)
{
	size_t n = rd_be16(r);

	rd_check(r, n == rd_left(r));
}

/* A list of 16-bit numbers that fills what is left. */
static struct tls_bytes take_u16s(struct rd *r, size_t n)
{
	struct tls_bytes list = take(r, n);

	rd_check(r, n >= 2 && n % 2 == 0 && rd_left(r) == 0);
	return list;
}

/* RFC 6066 §3: a list that in practice, and for every server, holds one host name. */
static struct tls_bytes read_sni(struct rd *r)
{
	struct tls_bytes name;

	rest_length(r);
	rd_check(r, rd_u8(r) == 0);
	name = take(r, rd_be16(r));
	rd_check(r, name.len > 0 && name.len <= 255 && !memchr(name.p, 0, name.len));
	rd_check(r, rd_left(r) == 0);
	return name;
}

/* RFC 7301 §3.1. */
static struct tls_bytes read_alpn(struct rd *r)
{
	struct tls_bytes list;
	struct rd walk;

	rest_length(r);
	list = take_rest(r);
	rd_check(r, list.len > 0);
	walk = rd_over(list);
	while (!r->err && rd_left(&walk) > 0) {
		size_t n = rd_u8(&walk);

		rd_skip(&walk, n);
		rd_check(r, n > 0 && !walk.err);
	}
	return list;
}

/* RFC 8446 §4.2.8. */
static struct tls_bytes read_shares(struct rd *r)
{
	struct tls_bytes list;
	struct rd walk;

	rest_length(r);
	list = take_rest(r);
	walk = rd_over(list);
	while (!r->err && rd_left(&walk) > 0) {
		size_t n;

		rd_skip(&walk, 2);
		n = rd_be16(&walk);
		rd_skip(&walk, n);
		if (n == 0 || walk.err)
			rd_fail(r, -ERR_MALFORMED);
	}
	return list;
}

/* One extension's body.  `seen` has a bit for each that is looked at here: none may come twice. */
static void read_extension(struct rd *r, uint16_t type, struct tls_hello *h, uint64_t *seen)
{
	uint64_t bit = (uint64_t)1 << (type < 63 ? type : 63);
	bool known = true;

	switch (type) {
	case EXT_SERVER_NAME:
		h->sni = read_sni(r);
		break;
	case EXT_GROUPS:
		h->groups = take_u16s(r, rd_be16(r));
		break;
	case EXT_SIGALGS:
		h->sigalgs = take_u16s(r, rd_be16(r));
		break;
	case EXT_ALPN:
		h->alpn = read_alpn(r);
		break;
	case EXT_VERSIONS:
		h->versions = take_u16s(r, rd_u8(r));
		break;
	case EXT_KEY_SHARE:
		h->shares = read_shares(r);
		break;
	case EXT_PSK:
		h->psk = true;
		break;
	case EXT_EARLY_DATA:
		h->early_data = true;
		break;
	case EXT_ECH:
		h->ech = true;
		break;
	default:
		known = false;
	}
	if (!known)
		return;
	if (*seen & bit)
		rd_fail(r, -ERR_MALFORMED);
	*seen |= bit;
}

static void read_extensions(struct rd *r, struct tls_hello *h)
{
	uint64_t seen = 0;
	struct rd all;

	rest_length(r);
	h->extensions = take_rest(r);
	all = rd_over(h->extensions);
	while (!r->err && rd_left(&all) > 0) {
		uint16_t type = rd_be16(&all);
		struct rd body = rd_sub(&all, rd_be16(&all));

		read_extension(&body, type, h, &seen);
		if (body.err)
			rd_fail(r, inner_error(body.err));
	}
}

/* RFC 8446 §4.1.2; a hello without extensions is TLS 1.2's right. */
static void read_body(struct rd *r, struct tls_hello *h)
{
	size_t n;

	h->version = rd_be16(r);
	h->random = rd_bytes(r, 32);
	n = rd_u8(r);
	rd_check(r, n <= 32);
	h->session_id = take(r, n);
	n = rd_be16(r);
	h->ciphers = take(r, n);
	rd_check(r, n >= 2 && n % 2 == 0);
	n = rd_u8(r);
	rd_check(r, n >= 1);
	h->compression = take(r, n);
	if (!r->err && rd_left(r) > 0)
		read_extensions(r, h);
}

int tls_hello_parse(struct rd *in, struct tls_hello *out)
{
	struct tls_hello h = {0};
	struct rd r = *in, body;
	const uint8_t *start = r.base + r.pos;
	size_t len;

	rd_check(&r, rd_u8(&r) == CLIENT_HELLO);
	len = rd_be24(&r);
	if (!r.err && len > TLS_HELLO_MAX)
		return -ERR_TOO_BIG;
	body = rd_sub(&r, len);
	if (r.err)
		return r.err;
	read_body(&body, &h);
	if (body.err)
		return inner_error(body.err);
	h.raw = (struct tls_bytes){start, 4 + len};
	*in = r;
	*out = h;
	return 0;
}

/* The fragment of one record; a record of another kind is malformed. */
static struct tls_bytes read_record(struct rd *r)
{
	struct tls_bytes none = {0};
	size_t len;

	rd_check(r, rd_u8(r) == RECORD_HANDSHAKE);
	rd_check(r, rd_u8(r) == 3);
	rd_check(r, rd_u8(r) <= 4);
	len = rd_be16(r);
	if (!r->err && (len == 0 || len > 16384))
		rd_fail(r, -ERR_MALFORMED);
	return r->err ? none : take(r, len);
}

/* Is what has come so far a whole message?  0, -ERR_MORE, or why it will never be one. */
static int message_state(const uint8_t *p, size_t have)
{
	struct rd r = rd_of(p, have);
	size_t len;

	rd_check(&r, rd_u8(&r) == CLIENT_HELLO);
	len = rd_be24(&r);
	if (r.err)
		return r.err;
	if (len > TLS_HELLO_MAX - 4)
		return -ERR_TOO_BIG;
	if (have > 4 + len)
		return -ERR_MALFORMED;
	return have == 4 + len ? 0 : -ERR_MORE;
}

int tls_hello_read(struct rd *in, uint8_t *buf, struct tls_hello *out)
{
	struct rd r = *in, msg;
	struct tls_bytes part;
	const uint8_t *p;
	size_t have;
	int err;

	part = read_record(&r);
	if (r.err) {
		/* The first bytes of a record can already be wrong. */
		size_t header = in->pos + 5;

		if (r.err == -ERR_MORE && in->len > header)
			err = message_state(in->base + header, in->len - header);
		else
			err = r.err;
		return err ? err : -ERR_MORE;
	}
	p = part.p;
	have = part.len;
	while ((err = message_state(p, have)) == -ERR_MORE) {
		part = read_record(&r);
		if (r.err)
			return r.err;
		if (have + part.len > TLS_HELLO_MAX)
			return -ERR_TOO_BIG;
		if (p != buf)
			memcpy(buf, p, have);
		p = buf;
		memcpy(buf + have, part.p, part.len);
		have += part.len;
	}
	if (err)
		return err;
	msg = rd_of(p, have);
	err = tls_hello_parse(&msg, out);
	if (err)
		return err;
	*in = r;
	return 0;
}

bool tls_hello_lists(struct tls_bytes list, uint16_t value)
{
	for (size_t i = 0; i + 1 < list.len; i += 2) {
		if ((list.p[i] << 8 | list.p[i + 1]) == value)
			return true;
	}
	return false;
}

struct tls_bytes tls_hello_share(const struct tls_hello *h, uint16_t group)
{
	struct rd r = rd_over(h->shares);

	while (!r.err && rd_left(&r) > 0) {
		uint16_t g = rd_be16(&r);
		struct tls_bytes key = take(&r, rd_be16(&r));

		if (g == group && !r.err)
			return key;
	}
	return (struct tls_bytes){0};
}

bool tls_hello_next_alpn(struct tls_bytes *list, struct tls_bytes *name)
{
	struct rd r = rd_over(*list);
	struct tls_bytes got;

	if (list->len == 0)
		return false;
	got = take(&r, rd_u8(&r));
	if (r.err)
		return false;
	*name = got;
	*list = take_rest(&r);
	return true;
}

struct tls_bytes tls_hello_extension(const struct tls_hello *h, uint16_t type)
{
	struct rd r = rd_over(h->extensions);

	while (!r.err && rd_left(&r) > 0) {
		uint16_t t = rd_be16(&r);
		struct tls_bytes body = take(&r, rd_be16(&r));

		if (t == type && !r.err)
			return body;
	}
	return (struct tls_bytes){0};
}
