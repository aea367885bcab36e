#include "proto/trojan/trojan_wire.h"

#include "crypto/hash.h"

int trojan_prefix_parse(const struct rd *in, uint8_t key[TROJAN_KEY_LEN])
{
	struct rd r = *in;

	rd_hex(&r, key, TROJAN_KEY_LEN);
	rd_expect(&r, "\r\n", 2);
	return r.err;
}

int trojan_request_parse(struct rd *in, struct trojan_request *out)
{
	struct trojan_request req = {0};
	struct rd r = *in;

	rd_hex(&r, req.key, sizeof(req.key));
	rd_expect(&r, "\r\n", 2);
	req.cmd = rd_u8(&r);
	rd_check(&r, req.cmd == TROJAN_CONNECT || req.cmd == TROJAN_UDP);
	rd_dest(&r, DEST_SOCKS, &req.dest);
	rd_expect(&r, "\r\n", 2);
	if (r.err)
		return r.err;

	*in = r;
	*out = req;
	return 0;
}

void trojan_request_emit(struct wr *w, const struct trojan_request *req)
{
	wr_hex(w, req->key, sizeof(req->key));
	wr_str(w, "\r\n");
	wr_u8(w, req->cmd);
	wr_dest(w, DEST_SOCKS, &req->dest);
	wr_str(w, "\r\n");
}

/* Neither reference server looks at the CR LF of a packet; a wrong one still means that the framing
 * is lost, so it ends the association instead of yielding garbage packets.
 */
int trojan_packet_parse(struct rd *in, struct dest *dest, size_t *len)
{
	struct rd r = *in;
	struct dest d;
	uint16_t n;

	rd_dest(&r, DEST_SOCKS, &d);
	n = rd_be16(&r);
	rd_expect(&r, "\r\n", 2);
	if (r.err)
		return r.err;

	*in = r;
	*dest = d;
	*len = n;
	return 0;
}

void trojan_packet_emit(struct wr *w, const struct dest *dest, size_t len)
{
	wr_dest(w, DEST_SOCKS, dest);
	wr_be16(w, (uint16_t)len);
	wr_str(w, "\r\n");
}

int trojan_key_of_password(const char *password, size_t len, uint8_t key[TROJAN_KEY_LEN])
{
	return hash(HASH_SHA224, password, len, key);
}
