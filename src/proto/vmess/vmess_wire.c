#include "proto/vmess/vmess_wire.h"

#include <string.h>

static uint32_t fnv1a(const uint8_t *p, size_t n)
{
	uint32_t h = 0x811c9dc5;

	while (n-- > 0)
		h = (h ^ *p++) * 0x01000193;
	return h;
}

int vmess_request_parse(struct rd *in, struct vmess_request *out)
{
	struct vmess_request req = {0};
	struct rd r = *in;
	uint8_t byte;
	uint32_t sum;

	rd_expect(&r, "\x01", 1);
	rd_copy(&r, req.iv, sizeof(req.iv));
	rd_copy(&r, req.key, sizeof(req.key));
	req.answer = rd_u8(&r);
	req.option = rd_u8(&r);
	byte = rd_u8(&r);
	req.cipher = byte & 0x0f;
	rd_check(&r, req.cipher >= VMESS_AES_128_GCM && req.cipher <= VMESS_NONE);
	rd_skip(&r, 1);
	req.cmd = rd_u8(&r);
	rd_check(&r, req.cmd >= VMESS_TCP && req.cmd <= VMESS_MUX);
	if (req.cmd != VMESS_MUX)
		rd_dest(&r, DEST_VLESS, &req.dest);
	rd_skip(&r, byte >> 4);
	sum = r.err ? 0 : fnv1a(in->base + in->pos, r.pos - in->pos);
	rd_check(&r, rd_be32(&r) == sum || r.err);
	if (r.err)
		return r.err;

	*in = r;
	*out = req;
	return 0;
}

void vmess_request_emit(struct wr *w, const struct vmess_request *req, const uint8_t *noise,
			size_t padding)
{
	size_t from = w->len;

	wr_u8(w, 1);
	wr_bytes(w, req->iv, sizeof(req->iv));
	wr_bytes(w, req->key, sizeof(req->key));
	wr_u8(w, req->answer);
	wr_u8(w, req->option);
	wr_u8(w, (uint8_t)(padding << 4 | req->cipher));
	wr_u8(w, 0);
	wr_u8(w, req->cmd);
	if (req->cmd != VMESS_MUX)
		wr_dest(w, DEST_VLESS, &req->dest);
	wr_bytes(w, noise, padding);
	if (!w->err)
		wr_be32(w, fnv1a(w->base + from, w->len - from));
}

/* CRC-32 as in IEEE 802.3: twelve bytes, once a connection. */
static uint32_t crc32_of(const uint8_t *p, size_t n)
{
	uint32_t c = UINT32_MAX;

	while (n-- > 0) {
		c ^= *p++;
		for (int i = 0; i < 8; i++)
			c = c >> 1 ^ (0xedb88320 & (0 - (c & 1)));
	}
	return ~c;
}

void vmess_id_make(int64_t time, const uint8_t noise[4], uint8_t id[VMESS_ID_LEN])
{
	struct wr w = wr_of(id, VMESS_ID_LEN);

	wr_be64(&w, (uint64_t)time);
	wr_bytes(&w, noise, 4);
	wr_be32(&w, crc32_of(id, 12));
}

bool vmess_id_fits(const uint8_t id[VMESS_ID_LEN], int64_t now)
{
	struct rd r = rd_of(id + 12, 4);

	return vmess_id_timely(id, now) && rd_be32(&r) == crc32_of(id, 12);
}
