#include "cmd/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "event/loop.h"
#include "sync/http.h"

struct fetch {
	struct http_call call;
	struct timer end;
	struct loop *loop;
	struct http *http;
};

static void on_done(struct http_call *c)
{
	loop_stop(container_of(c, struct fetch, call)->loop);
}

/* The transport's own limit is on silence; this one is on the whole. */
static void on_end(struct timer *t)
{
	struct fetch *f = container_of(t, struct fetch, end);

	http_cancel(f->http, &f->call);
	f->call.err = -ERR_TIMEOUT;
	loop_stop(f->loop);
}

static int run(struct fetch *f)
{
	int err = http_start(f->http, &f->call);

	if (err)
		return err;
	timer_set(f->loop, &f->end, loop_now(f->loop) + FETCH_TIMEOUT);
	loop_run(f->loop);
	timer_stop(&f->end);
	return f->call.err;
}

static int judge(const struct http_call *c, int err, char why[CONFIG_FETCH_WHY])
{
	if (err)
		snprintf(why, CONFIG_FETCH_WHY, "%s%s%.150s", err_text(err), *c->detail ? ": " : "",
			 c->detail);
	else if (c->status != 200)
		snprintf(why, CONFIG_FETCH_WHY, "the server says %d", c->status);
	return err ? err : c->status == 200 ? 0 : -ERR_HTTP;
}

int fetch_include(const char *url, char **text, size_t *len, char why[CONFIG_FETCH_WHY])
{
	struct fetch f = {.call = {.url = url,
				   .timeout = FETCH_TIMEOUT,
				   .https_only = !strncasecmp(url, "https://", 8),
				   .max_answer = FETCH_MAX,
				   .done = on_done}};
	int err;

	f.loop = loop_new(LOOP_EPOLL, 0);
	f.http = f.loop ? http_curl_new(f.loop, "weir/" WEIR_VERSION) : NULL;
	timer_init(&f.end, on_end);
	err = judge(&f.call, f.http ? run(&f) : -ENOMEM, why);
	if (!err) {
		*text = f.call.answer;
		*len = f.call.answer_len;
		f.call.answer = NULL;
	}
	http_call_reset(&f.call);
	http_free(f.http);
	if (f.loop)
		loop_free(f.loop);
	return err;
}
