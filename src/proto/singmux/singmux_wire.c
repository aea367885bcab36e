#include "proto/singmux/singmux_wire.h"

#include <string.h>

#include "base/err.h"

enum {
	FLAG_UDP = 1,
	FLAG_ADDR = 2,
};

static bool is_name(const struct dest *d, const char *name)
{
	return d->type == DEST_NAME && d->len == strlen(name) && !memcmp(d->bytes, name, d->len);
}

bool singmux_is_carrier(const struct dest *d)
{
	return is_name(d, SINGMUX_NAME);
}

bool singmux_is_brutal(const struct dest *d)
{
	return is_name(d, SINGMUX_BRUTAL_NAME);
}

void singmux_dest(struct dest *out)
{
	*out = (struct dest){
		.type = DEST_NAME, .len = sizeof(SINGMUX_NAME) - 1, .port = SINGMUX_PORT};
	memcpy(out->bytes, SINGMUX_NAME, sizeof(SINGMUX_NAME));
}

/* ---- carrier ----------------------------------------------------------------------------- */

/* A boolean is one byte, and anything but 0 is yes. */
int singmux_hello_parse(struct rd *in, struct singmux_hello *out)
{
	struct singmux_hello h = {0};
	struct rd r = *in;

	h.version = rd_u8(&r);
	rd_check(&r, h.version <= 1);
	h.protocol = rd_u8(&r);
	rd_check(&r, h.protocol <= SINGMUX_H2MUX);
	if (h.version == 1)
		h.padding = rd_u8(&r) != 0;
	if (h.padding)
		h.pad = rd_be16(&r);
	if (r.err)
		return r.err;
	*in = r;
	*out = h;
	return 0;
}

void singmux_hello_emit(struct wr *w, const struct singmux_hello *h)
{
	wr_u8(w, h->version);
	wr_u8(w, h->protocol);
	if (h->version == 1)
		wr_u8(w, h->padding);
	if (h->version == 1 && h->padding)
		wr_be16(w, h->pad);
}

int singmux_pad_parse(struct rd *in, struct singmux_pad_head *out)
{
	struct singmux_pad_head h;
	struct rd r = *in;

	h.data = rd_be16(&r);
	h.pad = rd_be16(&r);
	if (r.err)
		return r.err;
	*in = r;
	*out = h;
	return 0;
}

void singmux_pad_emit(struct wr *w, const struct singmux_pad_head *h)
{
	wr_be16(w, h->data);
	wr_be16(w, h->pad);
}

/* ---- stream ------------------------------------------------------------------------------ */

/* Flags that we do not know change nothing: the reference looks at its two bits alone. */
int singmux_request_parse(struct rd *in, struct singmux_request *out)
{
	struct singmux_request q = {0};
	struct rd r = *in;
	uint16_t flags = rd_be16(&r);

	rd_dest(&r, DEST_SOCKS, &q.dest);
	if (r.err)
		return r.err;
	q.udp = flags & FLAG_UDP;
	q.packet_addr = q.udp && flags & FLAG_ADDR;
	*in = r;
	*out = q;
	return 0;
}

void singmux_request_emit(struct wr *w, const struct singmux_request *r)
{
	wr_be16(w,
		(uint16_t)((r->udp ? FLAG_UDP : 0) | (r->udp && r->packet_addr ? FLAG_ADDR : 0)));
	wr_dest(w, DEST_SOCKS, &r->dest);
}

/* A length as Go's varint has it: seven bits a byte, the low ones first.  Two bytes hold all that is
 * let through; more is malformed.
 */
static size_t rd_text_len(struct rd *r)
{
	uint8_t low = rd_u8(r), high = 0;
	size_t len = low & 0x7f;

	if (low & 0x80) {
		high = rd_u8(r);
		len |= (size_t)(high & 0x7f) << 7;
	}
	rd_check(r, (!(high & 0x80) && len <= SINGMUX_TEXT_MAX));
	return r->err ? 0 : len;
}

static void rd_text(struct rd *r, const char **text, size_t *len)
{
	*len = rd_text_len(r);
	*text = (const char *)rd_bytes(r, *len);
}

static void wr_text(struct wr *w, const char *text, size_t len)
{
	len = MIN(len, (size_t)SINGMUX_TEXT_MAX);
	if (len >= 0x80) {
		wr_u8(w, (uint8_t)(0x80 | (len & 0x7f)));
		wr_u8(w, (uint8_t)(len >> 7));
	} else {
		wr_u8(w, (uint8_t)len);
	}
	wr_bytes(w, text, len);
}

int singmux_answer_parse(struct rd *in, struct singmux_answer *out)
{
	struct singmux_answer a = {0};
	struct rd r = *in;
	uint8_t status = rd_u8(&r);

	rd_check(&r, status <= SINGMUX_REFUSED);
	a.error = status;
	if (a.error)
		rd_text(&r, &a.text, &a.len);
	if (r.err)
		return r.err;
	*in = r;
	*out = a;
	return 0;
}

void singmux_answer_emit(struct wr *w, const struct singmux_answer *a)
{
	wr_u8(w, a->error);
	if (a->error)
		wr_text(w, a->text, a->len);
}

/* ---- TCP Brutal -------------------------------------------------------------------------- */

int singmux_brutal_parse(struct rd *in, struct singmux_brutal_answer *out)
{
	struct singmux_brutal_answer a = {0};
	struct rd r = *in;

	a.ok = rd_u8(&r) != 0;
	if (a.ok)
		a.rate_Bps = rd_be64(&r);
	else
		rd_text(&r, &a.text, &a.len);
	if (r.err)
		return r.err;
	*in = r;
	*out = a;
	return 0;
}

void singmux_brutal_emit(struct wr *w, const struct singmux_brutal_answer *a)
{
	wr_u8(w, a->ok);
	if (a->ok)
		wr_be64(w, a->rate_Bps);
	else
		wr_text(w, a->text, a->len);
}
