/* command.h - the words of the Shadowsocks manager protocol (docs/protocols/ss-manager.md): what comes
 * in a datagram, and the texts that go back.  Pure.
 *
 *     ping
 *     add: {"server_port":8001,"password":"7cd308cc059"}
 *     list quiet
 *     stat: {"8001":11370}
 */
#ifndef WEIR_MANAGER_COMMAND_H
#define WEIR_MANAGER_COMMAND_H

#include "base/json_value.h"

struct profile;
struct jout;

enum command_word {
	COMMAND_UNKNOWN, /* gets no reply */
	COMMAND_ADD,
	COMMAND_REMOVE,
	COMMAND_LIST,
	COMMAND_PING,
	COMMAND_STAT,
};

struct command {
	enum command_word word;
	bool quiet;	  /* it asks for its answer alone, and for no report */
	const char *json; /* from the first '{' on; NULL: there is none */
	size_t len;
};

/* Blanks around it, a newline and a NUL at its end do not matter; words are in lower case.  "quiet" behind
 * the word is ours: other managers read over it, or give no answer.
 */
void command_parse(const char *text, size_t len, struct command *out);

/* The object; what stands behind it is not looked at.  0, -ERR_MALFORMED, -ERR_MORE (cut short, or none
 * at all), -ERR_TOO_BIG, -ENOMEM.
 */
MUST_CHECK int command_object(const struct command *c, struct arena *a,
			      const struct json_value **out);

/* ---- stat ------------------------------------------------------------------------------------ */

#define STAT_PORTS_MAX 50 /* of one message; clients read 1506 bytes at most */
#define STAT_BYTES_MAX 1400

struct stat_port {
	uint16_t port;
	uint64_t bytes;
};

/* One message of as many as fit, at least one; *len without a NUL.  Returns how many. */
size_t stat_emit(const struct stat_port *v, size_t n, char out[STAT_BYTES_MAX], size_t *len);

/* Each member of the object of a stat command that is port and number, or number in text. */
void stat_each(const struct json_value *object,
	       void (*each)(void *arg, uint16_t port, uint64_t bytes), void *arg);

/* ---- list ------------------------------------------------------------------------------------ */

#define LISTING_MAX 32768

/* How the two families of servers write it; clients tell them apart by the first bytes. */
enum listing_form {
	LISTING_COMPACT, /* [{"server_port":8001,... */
	LISTING_TABBED,	 /* [, newline, tab, ports as text: libev */
};

/* The list so far, with one more.  False: it would be too long; send what there is, begin anew. */
bool listing_add(struct jout *j, enum listing_form form, const struct profile *p);
void listing_end(struct jout *j, enum listing_form form); /* also of an empty one: "[]" */

#endif
