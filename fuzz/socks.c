/* SOCKS5 greetings, requests and datagram headers. */
#include "proto/socks/socks_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd r = rd_of(data, len);
	struct dest d;
	uint8_t cmd;
	bool ok;

	(void)!socks_greeting_parse(&r, &ok);
	r = rd_of(data, len);
	(void)!socks_request_parse(&r, &cmd, &d);
	r = rd_of(data, len);
	(void)!socks_udp_parse(&r, &d);
	return 0;
}
