/* mux_rig.h - a pool of client multiplexers, and behind each of its carriers the server of the same, which
 * sends back what comes: for the tests of clients.
 */
#ifndef WEIR_TESTS_MUX_RIG_H
#define WEIR_TESTS_MUX_RIG_H

#include "hostile.h"
#include "stream/mux_pool.h"

#define RIG_CARRIERS 16
#define RIG_SERVED   96

struct rig_kind {
	const struct mux_client_kind *client;
	const struct mux_kind *server;
	bool padding, whole_end;
};

/* Each of the four, and two of them padded. */
#define RIG_KINDS 6
extern const struct rig_kind rig_kinds[RIG_KINDS];

struct rig;

struct rig_served {
	struct rig *rig;
	struct stream *s;
	struct dgram *d; /* or packets */
	struct waiter w;
	struct bufq q;
	char to[DEST_TEXT_MAX];
	bool open, eof, shut, over;
};

struct rig_end {
	struct rig *rig;
	struct sink sink;
	struct mux *mux;    /* NULL: it serves nothing */
	struct stream *raw; /* below it, as long as nothing has been freed */
	bool ours;	    /* `raw` is nobody else's */
};

struct rig {
	struct loop *l;
	const struct rig_kind *kind;
	struct mux_pool_conf conf;
	struct mux_pool pool;
	struct rig_end ends[RIG_CARRIERS];
	struct rig_served served[RIG_SERVED];
	unsigned nends, nserved;
	/* set before a carrier is asked for */
	bool dribbles; /* and has little room */
	bool deaf;     /* nobody serves it */
	bool wrong;    /* it cannot be opened: -ERR_MALFORMED */
};

/* On `l`, of the kind by its number; `streams` per carrier. */
void rig_init(struct rig *r, struct loop *l, size_t kind, unsigned streams);
void rig_stop(struct rig *r); /* the pool, too; idempotent */

/* A stream to 192.0.2.1, that port. */
struct stream *rig_stream(struct rig *r, uint16_t port);
/* Packets by way of the pool; `to` NULL: to nobody so far. */
struct dgram *rig_packets(struct rig *r, const char *to);
/* A deaf carrier's server after all, over `lower`, which passes. */
void rig_serve(struct rig *r, unsigned carrier, struct stream *lower);
/* The connection is cut, as by a reset. */
void rig_cut(struct rig *r, unsigned carrier);

#endif
