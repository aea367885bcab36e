#include "net/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

struct addr addr_from_ip4(const void *ip, uint16_t port)
{
	struct addr a = {.len = sizeof(a.in)};

	a.in.sin_family = AF_INET;
	a.in.sin_port = htons(port);
	memcpy(&a.in.sin_addr, ip, 4);
	return a;
}

struct addr addr_from_ip6(const void *ip, uint16_t port)
{
	struct addr a = {.len = sizeof(a.in6)};

	a.in6.sin6_family = AF_INET6;
	a.in6.sin6_port = htons(port);
	memcpy(&a.in6.sin6_addr, ip, 16);
	return a;
}

int addr_parse_ip(struct addr *a, const char *text, uint16_t port)
{
	char bare[INET6_ADDRSTRLEN];
	size_t len = strlen(text);
	uint8_t ip[16];

	if (inet_pton(AF_INET, text, ip) == 1) {
		*a = addr_from_ip4(ip, port);
		return 0;
	}
	if (len > 2 && text[0] == '[' && text[len - 1] == ']' && len - 2 < sizeof(bare)) {
		memcpy(bare, text + 1, len - 2);
		bare[len - 2] = '\0';
		text = bare;
	}
	if (inet_pton(AF_INET6, text, ip) != 1)
		return -ERR_MALFORMED;
	*a = addr_from_ip6(ip, port);
	return 0;
}

int addr_parse_port(const char *text, uint16_t *port)
{
	unsigned v = 0;
	size_t n = 0;

	for (; text[n] >= '0' && text[n] <= '9' && n < 6; n++)
		v = v * 10 + (unsigned)(text[n] - '0');
	if (n == 0 || n > 5 || text[n] != '\0' || v > UINT16_MAX)
		return -ERR_MALFORMED;
	*port = (uint16_t)v;
	return 0;
}

int addr_parse(struct addr *a, const char *text)
{
	const char *colon = strrchr(text, ':');
	char host[ADDR_TEXT_MAX];
	uint16_t port;
	size_t len;

	if (!colon || addr_parse_port(colon + 1, &port))
		return -ERR_MALFORMED;
	len = (size_t)(colon - text);
	if (len == 0 || len >= sizeof(host))
		return -ERR_MALFORMED;
	memcpy(host, text, len);
	host[len] = '\0';
	/* Without brackets the last colon of an IPv6 address would pass for the port's. */
	if (strchr(host, ':') && host[0] != '[')
		return -ERR_MALFORMED;
	return addr_parse_ip(a, host, port);
}

const char *addr_format_ip(const struct addr *a, char *out)
{
	const char *text = NULL;

	if (a->len && a->sa.sa_family == AF_INET)
		text = inet_ntop(AF_INET, &a->in.sin_addr, out, ADDR_TEXT_MAX);
	else if (a->len && a->sa.sa_family == AF_INET6)
		text = inet_ntop(AF_INET6, &a->in6.sin6_addr, out, ADDR_TEXT_MAX);
	return text ? text : memcpy(out, "-", 2);
}

const char *addr_format(const struct addr *a, char *out)
{
	char ip[ADDR_TEXT_MAX];
	bool v6 = a->len && a->sa.sa_family == AF_INET6;

	addr_format_ip(a, ip);
	if (a->len == 0)
		return memcpy(out, "-", 2);
	snprintf(out, ADDR_TEXT_MAX, v6 ? "[%.46s]:%u" : "%.46s:%u", ip, addr_port(a));
	return out;
}

uint16_t addr_port(const struct addr *a)
{
	if (a->len == 0)
		return 0;
	return ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
}

void addr_set_port(struct addr *a, uint16_t port)
{
	if (a->len == 0)
		return;
	if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = htons(port);
	else
		a->in.sin_port = htons(port);
}

void addr_ip16(const struct addr *a, uint8_t out[16])
{
	if (a->len == 0) {
		memset(out, 0, 16);
	} else if (a->sa.sa_family == AF_INET6) {
		memcpy(out, &a->in6.sin6_addr, 16);
	} else {
		memcpy(out, v4_mapped, 12);
		memcpy(out + 12, &a->in.sin_addr, 4);
	}
}

static bool is_mapped(const uint8_t ip[16])
{
	return memcmp(ip, v4_mapped, 12) == 0;
}

bool ip16_same_device(const uint8_t a[16], const uint8_t b[16])
{
	return memcmp(a, b, is_mapped(a) || is_mapped(b) ? 16 : 8) == 0;
}

struct addr addr_unmap(const struct addr *a)
{
	uint8_t ip[16];

	if (a->len == 0 || a->sa.sa_family != AF_INET6)
		return *a;
	addr_ip16(a, ip);
	if (memcmp(ip, v4_mapped, 12) != 0)
		return *a;
	return addr_from_ip4(ip + 12, addr_port(a));
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	uint8_t x[16], y[16];

	if (!a->len || !b->len)
		return a->len == b->len;
	addr_ip16(a, x);
	addr_ip16(b, y);
	return memcmp(x, y, 16) == 0 && addr_port(a) == addr_port(b);
}

/* ---- what is not the public Internet ----------------------------------------------------- */

struct ip4_net {
	uint8_t ip[4];
	uint8_t bits;
};

/* IANA IPv4 Special-Purpose Address Registry, plus multicast and the former class E. */
static const struct ip4_net not_public4[] = {
	{{0}, 8},
	{{10}, 8},
	{{100, 64}, 10},
	{{127}, 8},
	{{169, 254}, 16},
	{{172, 16}, 12},
	{{192, 0, 0}, 24},
	{{192, 0, 2}, 24},
	{{192, 88, 99}, 24},
	{{192, 168}, 16},
	{{198, 18}, 15},
	{{198, 51, 100}, 24},
	{{203, 0, 113}, 24},
	{{224}, 4},
	{{240}, 4},
};

struct ip6_net {
	uint8_t ip[6];
	uint8_t bits;
};

/* Within 2000::/3, the only part of IPv6 that is handed out; the rest is refused as a whole. */
static const struct ip6_net not_public6[] = {
	{{0x20, 0x01, 0x00, 0x00}, 32},		    /* Teredo: an IPv4 address, disguised */
	{{0x20, 0x01, 0x00, 0x02, 0x00, 0x00}, 48}, /* benchmarks */
	{{0x20, 0x01, 0x00, 0x10}, 28},		    /* ORCHID */
	{{0x20, 0x01, 0x0d, 0xb8}, 32},		    /* documentation */
	{{0x3f, 0xff, 0x00}, 20},		    /* documentation */
};

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

static bool private4(const uint8_t *ip)
{
	for (size_t i = 0; i < ARRAY_LEN(not_public4); i++) {
		if (bits_equal(ip, not_public4[i].ip, not_public4[i].bits))
			return true;
	}
	return false;
}

static bool private6(const uint8_t *ip)
{
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	static const uint8_t global = 0x20, sixtofour[2] = {0x20, 0x02};

	if (memcmp(ip, v4_mapped, 12) == 0 || memcmp(ip, nat64, 12) == 0)
		return private4(ip + 12);
	if (memcmp(ip, sixtofour, 2) == 0)
		return private4(ip + 2);
	if (!bits_equal(ip, &global, 3))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(not_public6); i++) {
		if (bits_equal(ip, not_public6[i].ip, not_public6[i].bits))
			return true;
	}
	return false;
}

bool addr_is_private(const struct addr *a)
{
	uint8_t ip[16];

	if (a->len == 0)
		return true;
	addr_ip16(a, ip);
	return private6(ip);
}

/* ---- CIDR -------------------------------------------------------------------------------- */

int cidr_parse(struct cidr *c, const char *text)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char host[ADDR_TEXT_MAX];
	uint16_t bits, max;
	struct addr a;

	if (len >= sizeof(host))
		return -ERR_MALFORMED;
	memcpy(host, text, len);
	host[len] = '\0';
	if (addr_parse_ip(&a, host, 0))
		return -ERR_MALFORMED;
	bits = max = a.sa.sa_family == AF_INET ? 32 : 128;
	if (slash && (addr_parse_port(slash + 1, &bits) || bits > max))
		return -ERR_MALFORMED;
	addr_ip16(&a, c->ip);
	c->bits = (uint8_t)(bits + 128 - max);
	return 0;
}

bool cidr_match(const struct cidr *c, const struct addr *a)
{
	uint8_t ip[16];

	if (a->len == 0)
		return false;
	addr_ip16(a, ip);
	return bits_equal(c->ip, ip, c->bits);
}
