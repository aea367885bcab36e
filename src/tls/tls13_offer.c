#include "tls/tls13_offer.h"

#include <string.h>

#include "tls/reality_auth.h"

enum {
	EXT_SNI = 0,
	EXT_MAX_FRAGMENT = 1,
	EXT_STATUS = 5,
	EXT_POINTS = 11,
	EXT_SRP = 12,
	EXT_SRTP = 14,
	EXT_SCT = 18,
	EXT_MASTER_SECRET = 23,
	EXT_COMPRESS = 27,
	EXT_TICKET = 35,
	EXT_PSK = 41,
	EXT_EARLY_DATA = 42,
	EXT_COOKIE = 44,
	EXT_PSK_MODES = 45,
	EXT_AUTHORITIES = 47,
	EXT_LATE_AUTH = 49,
	EXT_CERT_SIGALGS = 50,
	EXT_NEXT_PROTO = 13172,
	EXT_RENEGOTIATE = 0xff01,
	FALLBACK_SCSV = 0x5600,
	RENEGOTIATE_SCSV = 0x00ff,
	PSK_DHE = 1,
};

static bool is(struct rd body, const char *bytes, size_t len)
{
	return rd_left(&body) == len && !memcmp(body.base + body.pos, bytes, len);
}

/* A list behind a length byte that fills the body and holds something. */
static bool is_list8(struct rd body)
{
	size_t n = rd_u8(&body);

	return !body.err && n > 0 && n == rd_left(&body);
}

/* The body as clients send it?  An odd one may be legal, or earn an alert: libssl knows. */
static bool is_usual(uint16_t type, struct rd body)
{
	const uint8_t *p = body.base + body.pos;
	size_t n = rd_left(&body);

	switch (type) {
	case EXT_STATUS:
		return is(body, "\x01\x00\x00\x00\x00", 5);
	case EXT_POINTS:
		return is_list8(body);
	case EXT_COMPRESS:
		return is_list8(body) && n % 2 == 1;
	case EXT_PSK_MODES:
		return is_list8(body) && memchr(p + 1, PSK_DHE, n - 1);
	case EXT_SCT:
	case EXT_MASTER_SECRET:
	case EXT_TICKET:
	case EXT_LATE_AUTH:
		return n == 0;
	case EXT_CERT_SIGALGS:
		return n >= 4 && n % 2 == 0 && (size_t)(p[0] << 8 | p[1]) == n - 2;
	case EXT_RENEGOTIATE:
		return is(body, "", 1);
	case EXT_MAX_FRAGMENT:
	case EXT_SRP:
	case EXT_SRTP:
	case EXT_PSK:
	case EXT_EARLY_DATA:
	case EXT_COOKIE:
	case EXT_AUTHORITIES:
	case EXT_NEXT_PROTO:
		return false;
	default:
		return true; /* read by tls_hello_parse(), or of no meaning to a server of TLS 1.3 */
	}
}

static bool are_usual(const struct tls_hello *h)
{
	struct rd all = rd_of(h->extensions.p, h->extensions.len);
	bool renegotiate = false, modes = false;
	uint64_t seen = 0;

	while (rd_left(&all) > 0) {
		uint16_t type = rd_be16(&all);
		struct rd body = rd_sub(&all, rd_be16(&all));
		uint64_t bit = type < 64 ? (uint64_t)1 << type : 0;

		if (all.err || !is_usual(type, body) || seen & bit)
			return false;
		if (type == EXT_RENEGOTIATE && renegotiate)
			return false;
		seen |= bit;
		renegotiate |= type == EXT_RENEGOTIATE;
		modes |= type == EXT_PSK_MODES;
	}
	return modes;
}

/* RFC 8701: numbers that mean nothing. */
static bool is_grease(uint16_t v)
{
	return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

static uint16_t first_cipher(struct tls_bytes list)
{
	for (size_t i = 0; i + 1 < list.len; i += 2) {
		uint16_t v = (uint16_t)(list.p[i] << 8 | list.p[i + 1]);

		if (!is_grease(v) && v != RENEGOTIATE_SCSV)
			return v;
	}
	return 0;
}

/* Who names ChaCha20 first has no AES in hardware. */
static bool is_chacha(uint16_t v)
{
	return v == 0x1303 || (v >= 0xcca8 && v <= 0xccae);
}

/* libssl looks at the first that it knows.  These it does; of others it knows best. */
static bool is_known(uint16_t v)
{
	return (v >= 0x1301 && v <= 0x1303) || (v >= 0xc02b && v <= 0xc030) || is_chacha(v);
}

static uint16_t choose_suite(const struct tls_hello *h, bool aes)
{
	static const uint16_t fast[] = {0x1301, 0x1302, 0x1303}, slow[] = {0x1303, 0x1301, 0x1302};
	const uint16_t first = first_cipher(h->ciphers);
	const uint16_t *order = aes && !is_chacha(first) ? fast : slow;

	if (!is_known(first))
		return 0;
	for (int i = 0; i < 3; i++) {
		if (tls_hello_lists(h->ciphers, order[i]))
			return order[i];
	}
	return 0;
}

/* As libssl has it: the first share of a group that both know, in the client's order.  Those of groups
 * that the client does not list are against the rules. */
static bool choose_share(const struct tls_hello *h, struct tls13_offer *o)
{
	struct rd r = rd_of(h->shares.p, h->shares.len);

	while (rd_left(&r) > 0) {
		uint16_t group = rd_be16(&r);
		size_t len = rd_be16(&r);
		const uint8_t *p = rd_bytes(&r, len);

		if (r.err || len == 0 || !tls_hello_lists(h->groups, group))
			return false;
		if (group >= 23 && group <= 25) /* the curves of NIST, which libssl takes */
			return false;
		if (group != GROUP_X25519)
			continue;
		o->share = (struct tls_bytes){p, len};
		return len == X25519_LEN;
	}
	return false;
}

int tls13_offer_read(const struct tls_hello *h, bool aes, bool hybrid, struct tls13_offer *out)
{
	struct tls13_offer o = {0};

	if (h->version != 0x0303 || !tls_hello_is_13(h) || h->psk || h->early_data)
		return -ERR_UNSUPPORTED;
	if (h->session_id.len != 0 && h->session_id.len != 32)
		return -ERR_UNSUPPORTED;
	if (h->compression.len != 1 || h->compression.p[0] != 0)
		return -ERR_UNSUPPORTED;
	if (!h->groups.p || !h->sigalgs.p || !h->shares.p || !are_usual(h))
		return -ERR_UNSUPPORTED;
	if (hybrid && tls_hello_lists(h->groups, GROUP_X25519MLKEM768))
		return -ERR_UNSUPPORTED;
	o.suite = choose_suite(h, aes);
	if (o.suite == 0 || tls_hello_lists(h->ciphers, FALLBACK_SCSV) || !choose_share(h, &o))
		return -ERR_UNSUPPORTED;
	*out = o;
	return 0;
}

bool tls13_offer_accepts(const struct tls_hello *h, uint16_t scheme, uint16_t signed_with)
{
	struct tls_bytes list = tls_hello_extension(h, EXT_CERT_SIGALGS);

	if (scheme == 0 || !tls_hello_lists(h->sigalgs, scheme))
		return false;
	if (!list.p)
		return true;
	if (list.len < 2)
		return false;
	list.p += 2;
	list.len -= 2;
	return signed_with != 0 && tls_hello_lists(list, signed_with);
}
