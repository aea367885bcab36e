#include "panel/roster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/jout.h"
#include "crypto/ct.h"
#include "crypto/hash.h"

void roster_init(struct roster *r, struct store *store)
{
	*r = (struct roster){.store = store};
}

static void nodes_free(struct roster_node *nodes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		panel_node_done(&nodes[i].node);
		resource_done(&nodes[i].config);
		resource_done(&nodes[i].profiles);
	}
	free(nodes);
}

void roster_done(struct roster *r)
{
	nodes_free(r->nodes, r->n_nodes);
	free(r->users);
	resource_done(&r->body);
}

struct roster_node *roster_node(struct roster *r, int64_t id)
{
	size_t low = 0, high = r->n_nodes;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->nodes[mid].node.id == id)
			return &r->nodes[mid];
		if (r->nodes[mid].node.id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

const struct roster_user *roster_user(const struct roster *r, int64_t id)
{
	size_t low = 0, high = r->n_users;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->users[mid].id == id)
			return &r->users[mid];
		if (r->users[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

bool roster_knows(const struct roster *r, const uint8_t digest[TOKEN_DIGEST_LEN])
{
	bool known = false;

	for (size_t i = 0; i < r->n_nodes; i++)
		known |= ct_equal(digest, r->nodes[i].digest, TOKEN_DIGEST_LEN);
	return known;
}

bool node_over_rate(struct node_memory *m, unsigned rate_per_s, nsec_t now)
{
	if (!rate_per_s)
		return false;
	if (now - m->second >= NSEC_SEC) {
		m->second = now;
		m->requests = 0;
	}
	if (m->requests >= rate_per_s)
		return true;
	m->requests++;
	return false;
}

/* The nodes while they are read. */
struct nodes_reading {
	struct roster *roster;
	struct roster_node *nodes;
	size_t n, cap;
};

static int node_keep(const struct panel_node *n, void *arg)
{
	struct nodes_reading *in = arg;
	const struct roster_node *old = roster_node(in->roster, n->id);
	struct roster_node *to;
	int err;

	to = grow(in->nodes, in->n, &in->cap, sizeof(*to));
	if (!to)
		return -ENOMEM;
	in->nodes = to;
	to += in->n;
	*to = (struct roster_node){.node = *n};
	err = hash(HASH_SHA256, n->token, strlen(n->token), to->digest);
	if (err)
		return err;
	if (old)
		to->memory = old->memory;
	json_incref(to->node.settings);
	in->n++;
	return 0;
}

int roster_nodes(struct roster *r)
{
	struct nodes_reading in = {.roster = r};
	struct store_gen gen;
	int err = store_gen(r->store, &gen);

	if (err || gen.nodes == r->nodes_gen.nodes)
		return err;
	/* The generation is read first: a change that comes in between is seen next time. */
	err = store_nodes(r->store, 0, 0, node_keep, &in);
	if (err) {
		nodes_free(in.nodes, in.n);
		return err;
	}
	nodes_free(r->nodes, r->n_nodes);
	r->nodes = in.nodes;
	r->n_nodes = in.n;
	r->nodes_gen = gen;
	return 0;
}

/* The users while they are read. */
struct users_reading {
	struct roster_user *users;
	size_t n, cap;
	struct jout body;
	int64_t now, turns;
	bool any, usage;
};

static void user_emit(struct jout *j, const struct panel_user *u, bool usage)
{
	jout_str(j, "{\"id\":");
	jout_int(j, u->id);
	jout_str(j, ",\"uuid\":");
	jout_quoted(j, u->credential);
	jout_str(j, ",\"speed_limit\":");
	jout_real(j, u->speed_mbps);
	jout_str(j, ",\"device_limit\":");
	jout_int(j, u->device_limit);
	jout_str(j, ",\"conn_limit\":");
	jout_int(j, u->conn_limit);
	if (usage) {
		jout_str(j, ",\"u\":");
		jout_int(j, u->up);
		jout_str(j, ",\"d\":");
		jout_int(j, u->down);
		jout_str(j, ",\"transfer_enable\":");
		jout_int(j, u->quota);
	}
	jout_str(j, "}");
}

static int user_remember(struct users_reading *in, const struct panel_user *u)
{
	struct roster_user *more = grow(in->users, in->n, &in->cap, sizeof(*more));

	if (!more)
		return -ENOMEM;
	in->users = more;
	in->users[in->n++] = (struct roster_user){u->id, u->device_limit > 0};
	return 0;
}

static int user_keep(const struct panel_user *u, void *arg)
{
	struct users_reading *in = arg;

	if (panel_user_active(u, in->now)) {
		if (in->any)
			jout_str(&in->body, ",");
		in->any = true;
		user_emit(&in->body, u, in->usage);
		if (u->expire)
			in->turns = MIN(in->turns, u->expire);
	}
	if (in->usage)
		return 0;
	return user_remember(in, u);
}

static int users_read(struct roster *r, struct users_reading *in)
{
	int err;

	in->turns = INT64_MAX;
	jout_str(&in->body, "{\"users\":[");
	err = store_users(r->store, 0, 0, user_keep, in);
	jout_str(&in->body, "]}");
	if (!err && in->body.failed)
		err = -ENOMEM;
	if (err) {
		free(in->body.at);
		free(in->users);
	}
	return err;
}

int roster_users(struct roster *r, int64_t now)
{
	struct users_reading in = {.now = now};
	struct store_gen gen;
	int err = store_gen(r->store, &gen);

	/* A clock that was set back may give somebody time again. */
	if (err || (gen.users == r->users_gen.users && now >= r->built && now <= r->turns))
		return err;
	err = users_read(r, &in);
	if (err)
		return err;
	err = resource_set(&r->body, in.body.at, in.body.len, 0);
	if (err) {
		free(in.users);
		return err;
	}
	free(r->users);
	r->users = in.users;
	r->n_users = in.n;
	r->users_gen = gen;
	r->built = now;
	r->turns = in.turns;
	return 0;
}

int roster_usage(struct roster *r, int64_t now, char **body, size_t *len)
{
	struct users_reading in = {.now = now, .usage = true};
	int err = users_read(r, &in);

	if (err)
		return err;
	*body = in.body.at;
	*len = in.body.len;
	return 0;
}
