/* hold.c - sessions that must go on, whatever is done to the server meanwhile.
 *
 *     hold LINKS TARGET-PORT
 *
 * LINKS holds a share link a line, a user each.  The first downloads for ever, RATE at most; each
 * of the others sends 100 bytes every PERIOD, once those before have come back.  All are served: it
 * prints "held N".  From then on it answers each line of standard input with one of JSON, of what has
 * been since the last: the longest time between two arrivals in one session, of the slow ones and of
 * the download, in microseconds, and how many sessions have been lost since the beginning.  It ends
 * with its standard input.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crypto/aead.h"
#include "load.h"
#include "load_way.h"

#define HELD_MAX 1024
#define PERIOD	 (20 * NSEC_MS)
#define RATE	 50 /* bytes a microsecond, that is MB a second */

struct held {
	struct load_way way;
	struct waiter w;
	struct timer t; /* the next message; the download: the next read */
	struct dial *dial;
	struct stream *s; /* NULL while dialling, and when lost */
	struct bufq out, in;
	bool bulk, served;
	size_t due;  /* of an answer */
	double last; /* arrival */
};

static struct load load;
static struct held held[HELD_MAX];
static int nheld, nserved, nlost;
static double longest[2]; /* the download's is the second */

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec * 1e-3;
}

static void lose(struct held *h, int err)
{
	fprintf(stderr, "hold: session %d is lost: %d\n", (int)(h - held), err);
	nlost++;
	timer_stop(&h->t);
	waiter_cancel(&h->w);
	bufq_done(&h->out);
	stream_free(h->s);
	h->s = NULL;
}

static void arrived(struct held *h, size_t n)
{
	double now = now_us();

	if (h->served)
		longest[h->bulk] = MAX(longest[h->bulk], now - h->last);
	h->last = now;
	nserved += !h->served;
	h->served = true;
	h->due -= MIN(n, h->due);
}

/* 0: wait for more. */
static int receive(struct held *h)
{
	ssize_t n = stream_pull(h->s, &h->in, LOAD_BLOCK);

	bufq_done(&h->in);
	if (n == -EAGAIN) {
		stream_want(h->s, STREAM_RD, &h->w);
		return 0;
	}
	if (n <= 0)
		return n ? (int)n : -ECONNRESET;
	arrived(h, (size_t)n);
	if (h->bulk)
		timer_set(load.loop, &h->t, loop_now(load.loop) + n * NSEC_US / RATE);
	else
		loop_queue(load.loop, &h->w);
	return 0;
}

static void dialled(struct held *h)
{
	int err = dial_result(h->dial, &h->s);

	if (err && err != -EAGAIN)
		lose(h, err);
	else if (!err) /* not all in the same moment */
		timer_set(load.loop, &h->t, loop_now(load.loop) + (h - held) % 20 * NSEC_MS);
}

static void on_wake(struct waiter *w)
{
	struct held *h = container_of(w, struct held, w);
	ssize_t n = 0;

	if (!h->s) {
		dialled(h);
		return;
	}
	if (!bufq_empty(&h->out))
		n = stream_push(h->s, &h->out);
	if (n == -EAGAIN)
		stream_want(h->s, STREAM_WR, &h->w);
	if (n >= 0 || n == -EAGAIN)
		n = receive(h);
	if (n < 0)
		lose(h, (int)n);
}

static void on_time(struct timer *t)
{
	struct held *h = container_of(t, struct held, t);
	char message[LOAD_MESSAGE] = {h->bulk ? LOAD_DOWN : LOAD_PING};
	size_t len = h->bulk ? 1 : LOAD_MESSAGE;

	if (!h->bulk)
		timer_set(load.loop, t, t->at + PERIOD);
	if (h->bulk ? !h->due && !h->served : !h->due) {
		h->due = len;
		if (bufq_append(&h->out, message, len))
			load_die("memory", -ENOMEM);
	}
	loop_queue(load.loop, &h->w);
}

static void hold_one(struct held *h, const char *link)
{
	load_way_open(&h->way, load.loop, link, NULL);
	bufq_init(&h->out, loop_pool(load.loop), SIZE_MAX);
	bufq_init(&h->in, loop_pool(load.loop), SIZE_MAX);
	waiter_init(&h->w, on_wake);
	timer_init(&h->t, on_time);
	h->dial = dialer_dial(h->way.dialer, load.loop, &load.to, &h->w);
	if (!h->dial)
		load_die("memory", -ENOMEM);
}

static void hold_all(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[512];

	if (!f)
		load_die(path, -errno);
	while (nheld < HELD_MAX && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		held[nheld].bulk = nheld == 0;
		hold_one(&held[nheld++], line);
	}
	fclose(f);
}

static void on_line(struct watch *w, unsigned ev)
{
	char text[256];
	ssize_t n = read(w->fd, text, sizeof(text));

	if (n <= 0) {
		loop_stop(load.loop);
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (text[i] != '\n')
			continue;
		printf("{\"slow\": %.0f, \"bulk\": %.0f, \"lost\": %d}\n", longest[0], longest[1],
		       nlost);
		longest[0] = longest[1] = 0;
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static struct watch lines = {.fd = STDIN_FILENO, .fire = on_line};
	struct addr target;

	if (argc != 3) {
		fprintf(stderr, "usage: see the top of the source\n");
		return 2;
	}
	(void)aead_init("auto");
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	load.loop = loop_new(LOOP_EPOLL, 0);
	if (!load.loop)
		load_die("loop", -ENOMEM);
	target = addr_from_ip4("\x7f\0\0\1", (uint16_t)atoi(argv[2]));
	dest_set_addr(&load.to, &target);
	load_target_open(&load, addr_port(&target));
	hold_all(argv[1]);
	while (nserved < nheld && !nlost)
		loop_turn(load.loop, 10 * NSEC_MS);
	if (nlost)
		return 1;
	printf("held %d\n", nheld);
	fflush(stdout);
	if (watch_set(load.loop, &lines, IO_RD))
		load_die("standard input", -EINVAL);
	loop_run(load.loop);
	return 0;
}
