/* profile.h - one Shadowsocks server, as whoever wants it describes it: what `add` of the manager
 * protocol, a configuration file and a YaSSP panel say about a port.
 *
 * One block of memory that owns its texts; immutable once made, so that it may be kept and compared.
 * Two profiles that mean the same compare equal, whatever notation they came in: adding what runs
 * already is then no change at all.
 *
 * Threads: made and freed by control; read by all.
 */
#ifndef WEIR_MANAGER_PROFILE_H
#define WEIR_MANAGER_PROFILE_H

#include "base/json_value.h"

#define PROFILE_WHY_MAX	     256
#define PROFILE_PASSWORD_MAX 4096
#define PROFILE_OPTIONS_MAX  8192 /* of plugin_opts */
#define PROFILE_METHOD	     "chacha20-ietf-poly1305"

enum profile_net { /* bits */
		   PROFILE_TCP = 1,
		   PROFILE_UDP = 2,
		   PROFILE_BOTH = PROFILE_TCP | PROFILE_UDP,
};

struct profile_user { /* of a 2022 method: one of several on the port */
	const char *name;
	const char *key; /* base64, as given */
};

struct profile {
	uint16_t port;	     /* who it is: there is one server per port */
	uint8_t mode;	     /* enum profile_net */
	uint8_t plugin_mode; /* enum profile_net: what goes through the plugin */
	bool fast_open, no_delay;
	uint32_t timeout_s;		  /* idle connections; 0: the runner's default */
	const char *method, *password;	  /* method in lower case */
	const char *plugin, *plugin_opts; /* NULL: none; opts is NULL without a plugin */
	struct json_list plugin_args;
	struct json_list listen; /* addresses; empty: the runner's default */
	const struct profile_user *users;
	size_t nusers;
	/* Members that we do not know, as a compact JSON object ("{}": none): other servers may. */
	const char *extra;
};

/* How a notation is read. */
struct profile_rules {
	/* Values for members that are absent; its port, password and users are not looked at.  NULL:
	 * TCP and UDP, chacha20-ietf-poly1305, the runner's timeout, no fast open, no plugin.
	 */
	const struct profile *defaults;
	bool own_listen; /* `server` is honoured, not ignored */
	bool own_args;	 /* `plugin_args` too: from local files only */
	bool own_env;	 /* "${NAME}" as a password is the environment's: local files only */
	bool need_method;
	/* May this plugin be started for whoever sent this?  NULL: yes. */
	bool (*plugin_allowed)(void *arg, const char *plugin);
	void *plugin_arg;
	/* A member that is not done as written.  May be NULL. */
	void (*warn)(void *arg, const char *what);
	void *warn_arg;
};

/* From a JSON object: `server_port` or `port`, `password`, and any of the rest.  -ERR_CONFIG with a
 * sentence in `why` that holds no secret; -ENOMEM.  *out is the caller's to free.
 */
MUST_CHECK int profile_read(const struct json_value *object, const struct profile_rules *rules,
			    struct profile **out, char why[PROFILE_WHY_MAX]);

/* A copy of what any caller has put together, texts included; NULL texts are filled in ("" or the
 * default).  NULL: no memory.
 */
struct profile *profile_new(const struct profile *from);
void profile_free(struct profile *p); /* overwrites the password */

bool profile_equal(const struct profile *a, const struct profile *b);

/* The port keeps its name but another secret opens it: for those whose accounts end with that. */
bool profile_same_secret(const struct profile *a, const struct profile *b);

/* "tcp_only", "udp_only", "tcp_and_udp". */
const char *profile_net_name(unsigned net);
MUST_CHECK int profile_net_parse(const char *text, unsigned *out); /* 0 or -ERR_CONFIG */

/* The members that say all of it, without braces: "server_port":1,"password":... For lists and state
 * files.  Port as text with `quoted_port`.  malloc()ed; NULL: no memory.
 */
char *profile_members(const struct profile *p, bool quoted_port);

#endif
