/* addr.h - an IP address with a port: what the kernel connects to and accepts from.
 *
 * IPv4 and IPv6 only; unix sockets have paths and live in dest.h.  A v4-mapped IPv6 address is kept
 * as it came; addr_unmap() makes it IPv4.
 */
#ifndef WEIR_NET_ADDR_H
#define WEIR_NET_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/base.h"

#define ADDR_TEXT_MAX 64 /* "[…]:65535" and its NUL */

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len; /* 0: no address */
};

/* From 4 or 16 bytes in network order. */
struct addr addr_from_ip4(const void *ip, uint16_t port);
struct addr addr_from_ip6(const void *ip, uint16_t port);

/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]"; no port, no zone.  0 or -ERR_MALFORMED. */
MUST_CHECK int addr_parse_ip(struct addr *a, const char *text, uint16_t port);

/* "192.0.2.1:443", "[::1]:443". */
MUST_CHECK int addr_parse(struct addr *a, const char *text);

/* Decimal digits alone, 0..65535.  0 or -ERR_MALFORMED. */
MUST_CHECK int addr_parse_port(const char *text, uint16_t *port);

/* Text into `out` (ADDR_TEXT_MAX), which is returned: with port, or the bare IP (RFC 5952). */
const char *addr_format(const struct addr *a, char *out);
const char *addr_format_ip(const struct addr *a, char *out);

uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
struct addr addr_unmap(const struct addr *a);
bool addr_equal(const struct addr *a, const struct addr *b); /* with port; v4-mapped equals v4 */

/* The 16 bytes of the address: IPv4 as v4-mapped. */
void addr_ip16(const struct addr *a, uint8_t out[16]);
/* What users' rules take for one device: IPv4 by its address, IPv6 by its /64 (rule D1). */
bool ip16_same_device(const uint8_t a[16], const uint8_t b[16]);

/* What `direct` refuses unless the configuration allows it: unspecified, loopback, private, CGNAT,
 * link-local, unique-local, multicast, reserved, and IPv6 forms that embed such IPv4 ones
 * (v4-mapped, NAT64 64:ff9b::/96, 6to4).  "This host's own addresses" is a table: see own_addr.h.
 */
bool addr_is_private(const struct addr *a);

/* CIDR: "10.0.0.0/8", "::1" (whole address).  A v4 prefix matches v4-mapped addresses. */
struct cidr {
	uint8_t ip[16]; /* v4 as v4-mapped */
	uint8_t bits;	/* 0..128, v4 prefixes count 96 more */
};
MUST_CHECK int cidr_parse(struct cidr *c, const char *text);
bool cidr_match(const struct cidr *c, const struct addr *a);

#endif
