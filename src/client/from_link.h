/* from_link.h - what a share link, or an outbound written as Xray writes it, says about reaching a
 * server: the configuration of an outbound.
 */
#ifndef WEIR_CLIENT_FROM_LINK_H
#define WEIR_CLIENT_FROM_LINK_H

#include "base/json_value.h"
#include "client/outbound.h"
#include "node/share_link.h"

#define FROM_LINK_WHY  256
#define FROM_LINK_PINS 4

/* Beside the link: what links have no word for. */
struct link_trust {
	uint8_t pins[FROM_LINK_PINS][32]; /* SHA-256 of certificates to believe */
	size_t npins;
	const char *ca_file; /* NULL: the system's roots */
	bool insecure;	     /* believe anybody */
	struct outbound_mux mux;
};

/* 64 hexadecimal digits, colons allowed between bytes.  0, -ERR_MALFORMED, -ENOBUFS. */
MUST_CHECK int link_trust_add_pin(struct link_trust *t, const char *text);

/* The outbound's configuration; outbound_conf_done() lets go of it.  0, or an error with a sentence
 * in `why`.
 */
MUST_CHECK int outbound_conf_of_link(const struct share_link *link, const struct link_trust *trust,
				     struct outbound_conf *out, char why[FROM_LINK_WHY]);
void outbound_conf_done(struct outbound_conf *c);

/* In outbound_ss.c.  Is this plugin of a link ("obfs-local;obfs=http") one that needs no program? */
bool link_plugin_is_built_in(const char *plugin);

/* Is it one of those that a link, which may come from anybody, may have run?  Any other name could be that
 * of a program which does harm without arguments.
 */
bool link_plugin_is_known(const char *plugin);

/* Are its options such as a link may give?  Of a program that is known to run, those that we know to reach
 * beyond the connection that SIP003 asks for are refused.  0, -ERR_CONFIG with a sentence.
 */
MUST_CHECK int link_plugin_check_options(const char *plugin, char why[FROM_LINK_WHY]);

/* In from_xray.c: an Xray outbound object into the same; the link's texts live in `mem`. */
MUST_CHECK int link_of_xray(const struct json_value *outbound, struct arena *mem,
			    struct share_link *link, struct link_trust *trust,
			    char why[FROM_LINK_WHY]);

#endif
