/* inbound.h - what a node listens with: everything that one configuration of it needs.
 *
 * Built by control from the local file and the panel's answer, immutable from then on.  It is
 * called a generation where several of one node are alive: the newest serves new connections, older
 * ones their sessions (seat.h).
 *
 * Threads: building and references by control; reading by all.
 */
#ifndef WEIR_NODE_INBOUND_H
#define WEIR_NODE_INBOUND_H

#include "net/listener.h"
#include "node/config.h"
#include "node/info.h"
#include "node/workers.h"
#include "proto/direct/direct.h"
#include "proto/proto.h"
#include "session/session.h"
#include "tls/reality.h"
#include "tls/server.h"
#include "transport/httpobfs/httpobfs.h"
#include "user/registry.h"

#define INBOUND_LISTEN_MAX 8
#define INBOUND_FDS	   (2 * INBOUND_LISTEN_MAX) /* for TCP, then for UDP */
#define INBOUND_WHY_MAX	   256

/* What an address of it is for.  UDP only where the cipher has it. */
enum inbound_kind {
	INBOUND_FULL,
	INBOUND_TCP,
	INBOUND_UDP,
};

struct inbound_plugin;

struct inbound {
	const struct proto *proto;
	void *conf;   /* the protocol's own settings; NULL: it has none */
	void *memory; /* the node's (struct proto) */
	struct addr listen[INBOUND_LISTEN_MAX];
	uint8_t kind[INBOUND_LISTEN_MAX]; /* enum inbound_kind */
	unsigned nlisten;
	struct inbound_plugin *plugin; /* NULL: none */
	bool partial; /* lacks what a plugin still holds: to be built again when that has gone */
	/* Nobody knows where connections and packets really come from: a plugin is before us. */
	bool hidden_tcp, hidden_udp;
	struct listener_conf listener;
	struct tls_server_conf *tls;	     /* NULL: in clear */
	struct reality_conf *reality;	     /* NULL: none */
	struct half_open_sources *strangers; /* where REALITY; NULL: not counted */
	unsigned strangers_max;		     /* on each worker; 0: no limit */
	struct throttle_rule throttle[2];    /* of REALITY's strangers, by enum relay_dir */
	struct httpobfs_conf *obfs;	     /* NULL: none */
	struct fallback_table *fallbacks;
	struct session_times times;
	enum reject_policy reject;
	struct direct_conf direct, trusted; /* trusted: for fallbacks, which the operator named */
	struct cidr *proxies;		    /* sources whose PROXY header is believed */
	unsigned nproxies;
	bool proxy_protocol;
	uint8_t singmux;  /* enum proto_singmux */
	struct rate *cap; /* the node's, for all of its inbounds */
	unsigned workers; /* that have it */
	/* control only: the node's as what is served, as what the keys were made for and as what a plugin
	 * was started for, and one for each seat that has it */
	unsigned refs;
};

/* What an inbound is built from. */
struct inbound_plan {
	const struct config *file;
	const struct config_node *conf;
	const struct node_info *info;
	const uint8_t *ticket_key; /* TLS_TICKET_KEY_LEN bytes, the same for all generations */
	void *memory;		   /* what the protocol remembers, likewise; outlives the inbound */
	unsigned workers;
	struct rate *cap;  /* NodeSpeedLimit; NULL: none */
	struct addr inner; /* where Shadowsocks is behind a plugin; len 0: nowhere yet */
	const struct inbound_plugin *held; /* that runs now; NULL: none */
};

/* 0, or an error with a sentence in `why`: -ERR_UNSUPPORTED and -ERR_CONFIG are permanent. */
MUST_CHECK int inbound_build(const struct inbound_plan *plan, struct inbound **out,
			     char why[INBOUND_WHY_MAX]);

/* The protocol; NULL with a sentence in `why`: not in this build. */
const struct proto *inbound_type(const struct node_info *info, char why[INBOUND_WHY_MAX]);

/* For who takes part in the building, with a sentence: not in this build; and what can never be. */
#define inbound_refuse(why, ...) err_say(-ERR_UNSUPPORTED, why, INBOUND_WHY_MAX, __VA_ARGS__)
#define inbound_wrong(why, ...)	 err_say(-ERR_CONFIG, why, INBOUND_WHY_MAX, __VA_ARGS__)

void inbound_put(struct inbound *in);		/* NULL is fine */
bool inbound_has_udp(const struct inbound *in); /* sockets beside the listeners */
bool inbound_serves(const struct inbound *in, enum inbound_kind row, bool udp);

/* LimitConfig, with what the panel sent along where the file is silent. */
void inbound_user_rules(const struct config_node *conf, const struct node_info *info,
			struct user_rules *out);

#endif
