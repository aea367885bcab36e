/* tls_relay.c - the TLS layer as the node uses it: listener, handshake, relay to a target. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "net/listener.h"
#include "stream/relay.h"
#include "stream/tcp.h"
#include "tls/self_signed.h"
#include "tls/server.h"
#include "tls_bench.h"

struct conn {
	struct stream *client, *target;
	struct waiter step, ended;
	struct relay relay;
};

static struct tls_server_conf *conf;
static struct loop *loop;
static struct addr target;
static struct timer trim;
static bool dial_late;
static const struct relay_conf relay_conf = {.splice = true};

static void conn_free(struct conn *c)
{
	relay_stop(&c->relay);
	waiter_cancel(&c->step);
	stream_free(c->client);
	stream_free(c->target);
	loop_free_later(loop, c);
}

static void ended(struct waiter *w)
{
	conn_free(container_of(w, struct conn, ended));
}

static void step(struct waiter *w)
{
	struct conn *c = container_of(w, struct conn, step);
	struct stream *waits = c->client;
	int err = stream_open(c->client);

	if (!err && dial_late)
		return; /* idle: only memory is of interest */
	if (!err && !c->target)
		err = tcp_connect(loop, &target, NULL, &c->target);
	if (!err) {
		waits = c->target;
		err = stream_open(c->target);
	}
	if (err == -EAGAIN)
		stream_want(waits, STREAM_RD | STREAM_WR, w);
	else if (err)
		conn_free(c);
	else
		relay_start(&c->relay, &(struct relay_plan){.a = c->client,
							    .b = c->target,
							    .conf = &relay_conf,
							    .done = &c->ended});
}

static void accepted(struct listener *l, int fd, const struct addr *peer)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct stream *tcp = tcp_stream_new(loop, fd, peer);

	if (!c || !tcp)
		abort();
	c->client = tls_server_new(tcp, conf);
	if (!c->client)
		abort();
	waiter_init(&c->step, step);
	waiter_init(&c->ended, ended);
	loop_queue(loop, &c->step);
}

static void make_conf(bool tls12)
{
	struct cert_store *cs = cert_store_new();
	struct tls_server_options o = {
		.certs = cs, .tickets = 2, .max_version = tls12 ? 0x0303 : 0};
	char *cert, *key, why[200];

	if (!cs || self_signed_pem("bench.example", &cert, &key) ||
	    cert_store_add_pem(cs, cert, strlen(cert), key, strlen(key), why, sizeof(why)))
		abort();
	conf = tls_server_conf_new(&o, why, sizeof(why));
	if (!conf)
		abort();
	free(cert);
	free(key);
	cert_store_put(cs);
}

static void trim_now(struct timer *t)
{
	malloc_trim(0);
	timer_set(loop, t, loop_now(loop) + NSEC_SEC);
}

void tls_relay(const struct bench *b, int listener)
{
	static struct listener l;

	make_conf(!strcmp(b->way, "libssl"));
	dial_late = b->bytes == 0;
	loop = loop_new(LOOP_EPOLL, 0);
	if (!loop || addr_parse_ip(&target, "127.0.0.1", b->target_port))
		abort();
	listener_init(&l, loop, accepted);
	if (listener_adopt(&l, listener))
		abort();
	timer_init(&trim, trim_now);
	timer_set(loop, &trim, loop_now(loop) + NSEC_SEC);
	loop_run(loop);
}
