#include <string.h>

#include "proto/client.h"
#include "proto/trojan/trojan.h"
#include "proto/trojan/trojan_udp.h"

static struct stream *start(struct stream *lower, const uint8_t key[TROJAN_KEY_LEN], uint8_t cmd,
			    const struct dest *dest)
{
	struct trojan_request req = {.cmd = cmd};
	uint8_t mem[TROJAN_REQ_MAX];
	struct wr w = wr_of(mem, sizeof(mem));

	memcpy(req.key, key, sizeof(req.key));
	dest_copy(&req.dest, dest);
	trojan_request_emit(&w, &req);
	return client_stream_new(lower, mem, w.len, NULL);
}

struct stream *trojan_client_new(struct stream *lower, const uint8_t key[TROJAN_KEY_LEN],
				 const struct dest *dest)
{
	return start(lower, key, TROJAN_CONNECT, dest);
}

struct dgram *trojan_client_udp(struct stream *lower, const uint8_t key[TROJAN_KEY_LEN],
				const struct dest *first)
{
	struct stream *s = start(lower, key, TROJAN_UDP, first);

	return s ? framed_new(s, &trojan_framing, true, NULL, NULL) : NULL;
}
