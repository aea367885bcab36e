/* connect.c - `weir connect`: a local SOCKS5 server, and forwards, through a share link. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "client/from_link.h"
#include "client/local.h"
#include "client/mux_conf.h"
#include "client/udp_forward.h"
#include "client/via_plugin.h"
#include "cmd/cmd.h"
#include "cmd/opt.h"
#include "crypto/aead.h"
#include "dns/dns.h"
#include "event/signals.h"
#include "proto/direct/direct.h"

#define FORWARDS_MAX 64
#define FILE_MAX     (64 * 1024)

static const int caught[] = {SIGTERM, SIGINT, 0};

struct args {
	const char *listen, *file, *ca, *link, *plugin, *plugin_mode, *mux;
	struct opt_many tcp, udp, pins;
	bool insecure, plain_udp;
};

struct forward {
	struct dest to;
	struct local local;
	struct udp_forward *udp;
};

struct connect {
	struct loop *loop;
	struct signals signals;
	struct dns *dns;
	struct own_addr own;
	struct direct direct;
	struct outbound_conf conf;
	struct outbound outbound;
	struct local socks;
	struct forward forwards[FORWARDS_MAX];
	size_t nforwards;
	const struct args *args;
	struct link_trust trust;
	char program[PATH_MAX], options[SHARE_LINK_MAX]; /* of a plugin; "": none */
	enum plugin_net net;				 /* what it carries */
	struct via_plugin *via;
	bool opened;
	int err; /* that ended it */
};

static const struct direct_conf anywhere = {.allow_private = true};

static const struct session_times alone = {
	.handshake = 30 * NSEC_SEC,
	.dial = 30 * NSEC_SEC,
	.udp_idle = 300 * NSEC_SEC,
	.relay = {.idle = 3600 * NSEC_SEC, .linger = 60 * NSEC_SEC, .splice = true},
};

/* Where streams share connections by a protocol that cannot say that only one direction has ended. */
static const struct session_times ends_whole = {
	.handshake = 30 * NSEC_SEC,
	.dial = 30 * NSEC_SEC,
	.udp_idle = 300 * NSEC_SEC,
	.relay = {.idle = 3600 * NSEC_SEC, .linger = 10 * NSEC_SEC, .splice = true},
};

/* ---- what to connect to ------------------------------------------------------------------ */

static int link_from_file(const char *path, struct arena *mem, struct share_link *link,
			  struct link_trust *trust, char why[FROM_LINK_WHY])
{
	struct json_value *doc;
	struct json_pos at = {0};
	const char *what = "";
	struct file file;
	int err = file_read(path, FILE_MAX, 0, &file);

	if (err) {
		snprintf(why, FROM_LINK_WHY, "%.150s: %s", path, err_text(err));
		return err;
	}
	err = json_parse(file.text, file.len, JSON_RELAXED, mem, &doc, &at, &what);
	file_done(&file);
	if (err) {
		snprintf(why, FROM_LINK_WHY, "%.150s:%u:%u: %s", path, at.line, at.column, what);
		return err;
	}
	return link_of_xray(doc, mem, link, trust, why);
}

/* A plugin that is a program of its own: kept for later, and no business of the outbound's.  A link
 * may come from anybody: it names plugins that are known, no other programs, and none of
 * the options of theirs that are known to do more than reach its server.
 */
static int take_plugin(struct connect *c, struct share_link *link, char why[FROM_LINK_WHY])
{
	size_t name = strcspn(link->plugin, ";");
	const char *options = link->plugin + name;

	if (!*c->args->plugin && (!*link->plugin || link_plugin_is_built_in(link->plugin)))
		return 0;
	if (link->kind != SHARE_SHADOWSOCKS) {
		snprintf(why, FROM_LINK_WHY, "--plugin is for Shadowsocks");
		return -ERR_CONFIG;
	}
	if (!*c->args->plugin && !link_plugin_is_known(link->plugin)) {
		snprintf(why, FROM_LINK_WHY,
			 "the link wants to run a program that is no plugin we know; if it is "
			 "meant, name it by --plugin");
		return -ERR_CONFIG;
	}
	if (!*c->args->plugin && link_plugin_check_options(link->plugin, why))
		return -ERR_CONFIG;
	if (*c->args->plugin)
		snprintf(c->program, sizeof(c->program), "%s", c->args->plugin);
	else
		snprintf(c->program, sizeof(c->program), "%.*s", (int)name, link->plugin);
	snprintf(c->options, sizeof(c->options), "%s", *options ? options + 1 : "");
	link->plugin = "";
	return 0;
}

static int load(struct connect *c, char why[FROM_LINK_WHY])
{
	const struct args *a = c->args;
	struct outbound_conf *out = &c->conf;
	struct link_trust *trust = &c->trust;
	struct share_link link;
	const char *what = "";
	struct arena mem;
	int err = 0;

	*trust = (struct link_trust){.ca_file = a->ca, .insecure = a->insecure};
	if (a->ca && access(a->ca, R_OK)) {
		snprintf(why, FROM_LINK_WHY, "--ca: %.150s: %s", a->ca, err_text(-errno));
		return -ERR_CONFIG;
	}
	arena_init(&mem, 0);
	if (a->file) {
		err = link_from_file(a->file, &mem, &link, trust, why);
	} else {
		err = share_link_parse(a->link, strlen(a->link), &mem, &link, &what);
		if (err)
			snprintf(why, FROM_LINK_WHY, "%s", what);
		else
			trust->insecure |= link.insecure;
	}
	for (size_t i = 0; i < a->pins.n && !err; i++) {
		err = link_trust_add_pin(trust, a->pins.v[i]);
		if (err)
			snprintf(why, FROM_LINK_WHY, "--pin: %s",
				 err == -ENOBUFS ? "that are too many"
						 : "expected 64 hexadecimal digits, the SHA-256 "
						   "of a certificate");
	}
	if (!err && a->mux && mux_conf_parse(a->mux, &trust->mux)) {
		snprintf(why, FROM_LINK_WHY,
			 "--mux: cool, xudp, smux, yamux or h2mux, then :STREAMS "
			 "(1 to 1024), then ,padding for the last three");
		err = -ERR_CONFIG;
	}
	if (!err)
		err = take_plugin(c, &link, why);
	if (!err)
		err = outbound_conf_of_link(&link, trust, out, why);
	arena_done(&mem);
	if (!err)
		out->plain_udp = a->plain_udp;
	if (!err)
		out->mux.no_udp |= a->plain_udp;
	return err;
}

/* ---- listening --------------------------------------------------------------------------- */

static int announce(const char *what, const struct addr *at)
{
	char text[ADDR_TEXT_MAX];

	printf("listening on %s (%s)\n", addr_format(at, text), what);
	fflush(stdout);
	return 0;
}

static int fail(const char *what, int err)
{
	fprintf(stderr, "weir connect: %s: %s\n", what, err_text(err));
	return err;
}

/* What a node meets on its way to the target it does not tell: these are of our own way to it. */
static bool is_of_server(int err)
{
	switch (-err) {
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ETIMEDOUT:
	case ERR_RESOLVE:
	case ERR_NO_ADDRESS:
		return true;
	default:
		return false;
	}
}

/* Who has said whom he believes is told that this one is another. */
static const char *untrusted(const struct outbound_conf *conf)
{
	const struct link_trust *trust = &container_of(conf, struct connect, conf)->trust;

	if (trust->npins)
		return "; its certificate is not the pinned one, or it speaks no TLS";
	if (trust->insecure)
		return "; does the server speak TLS, as the link says?";
	if (trust->ca_file)
		return "; its certificate is of no authority in --ca, or not of the name in the "
		       "link, or it speaks no TLS";
	return "; a certificate that the system does not know wants --pin, --ca or --insecure";
}

/* The usual cause, where there is one, of what became of a request. */
static const char *usual_cause(const struct session_report *r, const struct outbound_conf *conf)
{
	struct addr at;

	if (r->err == -ERR_AUTH && conf->reality)
		return "; pbk, sid and sni must be the node's";
	if (r->err == -ERR_TRUNCATED)
		return "; a node that does not know the credential, whose clock differs, or that "
		       "has another security or flow than the link, answers nothing";

	if (r->err == -ERR_TLS)
		return untrusted(conf);
	if (r->err == -ECONNRESET && !dest_addr(r->dest, &at) && addr_is_private(&at))
		return "; the node could not reach it, or may not: private destinations want "
		       "AllowPrivate";
	if (r->err == -ECONNRESET)
		return "; the node could not reach it, or refuses it";
	if (r->err == -ENOTSUP && r->network == NETWORK_UDP)
		return "; with --plain-udp packets have one destination, which --udp names";
	return "";
}

/* Where a plugin is between, it is its port on this machine that has refused us. */
static void tell_unreachable(const struct session_report *r, const struct outbound_conf *conf)
{
	bool apart = r->network == NETWORK_UDP && conf->apart;
	const struct dest *via = apart ? &conf->via_udp : &conf->via;
	bool direct = via->type == DEST_NONE;
	char dest[DEST_TEXT_MAX];

	dest_format(direct ? &conf->server : via, dest);
	fprintf(stderr, "weir connect: the %s %s: %s\n", direct ? "server" : "plugin at", dest,
		err_text(r->err));
}

/* A link that does not work looks from a browser like a target that does not answer: whatever ends
 * with an error before a byte has come back is told here, where the cause is known.  Certificates
 * are the usual one.
 */
static void tell_failure(struct session_inbound *si, const struct session_report *r)
{
	const struct outbound_conf *conf =
		container_of(si->outbound, struct outbound, dialer)->conf;
	char dest[DEST_TEXT_MAX];

	if (!r->err || r->down || r->err == -ERR_CANCELED)
		return;
	if (!r->dest && (r->err == -ERR_TRUNCATED || r->err == -ECONNRESET))
		return; /* a local program has looked who listens */
	if (is_of_server(r->err)) {
		tell_unreachable(r, conf);
		return;
	}
	if (!r->dest) {
		fprintf(stderr, "weir connect: a local program does not speak SOCKS5: %s\n",
			err_text(r->err));
		return;
	}
	dest_format(r->dest, dest);
	fprintf(stderr, "weir connect: %s: %s%s\n", dest, err_text(r->err), usual_cause(r, conf));
}

static int wrong_address(const char *text)
{
	fprintf(stderr, "weir connect: %s: expected ADDRESS:PORT, such as 127.0.0.1:1080\n", text);
	return -ERR_CONFIG;
}

static int wrong_forward(const char *text, bool udp)
{
	fprintf(stderr,
		"weir connect: --%s %s: expected LISTEN=DEST, such as "
		"127.0.0.1:5353=192.0.2.1:53\n",
		udp ? "udp" : "tcp", text);
	return -ERR_CONFIG;
}

static const struct session_times *times_of(const struct connect *c)
{
	return outbound_mux_ends_whole(&c->conf.mux) ? &ends_whole : &alone;
}

static int open_socks(struct connect *c, const char *text)
{
	struct addr at;
	int err = addr_parse(&at, text);

	if (err)
		return wrong_address(text);
	err = local_open(&c->socks, c->loop, &at, NULL, &c->outbound.dialer, times_of(c));
	c->socks.si.ended = tell_failure;
	if (!err)
		err = local_bound(&c->socks, &at);
	return err ? fail(text, err) : announce("socks5", &at);
}

/* "LISTEN=DEST" */
static int open_forward(struct connect *c, const char *text, bool udp)
{
	struct forward *f = &c->forwards[c->nforwards];
	const char *eq = strchr(text, '=');
	char listen[ADDR_TEXT_MAX];
	struct addr at;
	int err;

	if (c->nforwards == FORWARDS_MAX)
		return fail(text, -ENOBUFS);
	if (!eq || (size_t)(eq - text) >= sizeof(listen))
		return wrong_forward(text, udp);
	memcpy(listen, text, (size_t)(eq - text));
	listen[eq - text] = '\0';
	if (addr_parse(&at, listen) || dest_parse(&f->to, eq + 1))
		return wrong_forward(text, udp);
	if (udp)
		err = udp_forward_open(c->loop, &at, &f->to, &c->outbound.dialer, alone.udp_idle,
				       &f->udp);
	else
		err = local_open(&f->local, c->loop, &at, &f->to, &c->outbound.dialer, times_of(c));
	f->local.si.ended = tell_failure;
	if (!err && !udp)
		err = local_bound(&f->local, &at);
	if (err)
		return fail(text, err);
	c->nforwards++;
	return announce(udp ? "udp" : "tcp", &at);
}

static int open_all(struct connect *c, const struct args *a)
{
	int err;

	c->opened = true;
	err = open_socks(c, a->listen);
	for (size_t i = 0; i < a->tcp.n && !err; i++)
		err = open_forward(c, a->tcp.v[i], false);
	for (size_t i = 0; i < a->udp.n && !err; i++)
		err = open_forward(c, a->udp.v[i], true);
	return err;
}

static void close_all(struct connect *c)
{
	if (!c->opened) /* the plugin ended before */
		return;
	local_close(&c->socks);
	for (size_t i = 0; i < c->nforwards; i++) {
		if (c->forwards[i].udp)
			udp_forward_close(c->forwards[i].udp);
		else
			local_close(&c->forwards[i].local);
	}
}

static void on_signal(struct signals *s, int signo)
{
	loop_stop(container_of(s, struct connect, signals)->loop);
}

static int start(struct connect *c)
{
	int err;

	signals_block(caught);
	c->loop = loop_new(LOOP_EPOLL, 0);
	if (!c->loop)
		return -ENOMEM;
	c->dns = dns_new(c->loop);
	own_addr_init(&c->own);
	err = c->dns ? signals_open(&c->signals, c->loop, caught, on_signal) : -ENOMEM;
	if (err)
		return err;
	direct_init(&c->direct, dns_resolver(c->dns), &anywhere, &c->own);
	outbound_init(&c->outbound, &c->direct.dialer, &c->conf);
	return 0;
}

static void on_plugin_ready(void *arg, const struct addr *at)
{
	struct connect *c = arg;

	if (c->net != PLUGIN_UDP_ONLY)
		dest_set_addr(&c->conf.via, at);
	if (c->net != PLUGIN_TCP_ONLY)
		dest_set_addr(&c->conf.via_udp, at);
	c->err = open_all(c, c->args);
	if (c->err)
		loop_stop(c->loop);
}

/* There is nothing else to serve (SIP003). */
static void on_plugin_ended(void *arg, const char *how)
{
	struct connect *c = arg;

	fprintf(stderr, "weir connect: the plugin %s %s\n", c->program, how);
	c->err = -ERR_CONFIG;
	loop_stop(c->loop);
}

static int start_plugin(struct connect *c)
{
	const struct via_spec spec = {c->program, c->options, &c->conf.server, c->net};
	const struct via_hooks hooks = {c, on_plugin_ready, on_plugin_ended};
	char why[PLUGIN_WHY_MAX] = "";
	int err = via_plugin_start(c->loop, &spec, &hooks, &c->via, why);

	if (err)
		fprintf(stderr, "weir connect: the plugin cannot be started: %s\n",
			*why ? why : err_text(err));
	return err;
}

static int serve(struct connect *c)
{
	int err = start(c);

	if (err)
		return fail("cannot start", err);
	c->err = *c->program ? start_plugin(c) : open_all(c, c->args);
	if (!c->err)
		loop_run(c->loop);
	err = c->err;
	close_all(c);
	outbound_done(&c->outbound);
	via_plugin_free(c->via);
	loop_turn(c->loop, 0); /* frees what was let go */
	signals_close(&c->signals);
	dns_free(c->dns);
	own_addr_done(&c->own);
	loop_free(c->loop);
	return err;
}

int cmd_connect(int argc, char **argv)
{
	static struct args a = {
		.listen = "127.0.0.1:1080", .plugin = "", .plugin_mode = "tcp_only"};
	const struct opt opts[] = {
		{"listen", 'l', OPT_TEXT, &a.listen, "ADDRESS",
		 "where SOCKS5 is served, instead of 127.0.0.1:1080"},
		{"outbound", 'o', OPT_TEXT, &a.file, "FILE",
		 "an outbound object as Xray writes it"},
		{"tcp", 0, OPT_MANY, &a.tcp, "LISTEN=DEST", "forward a local TCP port"},
		{"udp", 0, OPT_MANY, &a.udp, "LISTEN=DEST", "forward a local UDP port"},
		{"pin", 0, OPT_MANY, &a.pins, "SHA256", "believe this certificate only"},
		{"ca", 0, OPT_TEXT, &a.ca, "FILE", "roots to believe, as PEM"},
		{"insecure", 'k', OPT_FLAG, &a.insecure, NULL, "believe any certificate"},
		{"plugin", 0, OPT_TEXT, &a.plugin, "PROGRAM",
		 "run this in place of the SIP003 plugin that the link names"},
		{"plugin-mode", 0, OPT_TEXT, &a.plugin_mode, "MODE",
		 "what goes through it: tcp_only (default), tcp_and_udp, udp_only"},
		{"mux", 0, OPT_TEXT, &a.mux, "KIND",
		 "share connections: cool, xudp, smux, yamux, h2mux; cool:16, smux:8,padding"},
		{"plain-udp", 0, OPT_FLAG, &a.plain_udp, NULL,
		 "VLESS and VMess: command 2 instead of XUDP"},
		{0},
	};
	const struct opt_page page = {"weir connect", "[LINK]",
				      "A local SOCKS5 server (TCP and UDP) through a share link.",
				      "weir connect 'vless://…'", opts};
	static struct connect c;
	char why[FROM_LINK_WHY] = "";
	const char *engine;
	int n = opt_parse(&page, argc, argv), err;

	if (n < 0)
		return ~n;
	if (n != (a.file ? 0 : 1))
		return opt_wrong(&page, "one LINK, or --outbound FILE");
	if (plugin_net_parse(a.plugin_mode, &c.net))
		return opt_wrong(&page, "--plugin-mode: tcp_only, tcp_and_udp or udp_only");
	a.link = argv[1];
	engine = aead_init("auto");
	if (engine) {
		fprintf(stderr, "weir connect: %s\n", engine);
		return CMD_FAILED;
	}
	c.args = &a;
	err = load(&c, why);
	if (err) {
		fprintf(stderr, "weir connect: %s\n", why);
		return CMD_CONFIG;
	}
	if (!c.conf.tls && (a.pins.n || a.ca || a.insecure))
		fputs("weir connect: --pin, --ca and --insecure have no effect: the link has no "
		      "certificate to believe\n",
		      stderr);
	err = serve(&c);
	outbound_conf_done(&c.conf);
	return err ? CMD_FAILED : CMD_OK;
}
