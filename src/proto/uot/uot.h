/* uot.h - UDP over TCP as sing-box has it: a request to a name that nobody owns, then packets
 * (docs/protocols/udp.md, section 3).  Carried by any protocol whose requests name a destination.
 *
 * Version 1 begins with the packets.  Version 2 says first whether all of them are for one
 * destination.
 */
#ifndef WEIR_PROTO_UOT_H
#define WEIR_PROTO_UOT_H

#include "net/dest.h"
#include "stream/framed.h"

enum uot_version {
	UOT_NONE,
	UOT_V1,
	UOT_V2,
};

#define UOT_REQUEST_MAX (1 + 1 + 1 + 255 + 2)

/* Which of them is asked for; the names are matched exactly, the port is anything. */
enum uot_version uot_version_of(const struct dest *d);
void uot_dest(enum uot_version v, struct dest *out);

/* What version 2 says first. */
struct uot_request {
	bool connect;	  /* all packets are for `dest`; else it is a hint */
	struct dest dest; /* DEST_NONE: an unspecified one */
};

MUST_CHECK int uot_request_parse(struct rd *in, struct uot_request *out);
void uot_request_emit(struct wr *w, const struct uot_request *r);

extern const struct framing uot_framing;	 /* every packet has its address */
extern const struct framing uot_connect_framing; /* none has */

#endif
