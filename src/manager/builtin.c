/* builtin.c - servers inside this process: a light port for each. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "crypto/ct.h"
#include "manager/engine_impl.h"
#include "manager/profile_check.h"
#include "net/sock.h"
#include "node/port.h"
#include "plugin/plugin.h"
#include "proto/shadowsocks/shadowsocks.h"
#include "proto/shadowsocks/ss_memory.h"
#include "proto/shadowsocks/ss_udp.h"

#define HANDSHAKE   (10 * NSEC_SEC)
#define DIAL	    (15 * NSEC_SEC)
#define IDLE	    (300 * NSEC_SEC)
#define LINGER	    (30 * NSEC_SEC)
#define UDP_IDLE    (60 * NSEC_SEC)
#define DEVICE_TIME 60 /* seconds: nobody asks, so it is forgotten soon */
#define OPEN_TRIES  20

struct builtin {
	struct engine e;
	struct ports *ports;
	/* One memory of salts for all ports: they are random, and 5,000 memories would be 5,000 times
	 * as much.  Nothing else is shared. */
	struct ss_memory salts;
	unsigned given_up; /* ports on their way out that are no instances */
};

struct built {
	struct instance i;
	struct port *port;
	struct plugin *plugin; /* NULL: none */
	bool plugin_stopping, port_closed;
};

/* ---- on the port's worker ---------------------------------------------------------------- */

struct service {
	struct port_service s;
	struct ss_conf conf;
	struct ss_finder *finder;
	struct built *built;
	unsigned nudp;
	struct ss_udp *udp[]; /* as many as there are sockets */
};

static void settle_in(struct port_service *ps, struct session_inbound *in)
{
	struct service *s = container_of(ps, struct service, s);

	in->proto.conf = &s->conf;
	in->proto.port = s->finder;
}

static struct stream *serve(struct port_service *ps, struct stream *lower,
			    const struct proto_inbound *in)
{
	return shadowsocks_proto.server(lower, in);
}

static void on_association(void *arg, struct dgram *client, const struct stream_request *request,
			   const struct addr *peer)
{
	port_take_udp(arg, client, request, peer);
}

static int udp_start(struct port_service *ps, int fd, struct session_inbound *in)
{
	struct service *s = container_of(ps, struct service, s);
	const struct ss_udp_service us = {
		.method = s->conf.method,
		.psk = s->conf.named ? s->conf.psk : NULL,
		.finder = s->finder,
		.replay = s->conf.packets,
		.users = &in->proto.users,
	};
	struct addr at;
	int err = sock_local(fd, &at);

	if (!err)
		err = ss_udp_new(in->loop, fd, at.sa.sa_family, &us, on_association, in,
				 &s->udp[s->nudp]);
	if (!err)
		s->nudp++;
	return err;
}

static void udp_stop(struct port_service *ps)
{
	struct service *s = container_of(ps, struct service, s);

	while (s->nudp)
		ss_udp_close(s->udp[--s->nudp]);
}

static void service_drop(struct service *s)
{
	ss_finder_free(s->finder);
	cleanse(s->conf.psk, sizeof(s->conf.psk));
	free(s);
}

static void service_free(struct port_service *ps)
{
	service_drop(container_of(ps, struct service, s));
}

/* On control. */
static void on_failed(struct port_service *ps, int err)
{
	engine_lost(&container_of(ps, struct service, s)->built->i, err, NULL);
}

/* ---- from a profile ---------------------------------------------------------------------- */

struct plan {
	struct builtin *b;
	const struct profile *p;
	uint32_t generation;
	const struct ss_method *method;
	struct addr tcp[PORT_LISTEN_MAX], udp[PORT_LISTEN_MAX];
	unsigned ntcp, nudp;
	enum plugin_place tcp_place, udp_place;
	struct user_entry *entries;
	size_t nentries;
	struct built *built; /* what it will be */
	char *why;
};

#define refuse(pl, ...) err_say(-ERR_CONFIG, (pl)->why, PROFILE_WHY_MAX, __VA_ARGS__)

bool engine_method_insecure(const char *name)
{
	const struct ss_method *m = ss_method_find(name);

	return m && ss_method_insecure(m);
}

static int plan_method(struct plan *pl)
{
	int err = profile_method(pl->p->method, &pl->b->e.conf.insecure_methods, &pl->method,
				 pl->why);

	if (err)
		return err;
	if (pl->p->nusers && (pl->method->class != SS_2022 || !pl->method->identity))
		return refuse(pl, "method %s has one user", pl->method->name);
	return 0;
}

static const struct json_list *listen_of(const struct plan *pl)
{
	static const char *any[] = {"0.0.0.0"};
	static const struct json_list fallback = {.items = any, .count = 1};

	if (pl->p->listen.count)
		return &pl->p->listen;
	return pl->b->e.conf.listen.count ? &pl->b->e.conf.listen : &fallback;
}

static int plan_public(struct plan *pl, struct addr *out, unsigned *n)
{
	const struct json_list *l = listen_of(pl);

	if (l->count > PORT_LISTEN_MAX)
		return refuse(pl, "more than %d addresses to listen on", PORT_LISTEN_MAX);
	for (size_t i = 0; i < l->count; i++) {
		if (addr_parse_ip(&out[i], *l->items[i] ? l->items[i] : "0.0.0.0", pl->p->port))
			return refuse(pl, "%.60s is no address to listen on", l->items[i]);
	}
	*n = (unsigned)l->count;
	return 0;
}

static enum plugin_net net_of(uint8_t mode)
{
	return mode == PROFILE_BOTH  ? PLUGIN_TCP_AND_UDP
	       : mode == PROFILE_UDP ? PLUGIN_UDP_ONLY
				     : PLUGIN_TCP_ONLY;
}

static int plan_places(struct plan *pl)
{
	const struct json_list *l = listen_of(pl);
	int err = 0;

	pl->tcp_place = pl->p->mode & PROFILE_TCP ? PLUGIN_PUBLIC : PLUGIN_NOWHERE;
	pl->udp_place = pl->p->mode & PROFILE_UDP ? PLUGIN_PUBLIC : PLUGIN_NOWHERE;
	if (pl->p->plugin && plugin_places(net_of(pl->p->mode), net_of(pl->p->plugin_mode),
					   &pl->tcp_place, &pl->udp_place))
		return refuse(pl, "plugin_mode does not fit mode");
	if (pl->tcp_place == PLUGIN_PUBLIC)
		err = plan_public(pl, pl->tcp, &pl->ntcp);
	if (!err && pl->udp_place == PLUGIN_PUBLIC)
		err = plan_public(pl, pl->udp, &pl->nudp);
	if (pl->tcp_place == PLUGIN_LOOPBACK)
		pl->tcp[pl->ntcp++] = plugin_loopback(l->items, l->count);
	if (pl->udp_place == PLUGIN_LOOPBACK)
		pl->udp[pl->nudp++] = plugin_loopback(l->items, l->count);
	return err;
}

static int plan_users(struct plan *pl)
{
	const struct profile *p = pl->p;
	size_t n = p->nusers ? p->nusers : 1;

	pl->entries = calloc(n, sizeof(*pl->entries));
	if (!pl->entries)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *key = p->nusers ? p->users[i].key : p->password;

		pl->entries[i] = (struct user_entry){
			.id = traffic_id(p->port, pl->generation,
					 (uint16_t)(p->nusers ? i + 1 : 0)),
			.credential = key,
			.credential_len = (uint32_t)strlen(key),
		};
	}
	pl->nentries = n;
	return 0;
}

/* Two users with one key are the table's business; a key that is none is named here. */
static int derive(void *arg, const char *credential, size_t len, uint8_t *key, uint8_t *secret)
{
	return ss_user_derive(arg, SS_CREDENTIAL_KEY, credential, len, key, secret);
}

static int plan_service(struct plan *pl, struct service **out)
{
	const struct ss_finder_conf *conf;
	struct service *s = calloc(1, sizeof(*s) + pl->nudp * sizeof(s->udp[0]));
	int err = 0;

	if (!s)
		return -ENOMEM;
	s->s = (struct port_service){.settle_in = settle_in,
				     .server = serve,
				     .udp_start = udp_start,
				     .udp_stop = udp_stop,
				     .failed = on_failed,
				     .free = service_free};
	s->built = pl->built;
	s->conf.method = pl->method;
	s->conf.named = pl->p->nusers > 0;
	ss_memory_of_salts(&pl->b->salts, &s->conf);
	if (s->conf.named)
		err = ss_key(pl->method, pl->p->password, strlen(pl->p->password), s->conf.psk);
	if (err == -ERR_MALFORMED)
		err = refuse(pl, "password is no key of method %s", pl->method->name);
	conf = &(struct ss_finder_conf){.method = pl->method,
					.psk = s->conf.named ? s->conf.psk : NULL,
					.workers = pl->b->e.conf.workers->n};
	if (!err && !ss_method_insecure(pl->method))
		err = ss_finder_new(conf, &s->finder);
	if (err) {
		service_drop(s);
		return err;
	}
	*out = s;
	return 0;
}

/* The number that the kernel has chosen for TCP may be somebody's for UDP: another one, then. */
static int open_port(const struct plan *pl, const struct port_conf *conf, struct port **out)
{
	bool any = pl->tcp_place == PLUGIN_LOOPBACK && pl->udp_place == PLUGIN_LOOPBACK;
	int err, tries = 0;

	do
		err = port_open(pl->b->ports, conf, out);
	while (err == -EADDRINUSE && any && ++tries < OPEN_TRIES);
	return err;
}

static int plan_open(struct plan *pl, const struct port *old, struct port **out)
{
	nsec_t idle = pl->p->timeout_s ? pl->p->timeout_s * NSEC_SEC : IDLE;
	struct port_conf conf = {
		.tcp = pl->tcp,
		.udp = pl->udp,
		.ntcp = pl->ntcp,
		.nudp = pl->nudp,
		.tfo = pl->p->fast_open ? LISTENER_TFO : 0,
		.times = {.handshake = HANDSHAKE,
			  .dial = DIAL,
			  .udp_idle = UDP_IDLE,
			  .relay = {.idle = idle, .linger = LINGER, .splice = true}},
		.users = {.key_len = shadowsocks_proto.key_len,
			  .secret_len = shadowsocks_proto.secret_len,
			  .derive = derive,
			  .derive_arg = (void *)(uintptr_t)pl->method,
			  .rules = {.grace_s = DEVICE_TIME}},
		.entries = pl->entries,
		.nentries = pl->nentries,
		.inherit = old,
	};
	struct service *s;
	int err = plan_service(pl, &s);

	if (err)
		return err;
	conf.service = &s->s;
	err = open_port(pl, &conf, out);
	if (err)
		service_free(&s->s);
	if (err == -ERR_MALFORMED)
		return refuse(pl, "%s is no key of method %s",
			      pl->p->nusers ? "a user's password" : "password", pl->method->name);
	if (err == -EEXIST)
		return refuse(pl, "two users have the same password");
	return err;
}

/* ---- plugins ----------------------------------------------------------------------------- */

static void plugin_ended(void *arg, struct plugin *pl, const char *how)
{
	struct built *b = arg;

	engine_tell(&b->i, plugin_state(pl) == PLUGIN_GIVEN_UP ? ENGINE_GAVE_UP : ENGINE_DOWN,
		    -EPIPE, how);
}

static void plugin_ready(void *arg, struct plugin *pl, bool accepts)
{
	engine_tell(&((struct built *)arg)->i, ENGINE_UP, 0, NULL);
}

static int start_plugin(struct built *b, const struct plan *pl)
{
	const struct json_list *l = listen_of(pl);
	const struct plugin_hooks hooks = {.arg = b, .ended = plugin_ended, .ready = plugin_ready};
	char hosts[PLUGIN_HOST_MAX], local[ADDR_TEXT_MAX], tag[16];
	const char **args = calloc(pl->p->plugin_args.count + 1, sizeof(*args));
	struct addr at = plugin_loopback(l->items, l->count);
	struct plugin_spec spec = {
		.tag = tag,
		.name = pl->p->plugin,
		.options = pl->p->plugin_opts ? pl->p->plugin_opts : "",
		.args = args,
		.path = pl->b->e.conf.plugin_path,
		.stop_timeout = pl->b->e.conf.plugin_stop_timeout,
		.remote_host = hosts,
		.remote_port = pl->p->port,
		.local_host = local,
		.local_port = port_bound(b->port),
		.no_probe = pl->p->plugin_mode == PROFILE_UDP,
	};
	size_t nhosts = pl->b->e.conf.plugin_single_host ? MIN(l->count, 1u) : l->count;
	int err = args ? plugin_hosts_join(l->items, nhosts, hosts) : -ENOMEM;

	snprintf(tag, sizeof(tag), "%u", pl->p->port);
	addr_format_ip(&at, local);
	for (size_t i = 0; args && i < pl->p->plugin_args.count; i++)
		args[i] = pl->p->plugin_args.items[i];
	if (!err)
		err = plugin_start(b->i.engine->conf.loop, &spec, &hooks, &b->plugin, pl->why);
	free(args);
	/* Whatever keeps the program from running is a matter of what was asked for. */
	if (err && err != -ENOMEM)
		err = -ERR_CONFIG;
	return err;
}

/* ---- instances --------------------------------------------------------------------------- */

static void maybe_gone(struct built *b)
{
	if (b->port_closed && !b->plugin_stopping)
		engine_gone(&b->i);
}

static void on_port_closed(void *arg)
{
	struct built *b = arg;

	b->port_closed = true;
	maybe_gone(b);
}

static void on_plugin_stopped(void *arg, struct plugin *pl)
{
	struct built *b = arg;

	plugin_free(pl);
	b->plugin = NULL;
	b->plugin_stopping = false;
	maybe_gone(b);
}

static void builtin_stop(struct instance *i, nsec_t grace)
{
	struct built *b = container_of(i, struct built, i);

	if (b->plugin && !b->plugin_stopping) {
		b->plugin_stopping = true;
		plugin_stop(b->plugin, on_plugin_stopped, b);
	}
	port_close(b->port, grace, on_port_closed, b);
}

static void builtin_hasten(struct instance *i)
{
	builtin_stop(i, 0);
}

static void free_now(void *arg)
{
	struct built *b = arg;
	struct builtin *all = container_of(b->i.engine, struct builtin, e);

	port_free(b->port, true);
	free(b);
	if (--all->given_up == 0 && all->e.ending)
		engine_ended(&all->e);
}

/* Its plugin could not be started: nobody has used it, its slots hold nothing. */
static void give_up(struct built *b)
{
	container_of(b->i.engine, struct builtin, e)->given_up++;
	port_close(b->port, 0, free_now, b);
}

static int launch(struct plan *pl, const struct built *old, struct built **out)
{
	struct built *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	b->i.engine = &pl->b->e;
	pl->built = b;
	err = plan_open(pl, old ? old->port : NULL, &b->port);
	if (err) {
		free(b);
		return err;
	}
	if (pl->p->plugin)
		err = start_plugin(b, pl);
	if (err) {
		give_up(b);
		return err;
	}
	*out = b;
	return 0;
}

static int builtin_start(struct engine *e, const struct profile *p, uint32_t generation,
			 struct instance *old, struct instance **out, char why[PROFILE_WHY_MAX])
{
	struct built *b, *was = old ? container_of(old, struct built, i) : NULL;
	struct plan pl = {.b = container_of(e, struct builtin, e),
			  .p = p,
			  .generation = generation,
			  .why = why};
	int err = plan_method(&pl);

	if (!err)
		err = plan_places(&pl);
	/* A plugin binds the port itself, and the old one has it. */
	if (!err && was && (was->plugin || p->plugin))
		err = -EAGAIN;
	if (!err)
		err = plan_users(&pl);
	if (!err)
		err = launch(&pl, was, &b);
	free(pl.entries);
	if (err)
		return err;
	*out = &b->i;
	return 0;
}

static void builtin_traffic(const struct instance *i, struct traffic *out)
{
	port_traffic(container_of(i, struct built, i)->port, out);
}

static size_t builtin_slots(const struct instance *i, uint32_t *out)
{
	const struct user_table *t = port_users(container_of(i, struct built, i)->port);

	if (out)
		user_fixed_slots(t, out);
	return user_table_count(t);
}

static void builtin_free(struct instance *i, bool settled)
{
	struct built *b = container_of(i, struct built, i);

	plugin_free(b->plugin);
	port_free(b->port, settled);
	free(b);
}

/* ---- the engine -------------------------------------------------------------------------- */

static int builtin_end(struct engine *e)
{
	return container_of(e, struct builtin, e)->given_up ? -EINPROGRESS : 0;
}

static void builtin_done(struct engine *e)
{
	struct builtin *b = container_of(e, struct builtin, e);

	ports_free(b->ports);
	replay_free(b->salts.streams);
	replay_free(b->salts.streams_2022);
	replay_free(b->salts.packets);
}

static int builtin_init(struct engine *e, char why[PROFILE_WHY_MAX])
{
	struct builtin *b = container_of(e, struct builtin, e);
	const struct direct_conf direct = {.allow_private = e->conf.allow_private};
	const struct port_world world = {
		.workers = e->conf.workers,
		.counters = e->conf.counters,
		.ledger_node = e->conf.ledger_node,
		.direct = &direct,
	};
	int err = ports_new(&world, &b->ports);

	if (!err)
		err = replay_new_counted(SS_REPLAY_MIN, &b->salts.streams);
	if (!err)
		err = replay_new_timed(SS_REPLAY_KEEP, &b->salts.streams_2022);
	if (!err)
		err = replay_new_counted(SS_REPLAY_MIN, &b->salts.packets);
	if (err)
		builtin_done(e);
	return err;
}

const struct engine_ops engine_builtin = {
	.kind = "builtin",
	.size = sizeof(struct builtin),
	.init = builtin_init,
	.start = builtin_start,
	.stop = builtin_stop,
	.hasten = builtin_hasten,
	.traffic = builtin_traffic,
	.slots = builtin_slots,
	.free = builtin_free,
	.end = builtin_end,
	.done = builtin_done,
};
