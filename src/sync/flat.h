/* flat.h - the flat node description that v2sp, UniProxy panels and their successors share:
 * protocol fields with all their spellings (panel-apis A.4, B.4) into a struct node_info.
 *
 *     struct flat f = {.pick = {... places ...}, .panel = panel, .info = info};
 *     class = flat_decode(&f);
 */
#ifndef WEIR_SYNC_FLAT_H
#define WEIR_SYNC_FLAT_H

#include "sync/dialect.h"
#include "sync/pick.h"

struct flat {
	struct pick pick; /* the places to search, in order */
	const struct panel *panel;
	struct node_info *info;
	const struct json_value *options; /* the chosen entry's options (A3 rule 4), or NULL */
	const char *entry_type;		  /* the entry's NodeType, or NULL */
};

/* ANSWER_OK, or ANSWER_VALID with notes->why. */
enum answer_class flat_decode(struct flat *f);

/* Its parts.  False: notes->why says what is missing or impossible. */
bool flat_type(struct flat *f);
bool flat_port(struct flat *f);
bool flat_transport(struct flat *f);
bool flat_security(struct flat *f); /* and TLS, REALITY, names */
bool flat_protocol(struct flat *f); /* what belongs to one protocol */
void flat_routes(struct flat *f);
void flat_base(struct flat *f);	  /* intervals and thresholds */
void flat_cert(struct flat *f);	  /* cert_config */
void flat_remote(struct flat *f); /* options of the local file */

/* "443", "20000-50000", "443,20000-50000": the port to listen on and the range (0, 0: none).  0 or
 * -ERR_MALFORMED.
 */
MUST_CHECK int flat_parse_port(const char *text, uint16_t *port, uint16_t *from, uint16_t *to);

#endif
