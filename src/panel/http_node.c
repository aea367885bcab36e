/* The v2sp node API: five actions on one address (spec A, A.13 P1-P9). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jout.h"
#include "crypto/ct.h"
#include "crypto/hash.h"
#include "panel/headers.h"
#include "panel/http.h"

struct action {
	const char *name;
	bool get;
	void (*serve)(struct request *req);
};

/* What the query says, as it came. */
struct query {
	const char *text;
	size_t len;
};

static struct query query_of(struct request *req, const char *name)
{
	struct query q = {0};

	q.text = request_query(req, name, &q.len);
	return q;
}

/* The node that asks, in P2's order.  A token that no node has is 401 before anything else is
 * looked at; one that belongs to another node is 401 as well.
 */
static struct roster_node *node_asking(struct request *req)
{
	struct roster *r = &req->panel->roster;
	struct query token = query_of(req, "token"), id = query_of(req, "node_id");
	uint8_t digest[HASH_MAX];
	struct roster_node *n;

	if (!token.text || hash(HASH_SHA256, token.text, token.len, digest) < 0 ||
	    !roster_knows(r, digest)) {
		request_refuse(req, 401, "wrong token");
		return NULL;
	}
	if (!id.text || decimal_parse(id.text, id.len, &req->node) < 0) {
		request_refuse(req, 400, "node_id: expected a decimal number");
		return NULL;
	}
	n = roster_node(r, req->node);
	if (!n)
		request_refuse(req, 404, "no node %lld", (long long)req->node);
	else if (!ct_equal(digest, n->digest, TOKEN_DIGEST_LEN))
		request_refuse(req, 401, "wrong token");
	else if (!n->node.enabled)
		request_refuse(req, 403, "node %lld is disabled", (long long)req->node);
	else
		return n;
	return NULL;
}

static bool type_fits(struct request *req, const struct roster_node *n)
{
	struct query q = query_of(req, "node_type");
	char text[32], type[16];

	if (!q.text || !q.len)
		return true;
	if (q.len < sizeof(text)) {
		memcpy(text, q.text, q.len);
		text[q.len] = '\0';
		if (node_type_canonical(text, n->node.type, type) == 0 &&
		    !strcmp(type, n->node.type))
			return true;
	}
	return false;
}

static int config_make(struct roster *r, struct roster_node *n, struct resource **out)
{
	json_t *config;
	char *text;

	*out = &n->config;
	if (n->config.plain)
		return 0;
	config = panel_node_config(&n->node);
	text = config ? json_dumps(config, JSON_COMPACT) : NULL;
	json_decref(config);
	return text ? resource_set(&n->config, text, strlen(text), 0) : -ENOMEM;
}

static void answer_config(struct request *req)
{
	request_answer_node(req, config_make);
}

/* With totals: nothing to keep, as they change with every report. */
static void answer_usage(struct request *req)
{
	struct resource once = {0};
	char *body;
	size_t len;
	int err = roster_usage(&req->panel->roster, wall_now(), &body, &len);

	if (!err)
		err = resource_set(&once, body, len, 0);
	if (err)
		request_fail(req, err);
	else
		request_answer_kept(req, &once);
	resource_done(&once);
}

static void answer_user(struct request *req)
{
	struct panel *p = req->panel;
	int err;

	pthread_mutex_lock(&p->read_lock);
	if (req->usage) {
		answer_usage(req);
	} else {
		err = roster_users(&p->roster, wall_now());
		if (err)
			request_fail(req, err);
		else
			request_answer_kept(req, &p->roster.body);
	}
	pthread_mutex_unlock(&p->read_lock);
}

/* P7: users that have a device limit and are online anywhere. */
static void alivelist_emit(struct jout *j, const struct roster *r, const struct presence_user *on,
			   size_t n)
{
	bool any = false;

	jout_str(j, "{\"alive\":{");
	for (size_t i = 0; i < n; i++) {
		const struct roster_user *u = roster_user(r, on[i].user);

		if (!u || !u->limited)
			continue;
		jout_str(j, any ? ",\"" : "\"");
		jout_int(j, u->id);
		jout_str(j, "\":");
		jout_int(j, (int64_t)on[i].devices);
		any = true;
	}
	jout_str(j, "}}");
}

static void answer_alivelist(struct request *req)
{
	struct panel *p = req->panel;
	struct presence_user *on;
	struct jout j = {0};
	size_t n;
	int err;

	on = presence_users(p->presence, 0, 0, mono_now(), &n);
	pthread_mutex_lock(&p->read_lock);
	err = on ? roster_users(&p->roster, wall_now()) : -ENOMEM;
	if (!err)
		alivelist_emit(&j, &p->roster, on, n);
	pthread_mutex_unlock(&p->read_lock);
	free(on);
	if (!err && j.failed)
		err = -ENOMEM;
	if (!err) {
		request_answer(req, 200, j.at, j.len);
		return;
	}
	free(j.at);
	request_fail(req, err);
}

/* A repeat gets the bytes of the first answer. */
static void answer_push(struct request *req, const struct push_result *result)
{
	struct jout j = {0};

	jout_str(&j, "{\"message\":\"ok\",\"applied\":");
	jout_int(&j, result->applied);
	jout_str(&j, ",\"ignored\":");
	jout_int(&j, result->ignored);
	jout_str(&j, "}");
	if (!j.failed) {
		request_answer(req, 200, j.at, j.len);
		return;
	}
	free(j.at);
	request_fail(req, -ENOMEM);
}

static void take_push(struct request *req)
{
	struct push_result result;

	if (request_push(req, push_report_parse, NULL, &result))
		answer_push(req, &result);
}

/* Users that do not exist are left out: what we hold is bounded by those that do. */
static int alive_apply(struct panel *p, int64_t node, struct alive_report *report)
{
	size_t known = 0;
	int err;

	pthread_mutex_lock(&p->read_lock);
	err = roster_users(&p->roster, wall_now());
	for (size_t i = 0; !err && i < report->n; i++) {
		if (roster_user(&p->roster, report->users[i].user))
			report->users[known++] = report->users[i];
	}
	pthread_mutex_unlock(&p->read_lock);
	for (size_t i = 0; !err && i < known; i++) {
		const struct alive_user *u = &report->users[i];

		err = presence_report(p->presence, node, u->user,
				      (const uint8_t(*)[16])report->ips + u->first, u->n,
				      mono_now());
	}
	return err;
}

static void take_alive(struct request *req)
{
	static const char ok[] = "{\"message\":\"ok\"}";
	struct alive_report report;
	struct fault why;
	int err = alive_report_parse(req->body ? req->body : "", req->len, &report, &why);

	if (err == -EINVAL) {
		request_refuse(req, 400, "%s", why.text);
		return;
	}
	if (!err) {
		err = alive_apply(req->panel, req->node, &report);
		alive_report_done(&report);
	}
	if (err)
		request_fail(req, err);
	else
		request_answer(req, 200, strdup(ok), sizeof(ok) - 1);
}

static const struct action actions[] = {
	[ACTION_CONFIG] = {"config", true, answer_config},
	[ACTION_USER] = {"user", true, answer_user},
	[ACTION_ALIVELIST] = {"alivelist", true, answer_alivelist},
	[ACTION_PUSH] = {"push", false, take_push},
	[ACTION_ALIVE] = {"alive", false, take_alive},
};

static void action_check(struct request *req)
{
	struct query q = query_of(req, "action");

	for (size_t i = 0; q.text && i < ARRAY_LEN(actions); i++) {
		if (q.len != strlen(actions[i].name) || memcmp(q.text, actions[i].name, q.len) != 0)
			continue;
		req->action = (enum node_action)i;
		if (actions[i].get ? !req->get : strcmp(req->method, "POST") != 0)
			request_refuse_with(req, 405, "Allow",
					    actions[i].get ? "GET, HEAD" : "POST",
					    "%s: wrong method", actions[i].name);
		return;
	}
	request_refuse(req, 400, "action: expected config, user, alivelist, push or alive");
}

static void request_check(struct request *req, const struct roster_node *n)
{
	req->usage = json_is_true(json_object_get(n->node.settings, "user_usage"));
	if (!type_fits(req, n))
		request_refuse(req, 400, "node_type: node %lld is %s", (long long)req->node,
			       n->node.type);
	else
		action_check(req);
}

static void node_check(struct request *req)
{
	request_from_node(req, node_asking, request_check);
}

static void node_serve(struct request *req)
{
	actions[req->action].serve(req);
}

const struct http_part http_node = {node_check, node_serve};
