#include "cmd/ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "event/loop.h"
#include "sync/dialect.h"
#include "sync/http.h"
#include "sync/users.h"

#define CONFIG_BODY_MAX (4 << 20) /* H9 */
#define USERS_BODY_MAX	(256 << 20)

struct question {
	struct http_call call;
	struct loop *loop;
	struct http *http;
	const struct dialect *dialect;
	struct panel panel;
	struct users_reader *reader; /* NULL: the answer is gathered */
	char *why;
};

static int on_bytes(struct http_call *c, const void *bytes, size_t len)
{
	struct question *q = container_of(c, struct question, call);

	return users_reader_feed(q->reader, bytes, len);
}

static void on_done(struct http_call *c)
{
	loop_stop(container_of(c, struct question, call)->loop);
}

static int open_question(struct question *q, const struct config_node *n, char *why)
{
	*q = (struct question){.why = why, .dialect = dialect_find(config_api_name(n->api_type))};
	why[0] = '\0';
	if (!q->dialect) {
		snprintf(why, ASK_WHY_MAX, "the dialect %s is not implemented yet",
			 config_api_name(n->api_type));
		return -ERR_UNSUPPORTED;
	}
	q->panel = (struct panel){
		.host = n->api_host,
		.key = n->api_key,
		.node_id = n->node_id,
		.type = node_type_parse(n->node_type),
		.enable_vless =
			conf_is_set(&config_node_schema, n, enable_vless) ? n->enable_vless : -1,
		.allow_remote = n->allow_remote_options,
		.accept_listen_ip = n->accept_panel_listen_ip,
		.swap_bandwidth = n->swap_bandwidth,
	};
	q->call.timeout = n->timeout_s * NSEC_SEC;
	q->call.insecure = n->api_insecure;
	q->call.send_ip = *n->api_send_ip ? n->api_send_ip : NULL;
	q->call.done = on_done;
	q->loop = loop_new(LOOP_EPOLL, 0);
	q->http = q->loop ? http_curl_new(q->loop, "weir/" WEIR_VERSION) : NULL;
	if (!q->http)
		snprintf(why, ASK_WHY_MAX, "%s", err_text(-ENOMEM));
	return q->http ? 0 : -ENOMEM;
}

static void close_question(struct question *q)
{
	http_call_reset(&q->call);
	http_free(q->http);
	if (q->loop)
		loop_free(q->loop);
}

static int judge_status(struct question *q)
{
	char message[ANSWER_MESSAGE_MAX];
	struct http_call *c = &q->call;

	if (c->err) {
		snprintf(q->why, ASK_WHY_MAX, "the panel does not answer: %s%s%s", err_text(c->err),
			 *c->detail ? ": " : "", c->detail);
		return c->err;
	}
	if (c->status / 100 == 2)
		return 0;
	answer_message(c->answer, c->answer_len, message);
	snprintf(q->why, ASK_WHY_MAX, "the panel says %d%s%s", c->status, *message ? ": " : "",
		 message);
	return -ERR_HTTP;
}

/* Ask, and wait for the whole answer. */
static int ask(struct question *q, enum ask what, size_t most)
{
	struct text url = {0};
	int err;

	http_call_reset(&q->call);
	q->dialect->url(&q->panel, what, &url);
	q->call.url = url.s;
	q->call.max_answer = most;
	err = url.err ? url.err : http_start(q->http, &q->call);
	if (err) {
		snprintf(q->why, ASK_WHY_MAX, "%s", err_text(err));
	} else {
		loop_run(q->loop);
		err = judge_status(q);
	}
	text_done(&url);
	return err;
}

static int read_config(struct question *q, struct node_info **out)
{
	struct notes notes = {0};
	int err = ask(q, ASK_CONFIG, CONFIG_BODY_MAX);

	if (err)
		return err;
	if (q->dialect->config(&q->panel, q->call.answer, q->call.answer_len, out, &notes) ==
	    ANSWER_OK)
		return 0;
	snprintf(q->why, ASK_WHY_MAX, "the panel's answer is no good: %s", notes.why);
	return -ERR_PROTOCOL;
}

/* With the other addresses of rule A1 when the first does not do. */
static int find_config(struct question *q, struct node_info **out)
{
	char first[ASK_WHY_MAX];
	int err = read_config(q, out);

	snprintf(first, sizeof(first), "%s", q->why);
	for (unsigned i = 0; err; i++) {
		q->panel.path =
			q->dialect->other_path ? q->dialect->other_path(&q->panel, i) : NULL;
		if (!q->panel.path || (err != -ERR_HTTP && err != -ERR_PROTOCOL))
			break;
		err = read_config(q, out);
	}
	if (err)
		snprintf(q->why, ASK_WHY_MAX, "%s", first);
	return err;
}

int ask_node(const struct config_node *node, struct node_info **out, char why[ASK_WHY_MAX])
{
	struct question q;
	int err = open_question(&q, node, why);

	if (!err)
		err = find_config(&q, out);
	close_question(&q);
	return err;
}

static int read_users(struct question *q, struct user_list *out)
{
	struct users_reader reader;
	struct notes notes = {0};
	int err = users_reader_init(&reader, q->dialect);

	if (err)
		return err;
	q->reader = &reader;
	q->call.sink = on_bytes;
	err = ask(q, ASK_USERS, USERS_BODY_MAX);
	if (!err && users_reader_end(&reader, out, &notes) != ANSWER_OK) {
		snprintf(q->why, ASK_WHY_MAX, "the panel's user list is no good: %s", notes.why);
		err = -ERR_PROTOCOL;
	}
	users_reader_done(&reader);
	return err;
}

int ask_users(const struct config_node *node, struct user_list *out, char why[ASK_WHY_MAX])
{
	struct node_info *info = NULL;
	struct question q;
	int err = open_question(&q, node, why);

	/* The description first: it tells the type and which address is the right one. */
	if (!err)
		err = find_config(&q, &info);
	if (!err) {
		q.panel.learned = info->type;
		err = read_users(&q, out);
	}
	node_info_put(info);
	close_question(&q);
	return err;
}
