/* The admin API: /admin/v1/{nodes,users,traffic,online}[/ID] (spec G.14). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/ct.h"
#include "crypto/hash.h"
#include "net/addr.h"
#include "panel/edit.h"
#include "panel/headers.h"
#include "panel/http.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX     1000
#define BULK_MAX     100000 /* users made by one request */

/* Each of these answers; NULL is a method that the collection does not have. */
struct collection {
	const char *name;
	void (*list)(struct request *req, int64_t after, size_t limit);
	void (*get)(struct request *req);
	void (*create)(struct request *req, json_t *body);
	void (*change)(struct request *req, json_t *body);
	void (*remove)(struct request *req);
};

static void writing(struct request *req)
{
	pthread_mutex_lock(&req->panel->write_lock);
}

static void written(struct request *req)
{
	pthread_mutex_unlock(&req->panel->write_lock);
}

/* A refusal by a validator, a collision, or something worse. */
static void change_failed(struct request *req, int err, const struct fault *why)
{
	if (err == -EINVAL)
		request_refuse(req, 400, "%s", why->text);
	else if (err == -EEXIST)
		request_refuse(req, 409, "the id, token or credential is already taken");
	else
		request_fail(req, err);
}

/* Lists of objects, one page each. */
struct page {
	json_t *rows;
	int64_t last;
	size_t limit;
	struct request *req;
};

static int page_add(struct page *pg, int64_t id, json_t *row)
{
	pg->last = id;
	return json_array_append_new(pg->rows, row) < 0 ? -ENOMEM : 0;
}

/* {"users":[…],"next":41}: `next` is the `after` of the next page, null on the last one. */
static void page_answer(struct page *pg, const char *name, int err)
{
	bool more = json_array_size(pg->rows) >= pg->limit;

	if (err) {
		json_decref(pg->rows);
		request_fail(pg->req, err);
		return;
	}
	request_answer_json(pg->req, 200,
			    json_pack("{s:o, s:o}", name, pg->rows, "next",
				      more ? json_integer(pg->last) : json_null()));
}

/* users */

static int user_to_page(const struct panel_user *u, void *arg)
{
	return page_add(arg, u->id, panel_user_emit(u));
}

static void users_list(struct request *req, int64_t after, size_t limit)
{
	struct panel *p = req->panel;
	struct page pg = {json_array(), 0, limit, req};
	int err;

	pthread_mutex_lock(&p->read_lock);
	err = store_users(p->reader, after, limit, user_to_page, &pg);
	pthread_mutex_unlock(&p->read_lock);
	page_answer(&pg, "users", err);
}

static void users_get(struct request *req)
{
	struct panel *p = req->panel;
	struct panel_user u;
	int err;

	pthread_mutex_lock(&p->read_lock);
	err = store_user_get(p->reader, req->id, &u);
	pthread_mutex_unlock(&p->read_lock);
	if (err)
		request_fail(req, err);
	else
		request_answer_json(req, 200, panel_user_emit(&u));
}

static void users_bulk(struct request *req, json_t *list)
{
	json_t *made = json_array();
	struct fault why;
	int err;

	if (json_array_size(list) > BULK_MAX) {
		json_decref(made);
		request_refuse(req, 413, "at most %d users at a time", BULK_MAX);
		return;
	}
	writing(req);
	err = edit_users_add(req->panel->writer, list, made, &why);
	written(req);
	if (!err) {
		request_answer_json(req, 201, json_pack("{s:o}", "users", made));
		return;
	}
	json_decref(made);
	change_failed(req, err, &why);
}

static void users_create(struct request *req, json_t *body)
{
	struct panel_user u;
	struct fault why;
	int err;

	if (json_is_array(body)) {
		users_bulk(req, body);
		return;
	}
	writing(req);
	err = edit_user_add(req->panel->writer, body, &u, &why);
	written(req);
	if (err)
		change_failed(req, err, &why);
	else
		request_answer_json(req, 201, panel_user_emit(&u));
}

static void users_change(struct request *req, json_t *body)
{
	struct panel_user u;
	struct fault why;
	int err;

	writing(req);
	err = edit_user_change(req->panel->writer, req->id, body, &u, &why);
	written(req);
	if (err)
		change_failed(req, err, &why);
	else
		request_answer_json(req, 200, panel_user_emit(&u));
}

static void removed(struct request *req, int err)
{
	if (err)
		request_fail(req, err);
	else
		request_answer(req, 204, NULL, 0);
}

static void users_remove(struct request *req)
{
	int err;

	writing(req);
	err = store_user_del(req->panel->writer, req->id);
	written(req);
	presence_forget(req->panel->presence, req->id);
	removed(req, err);
}

/* nodes */

/* With what the process remembers of it. */
static json_t *node_emit(struct panel *p, const struct panel_node *n)
{
	json_t *out = panel_node_emit(n);
	const struct roster_node *known = roster_node(&p->roster, n->id);
	int64_t seen = known ? known->memory.last_seen : 0;

	if (out &&
	    json_object_set_new(out, "last_seen", seen ? json_integer(seen) : json_null()) < 0) {
		json_decref(out);
		return NULL;
	}
	return out;
}

static int node_to_page(const struct panel_node *n, void *arg)
{
	struct page *pg = arg;

	return page_add(pg, n->id, node_emit(pg->req->panel, n));
}

static void nodes_list(struct request *req, int64_t after, size_t limit)
{
	struct panel *p = req->panel;
	struct page pg = {json_array(), 0, limit, req};
	int err;

	pthread_mutex_lock(&p->read_lock);
	err = store_nodes(p->reader, after, limit, node_to_page, &pg);
	pthread_mutex_unlock(&p->read_lock);
	page_answer(&pg, "nodes", err);
}

static void nodes_get(struct request *req)
{
	struct panel *p = req->panel;
	struct panel_node n;
	json_t *out = NULL;
	int err;

	pthread_mutex_lock(&p->read_lock);
	err = store_node_get(p->reader, req->id, &n);
	if (!err) {
		out = node_emit(p, &n);
		panel_node_done(&n);
	}
	pthread_mutex_unlock(&p->read_lock);
	if (err)
		request_fail(req, err);
	else
		request_answer_json(req, 200, out);
}

/* What became of a change of a node, which is let go. */
static void nodes_answer(struct request *req, unsigned status, int err, struct panel_node *n,
			 const struct fault *why)
{
	json_t *out;

	if (err) {
		change_failed(req, err, why);
		return;
	}
	out = panel_node_emit(n);
	panel_node_done(n);
	request_answer_json(req, status, out);
}

static void nodes_create(struct request *req, json_t *body)
{
	struct panel_node n;
	struct fault why;
	int err;

	writing(req);
	err = edit_node_add(req->panel->writer, body, &n, &why);
	written(req);
	nodes_answer(req, 201, err, &n, &why);
}

static void nodes_change(struct request *req, json_t *body)
{
	struct panel_node n;
	struct fault why;
	int err;

	writing(req);
	err = edit_node_change(req->panel->writer, req->id, body, &n, &why);
	written(req);
	nodes_answer(req, 200, err, &n, &why);
}

static void nodes_remove(struct request *req)
{
	int err;

	writing(req);
	err = store_node_del(req->panel->writer, req->id);
	written(req);
	removed(req, err);
}

/* traffic: a user's totals, and what of them came over each node */

static int traffic_to_list(const struct traffic_row *row, void *arg)
{
	json_t *o = json_pack("{s:I, s:I, s:I}", "node", (json_int_t)row->node, "u",
			      (json_int_t)row->up, "d", (json_int_t)row->down);

	return json_array_append_new(arg, o) < 0 ? -ENOMEM : 0;
}

static json_t *traffic_emit(const struct panel_user *u, json_t *nodes)
{
	return json_pack("{s:I, s:s, s:I, s:I, s:I, s:o*}", "user", (json_int_t)u->id, "name",
			 u->name, "u", (json_int_t)u->up, "d", (json_int_t)u->down, "quota",
			 (json_int_t)u->quota, "nodes", nodes);
}

static int traffic_to_page(const struct panel_user *u, void *arg)
{
	struct page *pg = arg;
	json_t *nodes = json_array();
	int err = store_traffic(pg->req->panel->reader, u->id, traffic_to_list, nodes);

	if (err) {
		json_decref(nodes);
		return err;
	}
	return page_add(pg, u->id, traffic_emit(u, nodes));
}

static void traffic_list(struct request *req, int64_t after, size_t limit)
{
	struct panel *p = req->panel;
	struct page pg = {json_array(), 0, limit, req};
	int err;

	pthread_mutex_lock(&p->read_lock);
	err = store_users(p->reader, after, limit, traffic_to_page, &pg);
	pthread_mutex_unlock(&p->read_lock);
	page_answer(&pg, "traffic", err);
}

static void traffic_get(struct request *req)
{
	struct panel *p = req->panel;
	json_t *nodes = json_array();
	struct panel_user u;
	int err;

	pthread_mutex_lock(&p->read_lock);
	err = store_user_get(p->reader, req->id, &u);
	if (!err)
		err = store_traffic(p->reader, req->id, traffic_to_list, nodes);
	pthread_mutex_unlock(&p->read_lock);
	if (!err) {
		request_answer_json(req, 200, traffic_emit(&u, nodes));
		return;
	}
	json_decref(nodes);
	request_fail(req, err);
}

static void traffic_remove(struct request *req)
{
	int err;

	writing(req);
	err = edit_traffic_reset(req->panel->writer, req->id);
	written(req);
	removed(req, err);
}

/* online */

static json_t *sighting_emit(const struct presence_row *row)
{
	struct addr at = addr_from_ip6(row->ip, 0), plain = addr_unmap(&at);
	char ip[ADDR_TEXT_MAX];

	return json_pack("{s:s, s:I, s:I}", "ip", addr_format_ip(&plain, ip), "node",
			 (json_int_t)row->node, "expires_in", (json_int_t)(row->left / NSEC_SEC));
}

static json_t *online_emit(struct panel *p, int64_t user)
{
	nsec_t now = mono_now();
	json_t *seen = json_array();
	struct presence_row *rows;
	size_t n;

	rows = presence_of(p->presence, user, now, &n);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(seen, sighting_emit(&rows[i]));
	free(rows);
	return json_pack("{s:I, s:I, s:o}", "user", (json_int_t)user, "devices",
			 (json_int_t)presence_count(p->presence, user, now), "seen", seen);
}

static void online_list(struct request *req, int64_t after, size_t limit)
{
	struct panel *p = req->panel;
	struct page pg = {json_array(), 0, limit, req};
	struct presence_user *on;
	size_t n;
	int err = 0;

	on = presence_users(p->presence, after, limit, mono_now(), &n);
	for (size_t i = 0; i < n && !err; i++)
		err = page_add(&pg, on[i].user, online_emit(p, on[i].user));
	free(on);
	page_answer(&pg, "online", err);
}

static void online_get(struct request *req)
{
	request_answer_json(req, 200, online_emit(req->panel, req->id));
}

static void online_remove(struct request *req)
{
	presence_forget(req->panel->presence, req->id);
	removed(req, 0);
}

static const struct collection collections[] = {
	{"nodes", nodes_list, nodes_get, nodes_create, nodes_change, nodes_remove},
	{"users", users_list, users_get, users_create, users_change, users_remove},
	{"traffic", traffic_list, traffic_get, NULL, NULL, traffic_remove},
	{"online", online_list, online_get, NULL, NULL, online_remove},
};

static bool admin_asks(struct request *req)
{
	const char *token = bearer_token(request_header(req, "Authorization"));
	uint8_t digest[HASH_MAX];

	return token && hash(HASH_SHA256, token, strlen(token), digest) == 0 &&
	       ct_equal(digest, req->panel->admin_digest, TOKEN_DIGEST_LEN);
}

/* "users" or "users/41" behind the common prefix. */
static const struct collection *collection_of(const char *rest, int64_t *id)
{
	size_t word = strcspn(rest, "/");

	for (size_t i = 0; i < ARRAY_LEN(collections); i++) {
		if (strlen(collections[i].name) != word ||
		    strncmp(collections[i].name, rest, word) != 0)
			continue;
		rest += word;
		*id = 0;
		if (!rest[0] || !rest[1])
			return &collections[i];
		if (decimal_parse(rest + 1, strlen(rest + 1), id) < 0 || *id == 0)
			return NULL;
		return &collections[i];
	}
	return NULL;
}

static void method_check(struct request *req, const struct collection *c)
{
	const char *allow, *m = req->method;

	if (!req->id) {
		allow = c->create ? "GET, HEAD, POST" : "GET, HEAD";
		if (req->get || (c->create && !strcmp(m, "POST")))
			return;
	} else {
		allow = c->change ? "GET, HEAD, PATCH, DELETE" : "GET, HEAD, DELETE";
		if (req->get || (c->change && !strcmp(m, "PATCH")) || !strcmp(m, "DELETE"))
			return;
	}
	request_refuse_with(req, 405, "Allow", allow, "%s: wrong method", c->name);
}

static void admin_check(struct request *req)
{
	const struct collection *c;

	if (!admin_asks(req)) {
		request_refuse_with(req, 401, "WWW-Authenticate", "Bearer", "wrong admin token");
		return;
	}
	c = collection_of(req->path + strlen("/admin/v1/"), &req->id);
	req->collection = c;
	if (c)
		method_check(req, c);
	else
		request_refuse(req, 404, "nothing here");
}

static void list_serve(struct request *req, const struct collection *c)
{
	int64_t after = 0, limit = PAGE_DEFAULT;
	const char *text;
	size_t len;

	text = request_query(req, "after", &len);
	if (text && decimal_parse(text, len, &after) < 0) {
		request_refuse(req, 400, "after: expected a decimal number");
		return;
	}
	text = request_query(req, "limit", &len);
	if (text && (decimal_parse(text, len, &limit) < 0 || limit < 1 || limit > PAGE_MAX)) {
		request_refuse(req, 400, "limit: expected a number of 1 to %d", PAGE_MAX);
		return;
	}
	c->list(req, after, (size_t)limit);
}

static void body_serve(struct request *req, void (*take)(struct request *, json_t *))
{
	json_error_t at;
	json_t *body = json_loadb(req->body ? req->body : "", req->len, 0, &at);

	if (body)
		take(req, body);
	else
		request_refuse(req, 400, "not JSON: line %d, column %d: %s", at.line, at.column,
			       at.text);
	json_decref(body);
}

static void admin_serve(struct request *req)
{
	const struct collection *c = req->collection;

	if (req->get && req->id)
		c->get(req);
	else if (req->get)
		list_serve(req, c);
	else if (!req->id)
		body_serve(req, c->create);
	else if (!strcmp(req->method, "PATCH"))
		body_serve(req, c->change);
	else
		c->remove(req);
}

const struct http_part http_admin = {admin_check, admin_serve};
