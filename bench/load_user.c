/* load_user.c - a user: dials through the server under test, says what it wants, and has it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "load.h"

struct user_end {
	struct load *load;
	struct stream *s; /* NULL while dialling */
	struct dial *dial;
	struct waiter w;
	struct bufq q;
	uint8_t wish;
	bool asked, begun;
	size_t got;   /* of an answer */
	double since; /* when that was asked for */
	uint64_t at;  /* bulk: how far it is */
};

static void user_free(struct user_end *u)
{
	static const union stream_value yes = {.num = 1};

	waiter_cancel(&u->w);
	bufq_done(&u->q);
	stream_set(u->s, STREAM_ABORT, yes); /* spare the ports */
	stream_free(u->s);
	loop_free_later(u->load->loop, u);
}

/* The descriptor, once nothing stands between it and the payload. */
static struct io *raw_of(struct user_end *u, enum stream_dir dir)
{
	struct stream_raw raw;

	return stream_splice(u->s, dir, &raw) ? NULL : raw.io;
}

static ssize_t result(struct io *io, enum io_event ev, ssize_t n)
{
	if (n >= 0)
		return n;
	if (errno == EAGAIN)
		io->ready &= (uint8_t)~ev;
	return -errno;
}

static ssize_t take(struct user_end *u)
{
	static char block[LOAD_BLOCK];
	struct io *io = raw_of(u, STREAM_IN);
	bool look = u->load->check > 0;
	ssize_t n;

	if (io && look)
		n = result(io, IO_RD, recv(io->fd, block, sizeof(block), 0));
	else if (io) /* thrown away by the kernel */
		n = result(io, IO_RD, recv(io->fd, NULL, 64 * LOAD_BLOCK, MSG_TRUNC));
	else
		n = stream_pull(u->s, &u->q, LOAD_BLOCK);
	/* Opening what it throws away would cost this thread more than all else it does. */
	if (n > 0 && !io && !look && u->wish == LOAD_DOWN)
		(void)stream_bypass(u->s, STREAM_IN);
	if (n > 0 && look) {
		if (!io)
			(void)bufq_take(&u->q, block, (size_t)n);
		load_compare(u->load, u->at, block, (size_t)n);
		u->at += (uint64_t)n;
	}
	bufq_done(&u->q);
	return n;
}

static void fill_queue(struct user_end *u)
{
	while (bufq_len(&u->q) < LOAD_BLOCK) {
		struct buf *b = buf_new(loop_pool(u->load->loop));

		if (!b)
			load_die("memory", -ENOMEM);
		if (u->load->check) /* else what they are does not matter: as the pool has them */
			memcpy(b->data + b->end, load_pattern(u->at), BUF_PAYLOAD);
		b->end += BUF_PAYLOAD;
		u->at += BUF_PAYLOAD;
		bufq_push(&u->q, b);
	}
}

static ssize_t give(struct user_end *u)
{
	struct io *io = bufq_empty(&u->q) ? raw_of(u, STREAM_OUT) : NULL;
	ssize_t n;

	if (!io) {
		fill_queue(u);
		return stream_push(u->s, &u->q);
	}
	n = result(io, IO_WR, send(io->fd, load_pattern(u->at), LOAD_BLOCK, MSG_NOSIGNAL));
	u->at += n > 0 ? (uint64_t)n : 0;
	return n;
}

/* Not the loop's, which stands still during a turn. */
static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec * 1e-3;
}

static void note_time(struct load *l, double us)
{
	if (l->ntimes < l->room)
		l->times[l->ntimes++] = (float)us;
}

static ssize_t ask(struct user_end *u)
{
	char message[LOAD_MESSAGE] = {(char)u->wish};
	size_t len = u->wish == LOAD_PING ? LOAD_MESSAGE : 1;
	ssize_t n;

	if (bufq_empty(&u->q) && bufq_append(&u->q, message, len))
		return -ENOMEM;
	n = stream_push(u->s, &u->q);
	u->asked = n > 0 && bufq_empty(&u->q);
	if (u->asked && u->load->times)
		u->since = now_us();
	return n;
}

/* Part of an answer, or all of it. */
static ssize_t listen_for_answer(struct user_end *u)
{
	ssize_t n = take(u);

	if (n <= 0 || (u->got += (size_t)n) < LOAD_MESSAGE)
		return n;
	u->got = 0;
	if (u->load->times)
		note_time(u->load, now_us() - u->since);
	u->load->pings++;
	u->load->npending--;
	if (u->load->again) {
		u->asked = false;
		u->load->npending++;
	}
	return n;
}

static ssize_t step(struct user_end *u)
{
	ssize_t n;

	if (!u->asked)
		return ask(u);
	if (u->wish == LOAD_PING)
		return listen_for_answer(u);
	n = u->wish == LOAD_DOWN ? take(u) : give(u);
	if (n > 0 && u->wish == LOAD_DOWN)
		load_moved(u->load, &u->begun, (size_t)n);
	return n;
}

static int dial(struct user_end *u)
{
	return u->s ? 0 : dial_result(u->dial, &u->s);
}

static void on_wake(struct waiter *w)
{
	struct user_end *u = container_of(w, struct user_end, w);
	struct load *l = u->load;
	uint64_t before = l->pings;
	ssize_t n = dial(u);

	if (n == -EAGAIN) /* the dial wakes us */
		return;
	if (n == 0)
		n = step(u);
	if (n <= 0 && n != -EAGAIN)
		load_die("user", n ? (int)n : -ECONNRESET);
	if ((l->reconnect || l->leave) && l->pings > before) {
		user_free(u);
		if (l->reconnect)
			load_user_new(l, LOAD_PING);
	} else if (n > 0) {
		loop_queue(l->loop, w);
	} else {
		stream_want(u->s, !u->asked || u->wish == LOAD_UP ? STREAM_WR : STREAM_RD, w);
	}
}

void load_user_new(struct load *l, enum load_wish wish)
{
	struct user_end *u = calloc(1, sizeof(*u));

	if (!u)
		load_die("memory", -ENOMEM);
	u->load = l;
	u->wish = (uint8_t)wish;
	bufq_init(&u->q, loop_pool(l->loop), SIZE_MAX);
	waiter_init(&u->w, on_wake);
	u->dial = dialer_dial(l->dialer, l->loop, &l->to, &u->w);
	if (!u->dial)
		load_die("memory", -ENOMEM);
	l->npending += 1 + (l->check > 0);
}
