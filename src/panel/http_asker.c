/* What both node APIs do with the node that asks. */
#include <errno.h>

#include "panel/http.h"

void request_from_node(struct request *req, struct roster_node *(*who)(struct request *req),
		       void (*check)(struct request *req, const struct roster_node *n))
{
	struct panel *p = req->panel;
	struct roster_node *n;
	int err;

	pthread_mutex_lock(&p->read_lock);
	err = roster_nodes(&p->roster);
	if (err) {
		request_fail(req, err);
	} else if ((n = who(req))) {
		req->node = n->node.id;
		n->memory.last_seen = wall_now();
		if (node_over_rate(&n->memory, p->conf.rate_per_s, mono_now()))
			request_refuse_with(req, 429, "Retry-After", "1",
					    "more than %u requests in a second",
					    p->conf.rate_per_s);
		else
			check(req, n);
	}
	pthread_mutex_unlock(&p->read_lock);
}

void request_answer_node(struct request *req, int (*make)(struct roster *r, struct roster_node *n,
							  struct resource **out))
{
	struct panel *p = req->panel;
	struct resource *made;
	struct roster_node *n;
	int err;

	pthread_mutex_lock(&p->read_lock);
	n = roster_node(&p->roster, req->node);
	err = n ? make(&p->roster, n, &made) : -ENOENT;
	if (err)
		request_fail(req, err);
	else
		request_answer_kept(req, made);
	pthread_mutex_unlock(&p->read_lock);
}
