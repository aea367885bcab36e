/* Shadowsocks as the rest of the program meets it: a line in registry.c. */
#include <stdlib.h>

#include "crypto/ct.h"
#include "proto/shadowsocks/ss_layer.h"
#include "proto/shadowsocks/ss_memory.h"
#include "proto/shadowsocks/ss_udp.h"

/* ---- users ------------------------------------------------------------------------------- */

/* A 2022 method without identity headers has one key, the server's, and one user. */
static bool shares_key(const struct ss_conf *c)
{
	return c->method->class == SS_2022 && !c->named;
}

static int derive(const void *conf, const char *credential, size_t len, uint8_t *key,
		  uint8_t *secret)
{
	const struct ss_conf *c = conf;

	if (shares_key(c))
		return ss_user_of_psk(c->method, c->psk, key, secret);
	return ss_user_derive(c->method, SS_CREDENTIAL_TEXT, credential, len, key, secret);
}

static bool same_users(const void *conf, const void *other)
{
	const struct ss_conf *a = conf, *b = other;

	return a->method == b->method &&
	       (!shares_key(a) || ct_equal(a->psk, b->psk, sizeof(a->psk)));
}

/* ---- what it keeps ----------------------------------------------------------------------- */

static int memory_new(void **out)
{
	struct ss_memory *m;
	int err = ss_memory_new(&m);

	if (!err)
		*out = m;
	return err;
}

static void memory_free(void *memory)
{
	ss_memory_free(memory);
}

static void conf_free(void *conf)
{
	struct ss_conf *c = conf;

	cleanse(c->psk, sizeof(c->psk));
	free(c);
}

static int port_new(const void *conf, void *memory, unsigned workers, void **out)
{
	const struct ss_conf *c = conf;
	const struct ss_finder_conf fc = {c->method, c->named ? c->psk : NULL, workers, c->known};
	struct ss_finder *f = NULL;
	int err = ss_method_insecure(c->method) ? 0 : ss_finder_new(&fc, &f);

	if (!err)
		*out = f;
	return err;
}

static void port_free(void *port)
{
	ss_finder_free(port);
}

/* ---- UDP --------------------------------------------------------------------------------- */

static struct ss_udp_service service_of(const struct proto_udp_service *s)
{
	const struct ss_conf *c = s->inbound->conf;

	return (struct ss_udp_service){
		.method = c->method,
		.psk = c->named ? c->psk : NULL,
		.finder = s->inbound->port,
		.replay = c->packets,
		.sessions = c->sessions,
		.users = &s->inbound->users,
		.hidden = s->hidden,
	};
}

static int udp_start(struct loop *loop, int fd, int family, const struct proto_udp_service *service,
		     void **out)
{
	const struct ss_udp_service s = service_of(service);
	struct ss_udp *u;
	int err = ss_udp_new(loop, fd, family, &s, service->opened, service->arg, &u);

	if (!err)
		*out = u;
	return err;
}

static void udp_use(void *udp, const struct proto_udp_service *service)
{
	const struct ss_udp_service s = service_of(service);

	ss_udp_use(udp, &s, service->opened, service->arg);
}

static void udp_close(void *udp)
{
	ss_udp_close(udp);
}

static void udp_let_go(void *udp)
{
	ss_udp_let_go(udp);
}

static const struct proto_udp_ops udp_ops = {
	.start = udp_start,
	.use = udp_use,
	.close = udp_close,
	.let_go = udp_let_go,
};

const struct proto shadowsocks_proto = {
	.name = "shadowsocks",
	.key_len = SS_KEY_MAX,
	.secret_len = SS_KEY_MAX,
	.user_derive = derive,
	.same_users = same_users,
	.server = ss_server,
	.memory_new = memory_new,
	.memory_free = memory_free,
	.conf_free = conf_free,
	.port_new = port_new,
	.port_free = port_free,
	.udp = &udp_ops,
};
