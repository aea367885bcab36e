#include "unit.h"

#include "hostile.h"
#include "packets.h"

size_t packet_size(uint8_t pattern, unsigned i, size_t min, size_t max)
{
	return min + (pattern * 7u + i * 13u) % (max - min + 1);
}

static uint8_t packet_byte(uint8_t pattern, unsigned i, size_t offset)
{
	return pattern_byte((uint8_t)(pattern + i * 3), offset);
}

static struct packet make(struct correspondent *c, unsigned i)
{
	struct packet p = {.buf = buf_new(loop_pool(c->d->loop))};
	size_t len = packet_size(c->tx, i, c->min, c->max);

	assert_non_null(p.buf);
	for (size_t k = 0; k < len; k++)
		p.buf->data[p.buf->end++] = packet_byte(c->tx, i, k);
	dest_copy(&p.dest, &c->to);
	return p;
}

static int send_some(struct correspondent *c)
{
	int n = (int)MIN(c->total - c->sent, c->batch ? c->batch : 3), k;
	struct packet p[DGRAM_BATCH];

	if (n == 0)
		return 0;
	for (int i = 0; i < n; i++)
		p[i] = make(c, c->sent + (unsigned)i);
	k = dgram_send(c->d, p, n);
	for (int i = MAX(k, 0); i < n; i++)
		buf_free(p[i].buf);
	for (int i = 0; i < k; i++)
		c->bytes_sent += packet_size(c->tx, c->sent++, c->min, c->max);
	return k;
}

static void check(struct correspondent *c, const struct packet *p)
{
	unsigned i = c->received++;
	size_t len = packet_size(c->rx, i, c->min, c->rx_max ? c->rx_max : c->max);

	c->bytes_received += len;
	if (buf_len(p->buf) != len)
		fail_msg("packet %u has %zu bytes, not %zu", i, buf_len(p->buf), len);
	for (size_t k = 0; k < len; k++)
		assert_int_equal(buf_head(p->buf)[k], packet_byte(c->rx, i, k));
	if (c->from.type != DEST_NONE)
		assert_true(dest_equal(&p->dest, &c->from));
}

static int receive_some(struct correspondent *c)
{
	struct packet p[4];
	int n = dgram_recv(c->d, p, ARRAY_LEN(p));

	for (int i = 0; i < n; i++) {
		check(c, &p[i]);
		buf_free(p[i].buf);
	}
	c->eof |= n == 0;
	return n;
}

static void on_wake(struct waiter *w)
{
	struct correspondent *c = container_of(w, struct correspondent, w);
	int out, in = 0;

	if (c->err)
		return;
	out = send_some(c);
	if (out == -EAGAIN)
		dgram_want(c->d, STREAM_WR, w);
	if (!c->eof)
		in = receive_some(c);
	if (in == -EAGAIN)
		dgram_want(c->d, STREAM_RD, w);
	if (out < 0 && out != -EAGAIN)
		c->err = out;
	else if (in < 0 && in != -EAGAIN)
		c->err = in;
	else if (out > 0 || in > 0)
		loop_queue(c->d->loop, w);
}

void correspondent_start(struct correspondent *c, struct dgram *d, uint8_t tx, uint8_t rx)
{
	c->d = d;
	c->tx = tx;
	c->rx = rx;
	waiter_init(&c->w, on_wake);
	loop_queue(d->loop, &c->w);
}

bool correspondent_done(const struct correspondent *c)
{
	return c->err || (c->sent == c->total && c->received >= c->expected);
}

void correspondent_stop(struct correspondent *c)
{
	waiter_cancel(&c->w);
	dgram_free(c->d);
	c->d = NULL;
}

struct packet packet_of(struct loop *l, const char *text, const char *dest)
{
	struct packet p = {.buf = buf_new(loop_pool(l))};

	assert_non_null(p.buf);
	memcpy(p.buf->data + p.buf->end, text, strlen(text));
	p.buf->end += (uint32_t)strlen(text);
	if (dest)
		assert_int_equal(dest_parse(&p.dest, dest), 0);
	return p;
}

void packet_expect(struct dgram *d, const char *text, const char *from)
{
	char at[DEST_TEXT_MAX];
	struct packet p;

	assert_int_equal(dgram_recv(d, &p, 1), 1);
	assert_int_equal(buf_len(p.buf), strlen(text));
	assert_memory_equal(buf_head(p.buf), text, strlen(text));
	if (from)
		assert_string_equal(dest_format(&p.dest, at), from);
	buf_free(p.buf);
}
