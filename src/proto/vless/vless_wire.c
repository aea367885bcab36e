#include "proto/vless/vless_wire.h"

#include <string.h>

#include "base/uuid.h"
#include "crypto/hash.h"

static const char vision[] = "xtls-rprx-vision";

int vless_prefix_parse(const struct rd *in, uint8_t id[VLESS_ID_LEN])
{
	struct rd r = *in;

	if (rd_left(&r) > 0 && r.base[r.pos] != 0)
		return -ERR_AUTH;
	rd_skip(&r, 1);
	rd_copy(&r, id, VLESS_ID_LEN);
	return r.err;
}

static uint64_t rd_varint(struct rd *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t b = rd_u8(r);

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	rd_check(r, false);
	return 0;
}

static void skip_field(struct rd *r, unsigned wire_type)
{
	uint64_t n;

	switch (wire_type) {
	case 0:
		rd_varint(r);
		break;
	case 1:
		rd_skip(r, 8);
		break;
	case 2:
		n = rd_varint(r);
		rd_skip(r, n > rd_left(r) ? rd_left(r) + 1 : (size_t)n);
		break;
	case 5:
		rd_skip(r, 4);
		break;
	default:
		rd_check(r, false);
	}
}

static uint8_t flow_of(const uint8_t *word, size_t len)
{
	if (len == 0)
		return VLESS_FLOW_NONE;
	if (len == sizeof(vision) - 1 && !memcmp(word, vision, len))
		return VLESS_FLOW_VISION;
	return VLESS_FLOW_OTHER;
}

int vless_addons_parse(struct rd *in, uint8_t *flow)
{
	uint8_t got = VLESS_FLOW_NONE;
	struct rd r = *in;

	while (!r.err && rd_left(&r) > 0) {
		uint64_t tag = rd_varint(&r);

		if (tag == (1 << 3 | 2)) { /* field 1, bytes: the flow; the last one wins */
			uint64_t n = rd_varint(&r);
			size_t len = n > rd_left(&r) ? rd_left(&r) + 1 : (size_t)n;
			const uint8_t *word = rd_bytes(&r, len);

			if (word)
				got = flow_of(word, len);
		} else {
			rd_check(&r, tag >> 3 != 0);
			skip_field(&r, tag & 7);
		}
	}
	if (r.err) {
		/* The length came first, so running out here is a lie about it, not a short read.
		 */
		return -ERR_MALFORMED;
	}
	*in = r;
	*flow = got;
	return 0;
}

int vless_request_parse(struct rd *in, struct vless_request *out)
{
	struct vless_request req = {0};
	struct rd r = *in, addons;
	int err;

	err = vless_prefix_parse(&r, req.id);
	if (err)
		return err;
	rd_skip(&r, VLESS_PREFIX);
	addons = rd_sub(&r, rd_u8(&r));
	if (r.err)
		return r.err;
	err = vless_addons_parse(&addons, &req.flow);
	if (err)
		return err;

	req.cmd = rd_u8(&r);
	rd_check(&r, req.cmd >= VLESS_TCP && req.cmd <= VLESS_MUX);
	if (req.cmd != VLESS_MUX)
		rd_dest(&r, DEST_VLESS, &req.dest);
	if (r.err)
		return r.err;

	*in = r;
	*out = req;
	return 0;
}

void vless_request_emit(struct wr *w, const struct vless_request *req)
{
	wr_u8(w, 0);
	wr_bytes(w, req->id, VLESS_ID_LEN);
	if (req->flow == VLESS_FLOW_VISION) {
		wr_u8(w, 2 + sizeof(vision) - 1);
		wr_u8(w, 1 << 3 | 2);
		wr_u8(w, sizeof(vision) - 1);
		wr_str(w, vision);
	} else {
		wr_u8(w, 0);
	}
	wr_u8(w, req->cmd);
	if (req->cmd != VLESS_MUX)
		wr_dest(w, DEST_VLESS, &req->dest);
}

int vless_response_parse(struct rd *in)
{
	struct rd r = *in;

	rd_expect(&r, "", 1); /* the version: a zero byte */
	rd_skip(&r, rd_u8(&r));
	if (r.err)
		return r.err;
	*in = r;
	return 0;
}

void vless_response_emit(struct wr *w)
{
	wr_be16(w, 0);
}

void vless_key_of_id(const uint8_t id[VLESS_ID_LEN], uint8_t key[VLESS_ID_LEN])
{
	memcpy(key, id, VLESS_ID_LEN);
	key[6] = key[7] = 0;
}

int vless_id_of_text(const char *text, size_t len, uint8_t id[VLESS_ID_LEN])
{
	uint8_t in[VLESS_ID_LEN + 30] = {0}, digest[20];
	int err;

	if (len >= 32 && len <= 36)
		return uuid_parse(id, text, len);
	if (len < 1 || len > 30)
		return -ERR_MALFORMED;
	memcpy(in + VLESS_ID_LEN, text, len); /* UUIDv5 with the nil namespace */
	err = hash(HASH_SHA1, in, VLESS_ID_LEN + len, digest);
	if (err)
		return err;
	memcpy(id, digest, VLESS_ID_LEN);
	id[6] = (uint8_t)((id[6] & 0x0f) | 0x50);
	id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
	return 0;
}
