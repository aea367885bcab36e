/* The client's end of a UDP association: a dgram over a dgram.  2022 is one session of ours and, one at a
 * time, the server's; one that it had before may still have packets on the way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/random.h"
#include "crypto/replay_window.h"
#include "proto/shadowsocks/shadowsocks.h"
#include "proto/shadowsocks/ss_packet.h"
#include "proto/shadowsocks/ss_wire.h"

/* What the server calls a session. */
struct theirs {
	uint8_t id[SS_SESSION_LEN];
	struct aead_key open;
	struct replay_window window;
	bool known;
};

struct client_udp {
	struct dgram d;
	struct dgram *udp;
	struct dest *server;
	struct ss_client_conf conf;
	/* 2022 */
	uint8_t name[2][SS_IDENTITY_LEN];
	struct ss_separate ours;
	struct aead_key seal;
	struct theirs theirs[2]; /* latest first */
};

static struct client_udp *of(const struct dgram *d)
{
	return container_of(d, struct client_udp, d);
}

/* ---- receiving --------------------------------------------------------------------------- */

static bool is_x(const struct client_udp *c)
{
	return c->conf.method->alg == AEAD_CHACHA20_POLY1305;
}

static void forget(struct theirs *t)
{
	aead_key_clear(&t->open);
	*t = (struct theirs){0};
}

/* This session of theirs, or a new one in `fresh`, which counts only once a packet has opened. */
static struct theirs *theirs_of(struct client_udp *c, const struct ss_separate *sep,
				struct theirs *fresh)
{
	uint8_t sub[SS_KEY_MAX];

	for (int i = 0; i < 2; i++) {
		if (c->theirs[i].known && !memcmp(c->theirs[i].id, sep->session, SS_SESSION_LEN))
			return &c->theirs[i];
	}
	*fresh = (struct theirs){.known = true};
	memcpy(fresh->id, sep->session, SS_SESSION_LEN);
	if (ss_subkey(c->conf.method, c->conf.key, sep->session, SS_SESSION_LEN, sub))
		return NULL;
	aead_key_set(&fresh->open, (enum aead_alg)c->conf.method->alg, sub);
	cleanse(sub, sizeof(sub));
	return fresh;
}

static struct theirs *keep(struct client_udp *c, struct theirs *fresh)
{
	forget(&c->theirs[1]);
	c->theirs[1] = c->theirs[0];
	c->theirs[0] = *fresh;
	return &c->theirs[0];
}

static int open_2022(struct client_udp *c, struct buf *b)
{
	struct theirs fresh = {0}, *t;
	struct ss_separate sep;
	struct ss_body body;
	int err;

	if (is_x(c))
		err = ss_body_open_x(c->conf.key, true, b, &sep, &body);
	else if (buf_len(b) < SS_SEPARATE_LEN + AEAD_TAG)
		err = -ERR_MORE;
	else
		err = ss_separate_open(c->conf.method, c->conf.key, buf_head(b), &sep);
	if (err)
		return err;
	t = theirs_of(c, &sep, &fresh);
	if (!t)
		return -ERR_CRYPTO;
	if (!replay_window_fresh(&t->window, sep.packet))
		return -ERR_REPLAY;
	if (!is_x(c))
		err = ss_body_open(&t->open, &sep, SS_SEPARATE_LEN, true, b, &body);
	if (!err && (!ss_time_ok(body.time, loop_wall(c->d.loop)) ||
		     memcmp(body.client, c->ours.session, SS_SESSION_LEN) != 0))
		err = -ERR_AUTH;
	if (err) {
		forget(&fresh);
		return err;
	}
	if (t == &fresh)
		t = keep(c, &fresh);
	replay_window_mark(&t->window, sep.packet);
	return 0;
}

/* Open it, and take the address off: false drops the packet. */
static bool unwrap(struct client_udp *c, struct packet *p)
{
	struct buf *b = p->buf;
	struct rd r;
	int err;

	if (!dest_equal(&p->dest, c->server))
		return false;
	if (c->conf.method->class != SS_2022)
		err = ss_packet_open(c->conf.method, c->conf.key, b, loop_scratch(c->d.loop));
	else
		err = open_2022(c, b);
	if (err)
		return false;
	r = rd_of(buf_head(b), buf_len(b));
	rd_dest(&r, DEST_SOCKS, &p->dest);
	b->start += (uint32_t)r.pos;
	return !r.err;
}

static int recv_batch(struct client_udp *c, struct packet *p, int max)
{
	int n = dgram_recv(c->udp, p, max), kept = 0;

	for (int i = 0; i < n; i++) {
		if (!unwrap(c, &p[i])) {
			c->d.dropped++;
			buf_free(p[i].buf);
			continue;
		}
		if (kept != i)
			p[kept] = p[i];
		kept++;
	}
	return n > 0 ? kept : n;
}

static int client_recv(struct dgram *d, struct packet *p, int max)
{
	int n = 0;

	while (n == 0)
		n = recv_batch(of(d), p, max);
	return n;
}

/* ---- sending ----------------------------------------------------------------------------- */

static int seal(struct client_udp *c, struct packet *p)
{
	const struct ss_client_conf *conf = &c->conf;
	uint8_t salt[SS_SALT_MAX];
	struct ss_packet_out o;

	if (conf->method->class != SS_2022) {
		random_bytes(salt, conf->method->salt_len);
		return ss_packet_seal(conf->method, conf->key, salt, p->buf, &p->dest);
	}
	o = (struct ss_packet_out){
		.method = conf->method,
		.session = &c->seal,
		.header_key = conf->nipsk && !is_x(c) ? conf->ipsk[0] : conf->key,
		.ipsk = conf->ipsk,
		.name = (const uint8_t(*)[SS_IDENTITY_LEN])c->name,
		.nipsk = is_x(c) ? 0 : conf->nipsk,
		.separate = c->ours,
		.time = (uint64_t)loop_wall(c->d.loop),
		.padding = ss_packet_padding(&p->dest, buf_len(p->buf)),
	};
	c->ours.packet++;
	return ss_packet_seal_2022(&o, p->buf, &p->dest);
}

static int client_send(struct dgram *d, struct packet *p, int n)
{
	struct client_udp *c = of(d);

	for (int i = 0; i < n; i++) {
		int err = seal(c, &p[i]);

		dest_copy(&p[i].dest, c->server);
		if (err || dgram_send(c->udp, &p[i], 1) < 1) {
			d->dropped++;
			buf_free(p[i].buf);
		}
		p[i].buf = NULL;
	}
	return n;
}

static void client_want(struct dgram *d, unsigned ev, struct waiter *w)
{
	dgram_want(of(d)->udp, ev, w);
}

static void client_free(struct dgram *d)
{
	struct client_udp *c = of(d);

	dgram_free(c->udp);
	forget(&c->theirs[0]);
	forget(&c->theirs[1]);
	aead_key_clear(&c->seal);
	cleanse(&c->conf, sizeof(c->conf));
	free(c->server);
	loop_free_later(d->loop, c);
}

static const struct dgram_ops client_udp_ops = {
	.name = "shadowsocks",
	.recv = client_recv,
	.send = client_send,
	.want = client_want,
	.free = client_free,
};

static int begin_session(struct client_udp *c)
{
	const struct ss_client_conf *conf = &c->conf;
	uint8_t sub[SS_KEY_MAX];
	int err;

	random_bytes(c->ours.session, SS_SESSION_LEN);
	for (unsigned i = 0; i < conf->nipsk; i++)
		ss_identity_hash(conf->method, i + 1 < conf->nipsk ? conf->ipsk[i + 1] : conf->key,
				 c->name[i]);
	err = ss_subkey(conf->method, conf->key, c->ours.session, SS_SESSION_LEN, sub);
	if (!err)
		aead_key_set(&c->seal, (enum aead_alg)conf->method->alg, sub);
	cleanse(sub, sizeof(sub));
	return err;
}

struct dgram *ss_client_udp(struct dgram *udp, const struct dest *server,
			    const struct ss_client_conf *conf)
{
	struct client_udp *c = calloc(1, sizeof(*c));

	if (!c || !(c->server = dest_dup(server))) {
		free(c);
		dgram_free(udp);
		return NULL;
	}
	c->d = (struct dgram){.ops = &client_udp_ops, .loop = udp->loop};
	c->udp = udp;
	c->conf = *conf;
	if (conf->method->class == SS_2022 && begin_session(c)) {
		client_free(&c->d);
		return NULL;
	}
	return &c->d;
}
