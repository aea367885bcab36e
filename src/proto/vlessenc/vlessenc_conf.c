#include "proto/vlessenc/vlessenc_conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "crypto/blake3.h"
#include "crypto/ct.h"
#include "crypto/random.h"
#include "proto/vlessenc/vlessenc_tickets.h"
#include "proto/vlessenc/vlessenc_wire.h"

#define PADDING_MAX 20 /* a shorter component is padding, another one a key */

/* Where nothing is said; the same on both sides. */
static const struct vlessenc_padding usual = {
	.v = {{100, 111, 1111}, {75, 0, 111}, {50, 0, 3333}},
	.n = 3,
};

struct part {
	const char *text;
	size_t len;
};

static bool is(const struct part *p, const char *word)
{
	return strlen(word) == p->len && !memcmp(p->text, word, p->len);
}

/* The next component; false at the end. */
static bool next_part(const char **at, struct part *out)
{
	if (!*at)
		return false;
	out->text = *at;
	out->len = strcspn(*at, ".");
	*at = out->text[out->len] ? out->text + out->len + 1 : NULL;
	return true;
}

/* Digits off the front of p; false: there are none, or too many. */
static bool take_number(struct part *p, uint32_t *out)
{
	uint32_t v = 0;
	size_t n = 0;

	for (; n < p->len && isdigit((unsigned char)p->text[n]); n++) {
		if (n == 8)
			return false;
		v = v * 10 + (uint32_t)(p->text[n] - '0');
	}
	p->text += n;
	p->len -= n;
	*out = v;
	return n > 0;
}

static bool take_char(struct part *p, char c)
{
	if (p->len == 0 || *p->text != c)
		return false;
	p->text++;
	p->len--;
	return true;
}

/* Bounds may come in either order. */
static void sort(uint32_t *from, uint32_t *to)
{
	if (*from > *to) {
		uint32_t t = *from;

		*from = *to;
		*to = t;
	}
}

static const char *parse_mode(struct vlessenc_conf *c, const struct part *p)
{
	static const char *const names[] = {"native", "xorpub", "random"};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (is(p, names[i])) {
			c->mode = (enum vlessenc_mode)i;
			return NULL;
		}
	}
	return "the mode is none of native, xorpub, random";
}

/* "600s", "300-600s", "0s"; the s may be missing. */
static const char *parse_life(struct vlessenc_conf *c, struct part p)
{
	bool ok = take_number(&p, &c->life_from);

	if (ok && take_char(&p, '-'))
		ok = take_number(&p, &c->life_to);
	take_char(&p, 's');
	if (!ok || p.len > 0)
		return "the life of tickets is not like 600s or 300-600s";
	if (MAX(c->life_from, c->life_to) > VLESSENC_LIFE_MAX)
		return "tickets live for 65535 seconds at most";
	if (c->life_to)
		sort(&c->life_from, &c->life_to);
	c->zero_rtt = c->life_from || c->life_to;
	return NULL;
}

static const char *parse_rtt(struct vlessenc_conf *c, const struct part *p)
{
	c->zero_rtt = is(p, "0rtt");
	return c->zero_rtt || is(p, "1rtt") ? NULL : "the third part is neither 0rtt nor 1rtt";
}

static const char *parse_padding(struct vlessenc_conf *c, struct part p)
{
	struct vlessenc_range r;
	uint64_t total = 0;

	if (c->nkeys)
		return "padding stands behind a key";
	if (c->padding.n == VLESSENC_PADS)
		return "more than 32 paddings";
	if (!take_number(&p, &r.prob) || !take_char(&p, '-') || !take_number(&p, &r.from) ||
	    !take_char(&p, '-') || !take_number(&p, &r.to) || p.len > 0)
		return "a padding is not like 100-111-1111";
	sort(&r.from, &r.to);
	if (c->padding.n == 0 && (r.prob < 100 || r.from < VLESSENC_PAD_MIN))
		return "the first padding must be sent always, and be 35 bytes or more";
	c->padding.v[c->padding.n++] = r;
	for (unsigned i = 0; i < c->padding.n; i += 2)
		total += c->padding.v[i].to;
	return total > VLESSENC_PAD_MAX ? "paddings of more than 65553 bytes together" : NULL;
}

static int set_private(struct vlessenc_key *k, const uint8_t *raw, size_t n)
{
	if (n == X25519_LEN) {
		memcpy(k->priv, raw, n);
		return x25519_public(k->priv, k->pub);
	}
	if (n != MLKEM768_SEED)
		return -ERR_CONFIG;
	k->mlkem = true;
	k->decaps = malloc(sizeof(*k->decaps));
	if (!k->decaps)
		return -ENOMEM;
	mlkem768_key_set(k->decaps, raw);
	memcpy(k->pub, k->decaps->pub, sizeof(k->pub));
	return 0;
}

static int set_public(struct vlessenc_key *k, const uint8_t *raw, size_t n)
{
	k->mlkem = n == MLKEM768_PUB;
	if (n != X25519_LEN && (!k->mlkem || mlkem768_check(raw)))
		return -ERR_CONFIG;
	memcpy(k->pub, raw, n);
	return 0;
}

static int parse_key(struct vlessenc_conf *c, const struct part *p, const char **why)
{
	uint8_t raw[BASE64_BYTES(1600)];
	struct vlessenc_key *k = &c->keys[c->nkeys];
	ssize_t n = base64_decode(p->text, p->len, raw, sizeof(raw));
	size_t len;
	int err;

	*why = c->server ? "a key is neither 32 bytes (X25519) nor 64 (ML-KEM-768) in base64url"
			 : "a key is neither 32 bytes (X25519) nor 1184 (ML-KEM-768) in base64url";
	if (c->nkeys == VLESSENC_KEYS || n <= 0)
		return -ERR_CONFIG;
	c->nkeys++;
	err = c->server ? set_private(k, raw, (size_t)n) : set_public(k, raw, (size_t)n);
	cleanse(raw, sizeof(raw));
	if (err)
		return err;
	len = k->mlkem ? MLKEM768_PUB : X25519_LEN;
	blake3(k->pub, len, k->hash, sizeof(k->hash));
	vlessenc_mask_key(k->pub, len, k->mask);
	c->relays += (k->mlkem ? MLKEM768_CT : X25519_LEN) + (c->nkeys > 1 ? 32 : 0);
	return 0;
}

static int parse(struct vlessenc_conf *c, const char *text, const char **why)
{
	struct part p;
	int err = 0;

	*why = "it is not mlkem768x25519plus, a mode, a third part and a key, joined by dots";
	if (!next_part(&text, &p) || !is(&p, VLESSENC_METHOD) || !next_part(&text, &p))
		return -ERR_CONFIG;
	*why = parse_mode(c, &p);
	if (!*why && !next_part(&text, &p))
		*why = "the third part is missing";
	if (!*why)
		*why = c->server ? parse_life(c, p) : parse_rtt(c, &p);
	while (!*why && !err && next_part(&text, &p)) {
		if (p.len < PADDING_MAX) {
			*why = parse_padding(c, p);
		} else {
			err = parse_key(c, &p, why);
			if (!err)
				*why = NULL;
		}
	}
	if (err)
		return err;
	if (!*why && !c->nkeys)
		*why = "the key is missing";
	if (!c->padding.n)
		c->padding = usual;
	return *why ? -ERR_CONFIG : 0;
}

static int make(const char *text, bool server, struct vlessenc_conf **out, const char **why)
{
	struct vlessenc_conf *c = calloc(1, sizeof(*c));
	int err;

	*why = "out of memory";
	if (!c)
		return -ENOMEM;
	c->server = server;
	c->keys = calloc(VLESSENC_KEYS, sizeof(*c->keys));
	err = c->keys ? parse(c, text, why) : -ENOMEM;
	if (err)
		vlessenc_conf_free(c);
	else
		*out = c;
	return err;
}

int vlessenc_server_conf_new(const char *decryption, struct vlessenc_tickets *tickets,
			     struct vlessenc_conf **out, const char **why)
{
	int err = make(decryption, true, out, why);

	if (!err)
		(*out)->tickets = tickets;
	return err;
}

int vlessenc_client_conf_new(const char *encryption, struct vlessenc_conf **out, const char **why)
{
	struct vlessenc_conf *c;
	int err = make(encryption, false, &c, why);

	if (err)
		return err;
	err = c->zero_rtt ? vlessenc_tickets_new(&c->tickets) : 0;
	if (err)
		vlessenc_conf_free(c);
	else
		*out = c;
	return err;
}

void vlessenc_conf_free(struct vlessenc_conf *c)
{
	if (!c)
		return;
	if (!c->server)
		vlessenc_tickets_free(c->tickets);
	for (unsigned i = 0; i < c->nkeys; i++) {
		if (c->keys[i].decaps)
			mlkem768_key_clear(c->keys[i].decaps);
		free(c->keys[i].decaps);
		cleanse(&c->keys[i], sizeof(c->keys[i]));
	}
	free(c->keys);
	free(c);
}

int vlessenc_client_text(const char *decryption, struct arena *mem, const char **out,
			 const char **why)
{
	static const char *const modes[] = {"native", "xorpub", "random"};
	struct vlessenc_conf *c;
	const char *text;
	int err = make(decryption, true, &c, why);

	if (err)
		return err;
	text = arena_printf(mem, "%s.%s.%s", VLESSENC_METHOD, modes[c->mode],
			    c->zero_rtt ? "0rtt" : "1rtt");
	for (unsigned i = 0; i < c->nkeys && text; i++) {
		char key[BASE64_TEXT(MLKEM768_PUB)];

		base64_encode(BASE64_URL, c->keys[i].pub,
			      c->keys[i].mlkem ? MLKEM768_PUB : X25519_LEN, key);
		text = arena_printf(mem, "%s.%s", text, key);
	}
	vlessenc_conf_free(c);
	*why = "out of memory";
	if (!text)
		return -ENOMEM;
	*out = text;
	return 0;
}

static uint32_t draw(uint32_t from, uint32_t to)
{
	return to > from ? from + random_below(to - from) : from;
}

/* A probability of n is n + 1 of 100, as the reference counts. */
static uint32_t draw_range(const struct vlessenc_range *r)
{
	return r->prob >= random_below(100) ? draw(r->from, r->to) : 0;
}

unsigned vlessenc_padding_draw(const struct vlessenc_padding *p, uint32_t len[VLESSENC_PADS],
			       uint32_t gap_ms[VLESSENC_PADS], uint32_t *total)
{
	unsigned n = 0;

	*total = 0;
	for (unsigned i = 0; i < p->n; i += 2, n++) {
		len[n] = draw_range(&p->v[i]);
		gap_ms[n] = i + 1 < p->n ? draw_range(&p->v[i + 1]) : 0;
		*total += len[n];
	}
	return n;
}

uint32_t vlessenc_life_draw(const struct vlessenc_conf *c)
{
	if (!c->life_to)
		return c->life_from * draw(50, 100) / 100;
	return draw(c->life_from, c->life_to);
}
