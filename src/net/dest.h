/* dest.h - where somebody wants to go: an IP or a name, with a port.
 *
 * A struct dest is a value of fixed size, for stacks and packets; what lives long is a dest_dup(),
 * which holds only the bytes it needs and is released with free().
 */
#ifndef WEIR_NET_DEST_H
#define WEIR_NET_DEST_H

#include "base/base.h"
#include "base/rd.h"
#include "base/wr.h"
#include "net/addr.h"

#define DEST_NAME_MAX 255
#define DEST_TEXT_MAX (DEST_NAME_MAX + 10)

enum dest_type {
	DEST_NONE,
	DEST_IP4,
	DEST_IP6,
	DEST_NAME, /* made of what dest_set_name() allows, never an IP literal */
};

struct dest {
	uint16_t port;
	uint8_t type;			  /* enum dest_type */
	uint8_t len;			  /* bytes used: 4, 16 or the length of the name */
	uint8_t bytes[DEST_NAME_MAX + 1]; /* a name is NUL-terminated */
};

void dest_set_addr(struct dest *d, const struct addr *a); /* v4-mapped becomes IPv4 */

/* A host name: letters, digits, '-', '.', '_', 1..255 bytes; a text that is an IP literal becomes
 * that IP.  0 or -ERR_MALFORMED.
 */
MUST_CHECK int dest_set_name(struct dest *d, const void *name, size_t len, uint16_t port);

/* "host:port", "[v6]:port". */
MUST_CHECK int dest_parse(struct dest *d, const char *text);
const char *dest_format(const struct dest *d, char *out); /* DEST_TEXT_MAX bytes; returned */

/* The address of an IP destination; -ERR_NO_ADDRESS for a name. */
MUST_CHECK int dest_addr(const struct dest *d, struct addr *out);
bool dest_equal(const struct dest *a, const struct dest *b); /* names: case does not matter */
struct dest *dest_dup(const struct dest *d);		     /* NULL: no memory */
void dest_copy(struct dest *to, const struct dest *from);    /* from may be a dest_dup() */

/* Wire forms.  `parse` reads type, address, port in the order the family of protocols uses. */
enum dest_order {
	DEST_SOCKS, /* type (1 IPv4, 3 name, 4 IPv6), address, port: SOCKS5, Trojan, Shadowsocks */
	DEST_VLESS, /* port, type (1 IPv4, 2 name, 3 IPv6), address: VLESS, VMess, mux.cool */
};
/* A name that is an IP literal comes out as that IP.  An empty name, or a byte that no name has, is
 * -ERR_MALFORMED at that byte.  *out is written only when all is well; DEST_NONE cannot be written
 * (-EINVAL).
 */
void rd_dest(struct rd *r, enum dest_order order, struct dest *out);
void wr_dest(struct wr *w, enum dest_order order, const struct dest *d);

#endif
