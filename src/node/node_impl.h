/* node_impl.h - what the files of a node share: node_apply.c changes it, node.c is its life. */
#ifndef WEIR_NODE_NODE_IMPL_H
#define WEIR_NODE_NODE_IMPL_H

#include "node/node.h"

#define TAG_MAX 96

struct node {
	struct node_target target;
	struct node_world env;
	const struct config *file;
	const struct config_node *conf;
	uint8_t ticket_key[TLS_TICKET_KEY_LEN];
	uint64_t cert_stamp;
	struct timer hourly; /* what strangers have moved is said */
	uint64_t strangers_told[2];
	struct timer certs; /* look whether the files have changed */
	bool stale;	    /* what runs is not what the file says: to be built anew */
	bool looking;	    /* closing: a count of lodgers is under way... */
	bool look_again;    /* ...and workers have got messages since */
	char tag[TAG_MAX];
	enum node_state state;
	uint32_t ledger_node;
	const struct proto *proto; /* for good, once a configuration has been served */
	void *memory;		   /* what that remembers, whatever changes; NULL: nothing */
	struct user_registry *users;
	struct inbound *keyed; /* that the users' keys were made for; a reference */
	struct seat *seats;    /* one per worker */
	struct inbound *in;    /* what the seats have */
	struct node_info *info;
	size_t routes_told; /* that they are not applied: so many */
	struct addr listening[INBOUND_LISTEN_MAX];
	uint8_t kinds[INBOUND_LISTEN_MAX]; /* of these: enum inbound_kind */
	unsigned nlistening;
	struct apply *apply;	 /* under way */
	struct plugin *plugin;	 /* NULL: none runs */
	struct inbound *plugged; /* that it was started for */
	struct addr inner;	 /* where Shadowsocks was behind one last */
	struct timer retry;	 /* to start it, or to take back what it held... */
	nsec_t retry_in;	 /* ...which waits longer each time; 0: nothing is amiss */
	struct timer again;	 /* a worker could not install it: once more */
	struct timer reap;
	struct timer dynamic; /* DynamicSpeedLimitConfig: the next look */
	struct rate cap[2];   /* NodeSpeedLimit, by enum traffic_dir */
	struct timer reopen;  /* after a suspension */
	struct timer poll;    /* closing: have the sessions ended? */
	/* Of the sessions when listeners close; < 0: they stay.  The newest counts, also for a
	 * message that is still on its way to a worker. */
	_Atomic nsec_t grace;
	nsec_t close_by;
	_Atomic unsigned lodgers; /* seats that still have generations */
	void (*closed)(void *arg);
	void *closed_arg;
};

static inline struct node *node_of(struct node_target *t)
{
	return container_of(t, struct node, target);
}

static inline struct loop *node_loop(const struct node *n)
{
	return n->env.workers->control;
}

void node_set_state(struct node *n, enum node_state s);

/* ---- node_limits.c ----------------------------------------------------------------------- */

void node_limits_init(struct node *n);
void node_limits_done(struct node *n);

/* As the file has it now. */
void node_limits_set(struct node *n);

/* ---- node_plugin.c ----------------------------------------------------------------------- */

void node_plugin_init(struct node *n);

/* Start and stop, so that what runs is what is served; again whenever that has changed. */
void node_plugin_settle(struct node *n);

/* A reload is a new chance for one that has been given up; until then that is said again and again. */
void node_plugin_revive(struct node *n);
void node_plugin_report(const struct node *n);
void node_plugin_done(struct node *n); /* it is gone, or killed now */

/* ---- node_apply.c ------------------------------------------------------------------------ */

void node_apply_init(struct node *n);

/* The target's. */
int node_apply(struct node_target *t, struct node_info *info, const struct user_list *users,
	       node_applied *done, void *arg);

/* The inbound anew from what is known: another file, a renewed certificate, a panel that lets us.
 * 0 when it is under way; else nothing has changed.
 */
MUST_CHECK int node_rebuild(struct node *n);

/* Once more, if the last time something was in the way. */
void node_refresh(struct node *n);

/* The listeners are being closed: the apply under way, if there is one, opens none any more. */
void node_apply_overtaken(struct node *n);

/* What the certificate files are now, as node->cert_stamp is what they were. */
uint64_t node_cert_stamp(const struct node *n);

/* ---- node_users.c ------------------------------------------------------------------------ */

/* Settle whom nobody uses any more, again and again until that is done. */
void node_reap(struct node *n);
void node_users_done(struct node *n); /* every inbound has gone */

#endif
