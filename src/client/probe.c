#include "client/probe.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "net/sock.h"
#include "stream/tcp.h"

#define CHUNK 16384

/* Byte `i` of a direction: no period that a buffer size divides. */
static uint8_t pattern(uint64_t i, bool up)
{
	uint64_t x = (i + (up ? 1 : 7)) * 0x9e3779b97f4a7c15u;

	return (uint8_t)(x >> 56);
}

static void end_free(struct probe_end *e)
{
	waiter_cancel(&e->run);
	bufq_done(&e->queue);
	stream_free(e->s);
	e->s = NULL;
}

static void finish(struct probe *p, int err)
{
	if (p->done)
		return;
	p->done = true;
	p->err = err;
	timer_stop(&p->deadline);
	dial_cancel(p->dial);
	p->dial = NULL;
	end_free(&p->client);
	end_free(&p->server);
	p->finished(p);
}

static int fill(struct probe_end *e, bool up)
{
	while (bufq_len(&e->queue) < 4 * CHUNK && e->sent + bufq_len(&e->queue) < e->send) {
		uint64_t at = e->sent + bufq_len(&e->queue);
		uint8_t mem[CHUNK];
		size_t n = (size_t)MIN(e->send - at, (uint64_t)sizeof(mem));

		for (size_t i = 0; i < n; i++)
			mem[i] = pattern(at + i, up);
		if (bufq_append(&e->queue, mem, n))
			return -ENOMEM;
	}
	return 0;
}

/* 0: all is sent and the end as well; -EAGAIN; <0. */
static int send_all(struct probe_end *e, bool up)
{
	ssize_t n;
	int err;

	while (e->sent < e->send) {
		err = fill(e, up);
		if (err)
			return err;
		n = stream_push(e->s, &e->queue);
		if (n < 0)
			return (int)n;
		e->sent += (uint64_t)n;
	}
	if (e->shut)
		return 0;
	err = stream_shut(e->s);
	e->shut = err == 0;
	return err;
}

static int take(struct probe_end *e, struct bufq *q, bool up)
{
	uint8_t mem[CHUNK];
	size_t n;

	while ((n = bufq_take(q, mem, sizeof(mem))) > 0) {
		for (size_t i = 0; i < n; i++) {
			if (mem[i] != pattern(e->got + i, up))
				return -ERR_MALFORMED;
		}
		e->got += n;
	}
	return e->got > e->want ? -ERR_TOO_BIG : 0;
}

/* 0: everything that was due has come, and the end; -EAGAIN; <0. */
static int receive_all(struct probe_end *e, bool up)
{
	struct bufq q;
	ssize_t n;
	int err = 0;

	bufq_init(&q, loop_pool(e->s->loop), SIZE_MAX);
	while (!e->eof && !err) {
		n = stream_pull(e->s, &q, 16 * CHUNK);
		if (n > 0)
			err = take(e, &q, up);
		else if (n == 0)
			e->eof = true;
		else
			err = (int)n;
	}
	bufq_done(&q);
	if (!err && e->got < e->want)
		err = -ERR_TRUNCATED;
	return err;
}

static bool end_over(const struct probe_end *e)
{
	return e->shut && e->eof;
}

/* The target answers once it has everything; the client's end of stream tells it nothing. */
static void run_server(struct waiter *w)
{
	struct probe_end *e = container_of(w, struct probe_end, run);
	int err = 0;

	if (e->got < e->want) {
		err = receive_all(e, true);
		if (err == -EAGAIN && e->got == e->want)
			err = 0;
	}
	if (!err)
		err = send_all(e, false);
	if (err == -EAGAIN)
		stream_want(e->s, e->got < e->want ? STREAM_RD : STREAM_WR, &e->run);
	else if (err)
		finish(e->probe, err);
}

static void run_client(struct waiter *w)
{
	struct probe_end *e = container_of(w, struct probe_end, run);
	int sent = send_all(e, true), got = receive_all(e, false);

	if (sent == -EAGAIN)
		stream_want(e->s, STREAM_WR, &e->run);
	if (got == -EAGAIN)
		stream_want(e->s, STREAM_RD, &e->run);
	if (sent && sent != -EAGAIN)
		finish(e->probe, sent);
	else if (got && got != -EAGAIN)
		finish(e->probe, got);
	else if (end_over(e))
		finish(e->probe, 0);
}

static void on_accept(struct listener *l, int fd, const struct addr *peer)
{
	struct probe *p = container_of(l, struct probe, target);

	if (p->server.s || p->done) {
		sock_set_abort(fd);
		return;
	}
	p->server.s = tcp_stream_new(p->loop, fd, peer);
	if (p->server.s)
		loop_queue(p->loop, &p->server.run);
}

static void on_dialled(struct waiter *w)
{
	struct probe *p = container_of(w, struct probe, dialled);
	int err = dial_result(p->dial, &p->client.s);

	if (err == -EAGAIN)
		return;
	p->dial = NULL;
	if (err)
		finish(p, err);
	else
		loop_queue(p->loop, &p->client.run);
}

static void on_deadline(struct timer *t)
{
	finish(container_of(t, struct probe, deadline), -ERR_TIMEOUT);
}

int probe_init(struct probe *p, struct loop *l, void (*finished)(struct probe *p))
{
	const struct listener_conf conf = {0};
	int err;

	*p = (struct probe){.loop = l, .finished = finished, .done = true};
	timer_init(&p->deadline, on_deadline);
	waiter_init(&p->dialled, on_dialled);
	waiter_init(&p->client.run, run_client);
	waiter_init(&p->server.run, run_server);
	listener_init(&p->target, l, on_accept);
	err = addr_parse(&p->at, "127.0.0.1:0");
	if (!err)
		err = listener_open(&p->target, &p->at, &conf);
	return err ? err : sock_local(p->target.fd, &p->at);
}

static void end_start(struct probe *p, struct probe_end *e, uint64_t send, uint64_t want)
{
	e->probe = p;
	e->s = NULL;
	e->sent = e->got = 0;
	e->send = send;
	e->want = want;
	e->shut = e->eof = false;
	bufq_init(&e->queue, loop_pool(p->loop), SIZE_MAX);
}

int probe_start(struct probe *p, struct dialer *through, uint64_t up, uint64_t down, nsec_t timeout)
{
	struct dest to;

	dest_set_addr(&to, &p->at);
	p->up = up;
	p->down = down;
	p->done = false;
	p->err = 0;
	end_start(p, &p->client, up, down);
	end_start(p, &p->server, down, up);
	p->dial = dialer_dial(through, p->loop, &to, &p->dialled);
	if (!p->dial) {
		p->done = true;
		return -ENOMEM;
	}
	timer_set(p->loop, &p->deadline, loop_now(p->loop) + timeout);
	return 0;
}

void probe_done(struct probe *p)
{
	p->finished = NULL;
	p->done = true;
	timer_stop(&p->deadline);
	dial_cancel(p->dial);
	p->dial = NULL;
	end_free(&p->client);
	end_free(&p->server);
	listener_close(&p->target);
}
