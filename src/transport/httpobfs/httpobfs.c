#include "transport/httpobfs/httpobfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/random.h"

#define FIRST_READ (HTTPOBFS_HEAD_MAX + 4096)

struct httpobfs {
	struct stream s;
	struct stream *lower;
	const struct httpobfs_conf *conf;
	struct bufq in;	 /* the other end's head, until it is whole */
	struct bufq out; /* our head and what goes with it, until it is on its way */
	struct waiter run;
	struct waiter *up_rd, *up_wr;
	int16_t err; /* of the other end's head */
	bool client, lower_open;
	bool heard; /* the other end's head has been read, or there is none to come */
	bool said;  /* ours has been written, or none is due */
};

static struct httpobfs *of(const struct stream *s)
{
	return container_of(s, struct httpobfs, s);
}

int httpobfs_conf_set(struct httpobfs_conf *c, const char *host, const char *path, uint16_t port)
{
	host = host ? host : "";
	path = path ? path : "";
	*c = (struct httpobfs_conf){.port = port};
	if (strlen(host) > HTTPOBFS_HOST_MAX || strlen(path) > HTTPOBFS_PATH_MAX)
		return -ERR_MALFORMED;
	for (const char *p = host; *p; p++) {
		if ((uint8_t)*p <= 0x20 || *p == 0x7f)
			return -ERR_MALFORMED;
	}
	for (const char *p = path; *p; p++) {
		if ((uint8_t)*p <= 0x20 || *p == 0x7f)
			return -ERR_MALFORMED;
	}
	memcpy(c->host, host, strlen(host) + 1);
	memcpy(c->path, path, strlen(path) + 1);
	c->minor = (uint8_t)random_below(11);
	c->patch = (uint8_t)random_below(12);
	return 0;
}

/* ---- the other end's head ---------------------------------------------------------------- */

static int judge(struct httpobfs *h, struct rd *r)
{
	int err = h->client ? httpobfs_answer_parse(r) : httpobfs_request_parse(r, h->conf->host);

	if (err == -ERR_UNSUPPORTED) { /* no disguise at all */
		h->said = true;
		return 0;
	}
	return err == -ERR_MALFORMED && !h->client ? -ERR_AUTH : err;
}

/* 0: it is whole, and what follows it is un-read.  -EAGAIN.  Others, with all of it un-read. */
static int hear(struct httpobfs *h)
{
	int err = -ERR_MORE;

	while (err == -ERR_MORE) {
		size_t got = 0;
		const uint8_t *bytes;
		struct rd r;
		ssize_t n = stream_pull(h->lower, &h->in, FIRST_READ - bufq_len(&h->in));

		if (n == 0) {
			err = h->client ? -ERR_TRUNCATED : -ERR_AUTH;
			break;
		}
		if (n < 0)
			return (int)n;
		bytes = bufq_linear(&h->in, FIRST_READ, &got);
		if (!bytes)
			return -ENOMEM;
		r = rd_of(bytes, got);
		err = judge(h, &r);
		if (!err)
			bufq_drain(&h->in, r.pos);
	}
	h->heard = true;
	h->err = (int16_t)err;
	h->said |= err != 0; /* whoever answers a stranger is no WebSocket */
	stream_unread(&h->s, &h->in);
	return err;
}

static int obfs_open(struct stream *s)
{
	struct httpobfs *h = of(s);
	int err;

	if (!h->lower_open) {
		err = stream_open(h->lower);
		if (err)
			return err;
		h->lower_open = true;
	}
	if (h->client)
		return 0;
	return h->heard ? h->err : hear(h);
}

static ssize_t obfs_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct httpobfs *h = of(s);
	int err;

	if (!h->heard) {
		err = hear(h);
		if (err)
			return err;
		if (!bufq_empty(&s->unread)) /* came with the head */
			return (ssize_t)bufq_move(dst, &s->unread, max);
	}
	if (h->client && h->err)
		return h->err;
	return stream_pull(h->lower, dst, max);
}

/* ---- ours -------------------------------------------------------------------------------- */

static int flush(struct httpobfs *h)
{
	while (!bufq_empty(&h->out)) {
		ssize_t n = stream_push(h->lower, &h->out);

		if (n == -EAGAIN)
			stream_want(h->lower, STREAM_WR, &h->run);
		if (n < 0)
			return (int)n;
	}
	return 0;
}

static void wake_one(struct httpobfs *h, struct waiter **slot)
{
	struct waiter *w = *slot;

	*slot = NULL;
	if (w)
		loop_queue(h->s.loop, w);
}

static void on_run(struct waiter *w)
{
	struct httpobfs *h = container_of(w, struct httpobfs, run);
	int err = flush(h); /* what broke is found again by whoever pushes */

	wake_one(h, &h->up_rd);
	if (err != -EAGAIN)
		wake_one(h, &h->up_wr);
}

static int put_head(struct httpobfs *h, size_t length)
{
	char text[HTTPOBFS_HOST_MAX + HTTPOBFS_PATH_MAX + 512];
	uint8_t key[HTTPOBFS_KEY_LEN];
	struct wr w = wr_of(text, sizeof(text));

	random_bytes(key, sizeof(key));
	if (h->client)
		httpobfs_request_emit(&w, &(struct httpobfs_request){
						  .host = h->conf->host,
						  .path = h->conf->path,
						  .port = h->conf->port,
						  .minor = h->conf->minor,
						  .patch = h->conf->patch,
						  .key = key,
						  .length = length,
					  });
	else
		httpobfs_answer_emit(&w, &(struct httpobfs_answer){
						 .now = loop_wall(h->s.loop),
						 .minor = h->conf->minor,
						 .patch = h->conf->patch,
						 .key = key,
					 });
	return w.err ? w.err : bufq_append(&h->out, text, w.len);
}

static ssize_t obfs_push(struct stream *s, struct bufq *src)
{
	struct httpobfs *h = of(s);
	size_t n = bufq_len(src);
	int err;

	if (!h->said) {
		err = put_head(h, n);
		if (err)
			return err;
		h->said = true;
		n = bufq_move(&h->out, src, n);
		err = flush(h);
		return err && err != -EAGAIN ? err : (ssize_t)n;
	}
	err = flush(h);
	return err ? err : stream_push(h->lower, src);
}

/* Once the heads are through, nothing is kept here and those above wait below. */
static void obfs_want(struct stream *s, unsigned ev, struct waiter *w)
{
	struct httpobfs *h = of(s);
	bool ours = !bufq_empty(&h->out);

	if (!h->client && h->lower_open && !h->heard)
		ev = STREAM_RD;
	if (ev & STREAM_RD)
		h->up_rd = ours ? w : NULL;
	if (ev & STREAM_WR)
		h->up_wr = ours ? w : NULL;
	stream_want(h->lower, ev, ours ? &h->run : w);
}

static int obfs_shut(struct stream *s)
{
	struct httpobfs *h = of(s);
	int err = flush(h);

	return err ? err : stream_shut(h->lower);
}

static void obfs_free(struct stream *s)
{
	struct httpobfs *h = of(s);

	waiter_cancel(&h->run);
	stream_free(h->lower);
	bufq_done(&h->in);
	bufq_done(&h->out);
	stream_done(s);
	loop_free_later(s->loop, h);
}

static int obfs_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	return stream_query(of(s)->lower, attr, out);
}

static int obfs_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	return stream_set(of(s)->lower, attr, v);
}

static const struct stream_ops obfs_ops = {
	.name = "httpobfs",
	.open = obfs_open,
	.pull = obfs_pull,
	.push = obfs_push,
	.want = obfs_want,
	.shut = obfs_shut,
	.free = obfs_free,
	.query = obfs_query,
	.set = obfs_set,
};

static struct stream *obfs_new(struct stream *lower, const struct httpobfs_conf *conf, bool client)
{
	struct httpobfs *h = calloc(1, sizeof(*h));

	if (!h) {
		stream_free(lower);
		return NULL;
	}
	stream_init(&h->s, &obfs_ops, lower->loop);
	waiter_init(&h->run, on_run);
	bufq_init(&h->in, loop_pool(lower->loop), FIRST_READ);
	bufq_init(&h->out, loop_pool(lower->loop), SIZE_MAX);
	h->lower = lower;
	h->conf = conf;
	h->client = client;
	return &h->s;
}

struct stream *httpobfs_server_new(struct stream *lower, const struct httpobfs_conf *conf)
{
	return obfs_new(lower, conf, false);
}

struct stream *httpobfs_client_new(struct stream *lower, const struct httpobfs_conf *conf)
{
	return obfs_new(lower, conf, true);
}
