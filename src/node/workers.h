/* workers.h - the data plane's threads, and how control speaks to all of them.
 *
 * Threads: everything by control, but for what runs inside workers_each()'s `fn`.
 */
#ifndef WEIR_NODE_WORKERS_H
#define WEIR_NODE_WORKERS_H

#include "dns/dns.h"
#include "event/file_watch.h"
#include "event/worker.h"
#include "net/own_addr.h"
#include "user/user.h"

struct node_worker {
	struct worker thread;
	struct loop *loop;
	unsigned index;
	struct timer quiet;	/* after a burst: give memory back */
	uint64_t moves;		/* connections that came, and that went */
	uint64_t seen, trimmed; /* of them at the last look, at the last giving back */
	bool full;		/* as node_worker_full() found it */
	struct user_worker users;
	struct dns *dns;
	struct loop *control;
	const struct own_addr *own; /* the set's */
};

struct workers {
	struct loop *control;
	_Atomic uint64_t budget; /* in bytes; 0: none */
	struct timer refresh;	 /* of `own`, and a look at resolv.conf */
	struct file_watch resolv;
	uint64_t resolv_stamp; /* of the file as it was read last */
	struct node_worker *v;
	unsigned n;
	struct own_addr own; /* this host's addresses: what users must not reach through us */
};

/* `counters` are the nodes' (NULL: there are none); ports bring their own.  0, or -errno with nothing
 * running.
 */
MUST_CHECK int workers_start(struct workers *ws, struct loop *control, unsigned n,
			     const struct counters *counters);

/* Bytes for what the connections of all of them hold; 0: no limit, as at the start.  0 or -ENOMEM.
 */
MUST_CHECK int workers_set_budget(struct workers *ws, uint64_t budget);

/* Ends the threads.  Whatever lives on them must be gone by then. */
void workers_stop(struct workers *ws);

/* Read resolv.conf again, if it is not as it was or with `always`.  They do so on their own when it
 * changes; a file that is mounted over by another is seen within a minute.
 */
void workers_reread_resolv(struct workers *ws, bool always);

/* On the worker: nine tenths of its budget are out, or have been and three quarters still are.
 * Nobody new is let in then.
 */
bool node_worker_full(struct node_worker *w);

/* Run `fn` on every worker, then `done` (may be NULL) on control.  0 or -ENOMEM with nothing begun.
 */
MUST_CHECK int workers_each(struct workers *ws, void (*fn)(struct node_worker *w, void *arg),
			    void (*done)(void *arg), void *arg);

/* The same in two steps, for what must not fail any more when its time has come.  Not sent, it is
 * freed; NULL is fine.
 */
struct workers_call *workers_call_new(struct workers *ws,
				      void (*fn)(struct node_worker *w, void *arg),
				      void (*done)(void *arg), void *arg);
void workers_call_send(struct workers_call *c);
void workers_call_free(struct workers_call *c);

#endif
