/* trojan_wire.h - the Trojan messages, both roles, pure (docs/protocols/trojan.md). */
#ifndef WEIR_PROTO_TROJAN_WIRE_H
#define WEIR_PROTO_TROJAN_WIRE_H

#include "base/base.h"
#include "base/rd.h"
#include "base/wr.h"
#include "net/dest.h"

#define TROJAN_KEY_LEN 28 /* SHA-224 of the password */
#define TROJAN_PREFIX  58 /* the key in hexadecimal, CR LF: enough to know whose it is */
#define TROJAN_REQ_MAX (TROJAN_PREFIX + 1 + 1 + 1 + 255 + 2 + 2)
#define TROJAN_PKT_MAX (1 + 1 + 255 + 2 + 2 + 2) /* header of a UDP packet */
#define TROJAN_UDP_MAX 8192			 /* Xray closes on larger packets */

enum trojan_cmd {
	TROJAN_CONNECT = 1,
	TROJAN_UDP = 3,
};

struct trojan_request {
	uint8_t key[TROJAN_KEY_LEN];
	uint8_t cmd; /* enum trojan_cmd */
	struct dest dest;
};

/* Key and CR LF only. */
MUST_CHECK int trojan_prefix_parse(const struct rd *in, uint8_t key[TROJAN_KEY_LEN]);

MUST_CHECK int trojan_request_parse(struct rd *in, struct trojan_request *out);
void trojan_request_emit(struct wr *w, const struct trojan_request *req);

/* Header of one UDP packet; `*len` payload bytes follow it. */
MUST_CHECK int trojan_packet_parse(struct rd *in, struct dest *dest, size_t *len);
void trojan_packet_emit(struct wr *w, const struct dest *dest, size_t len);

MUST_CHECK int trojan_key_of_password(const char *password, size_t len,
				      uint8_t key[TROJAN_KEY_LEN]);

#endif
