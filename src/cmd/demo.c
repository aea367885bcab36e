/* demo.c - `weir demo`: a panel, a node that it drives, and a client's bytes passing, on this
 * machine.
 *
 * The panel runs in this process, the node as `weir run` does, the client is `weir connect`'s.
 * What the client counted and what the panel was told must be the same number.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "client/from_link.h"
#include "client/probe.h"
#include "cmd/cmd.h"
#include "cmd/opt.h"
#include "cmd/qr.h"
#include "crypto/aead.h"
#include "dns/dns.h"
#include "event/child.h"
#include "event/signals.h"
#include "net/sock.h"
#include "panel/edit.h"
#include "panel/panel.h"
#include "proto/direct/direct.h"

#define UP_BYTES   (16u << 20)
#define DOWN_BYTES (64u << 20)
#define PATIENCE   (30 * NSEC_SEC)
#define LINK_MAX   512

static const int caught[] = {SIGTERM, SIGINT, 0};

struct demo {
	char dir[PATH_MAX / 2];
	bool own_dir; /* made by us: removed at the end */
	struct loop *loop;
	struct signals signals;
	struct panel *panel;
	struct store *store;
	struct panel_node node;
	struct panel_user user;
	struct child child;
	uint16_t port; /* the node's */
	bool node_runs, stopped;
	struct dns *dns;
	struct own_addr own;
	struct direct direct;
	struct outbound_conf conf;
	struct outbound outbound;
	struct probe probe;
	char link[LINK_MAX];
};

PRINTF(2, 3) static int fail(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("weir demo: ", stderr);
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, ": %s\n", err_text(err));
	va_end(ap);
	return err;
}

/* Turn the loop until `ready` says so: 0, -ERR_TIMEOUT, or -ERR_CANCELED by a signal. */
static int wait_for(struct demo *d, bool (*ready)(struct demo *d), nsec_t patience)
{
	nsec_t until = loop_now(d->loop) + patience;

	while (!ready(d)) {
		if (d->stopped)
			return -ERR_CANCELED;
		if (loop_now(d->loop) >= until)
			return -ERR_TIMEOUT;
		loop_turn(d->loop, 50 * NSEC_MS);
	}
	return 0;
}

/* ---- panel ------------------------------------------------------------------------------- */

static uint16_t free_port(void)
{
	struct addr at;
	uint16_t port = 0;
	int fd;

	if (addr_parse(&at, "127.0.0.1:0") || sock_new(AF_INET, SOCK_STREAM, &fd))
		return 0;
	if (!bind(fd, &at.sa, at.len) && !sock_local(fd, &at))
		port = addr_port(&at);
	close(fd);
	return port;
}

static int start_panel(struct demo *d)
{
	struct panel_conf conf = PANEL_CONF_DEFAULT;
	struct fault why = {0};
	char db[PATH_MAX];
	int err;

	snprintf(db, sizeof(db), "%s/panel.db", d->dir);
	conf.listen = "127.0.0.1:0";
	conf.db = db;
	err = panel_start(&conf, &d->panel, &why);
	if (!err)
		err = store_open(db, &d->store, &why);
	if (err)
		return fail(err, "panel: %s", why.text);
	printf("panel       http://%s\n", panel_address(d->panel));
	if (panel_new_token(d->panel))
		printf("            admin token %s\n", panel_new_token(d->panel));
	return 0;
}

static int fill_panel(struct demo *d)
{
	struct fault why = {0};
	json_t *node, *user;
	int err;

	d->port = free_port();
	node = json_pack("{s:s, s:s, s:s, s:i, s:{s:i, s:s, s:i, s:i}}", "type", "vless", "name",
			 "demo", "host", "127.0.0.1", "port", (int)d->port, "settings", "tls", 1,
			 "server_name", "localhost", "push_interval", 1, "pull_interval", 1);
	user = json_pack("{s:s}", "name", "demo");
	err = node && user ? edit_node_add(d->store, node, &d->node, &why) : -ENOMEM;
	if (!err)
		err = edit_user_add(d->store, user, &d->user, &why);
	json_decref(node);
	json_decref(user);
	return err ? fail(err, "panel: %s", why.text) : 0;
}

/* ---- node -------------------------------------------------------------------------------- */

static int write_config(const struct demo *d, const char *path)
{
	FILE *f;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || !(f = fdopen(fd, "w")))
		return -errno;
	fprintf(f,
		"{\n"
		"  \"State\": { \"Dir\": \"%s/state\" },\n"
		"  \"Workers\": 2,\n"
		"  \"Nodes\": [ {\n"
		"    \"ApiHost\": \"http://%s\", \"ApiKey\": \"%s\", \"NodeID\": %lld, \"NodeType\": \"vless\",\n"
		"    \"ListenIP\": \"127.0.0.1\",\n"
		"    \"AllowPrivate\": true, // the demo's target is on loopback\n"
		"    \"CertConfig\": { \"CertMode\": \"self\", \"CertFile\": \"%s/node.crt\", \"KeyFile\": \"%s/node.key\" }\n"
		"  } ]\n"
		"}\n",
		d->dir, panel_address(d->panel), d->node.token, (long long)d->node.id, d->dir,
		d->dir);
	return fclose(f) ? -errno : 0;
}

static void on_node_exit(struct child *c, int status)
{
	container_of(c, struct demo, child)->node_runs = false;
}

static int start_node(struct demo *d)
{
	char path[PATH_MAX], log[PATH_MAX];
	const char *argv[] = {"/proc/self/exe", "run", "-c", path, NULL};
	struct child_spec spec = {.argv = argv, .fd_in = -1};
	int fd, err;

	snprintf(path, sizeof(path), "%s/config.json", d->dir);
	snprintf(log, sizeof(log), "%s/node.log", d->dir);
	err = write_config(d, path);
	if (err)
		return fail(err, "%s", path);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(-errno, "%s", log);
	spec.fd_out = spec.fd_err = fd;
	child_init(&d->child, d->loop, on_node_exit);
	err = child_start(&d->child, &spec);
	close(fd);
	if (err)
		return fail(err, "weir run");
	d->node_runs = true;
	printf("node        %s:%s, VLESS over TLS; configuration %s, log %s\n", d->node.host,
	       d->node.port, path, log);
	return 0;
}

static bool node_listens(struct demo *d)
{
	struct addr at;
	char text[ADDR_TEXT_MAX];
	int fd, ok;

	snprintf(text, sizeof(text), "127.0.0.1:%.6s", d->node.port);
	if (addr_parse(&at, text) || (fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		return false;
	ok = connect(fd, &at.sa, at.len);
	close(fd);
	return ok == 0;
}

/* ---- client ------------------------------------------------------------------------------ */

static void make_link(struct demo *d, struct share_link *l)
{
	struct wr w = wr_of(d->link, sizeof(d->link) - 1);

	*l = (struct share_link){
		.kind = SHARE_VLESS,
		.credential = d->user.credential,
		.host = "127.0.0.1",
		.port = d->port,
		.name = "weir demo",
		.security = SECURITY_TLS,
		.encryption = "none",
		.flow = "",
		.sni = "localhost",
		.alpn = "",
		.fingerprint = "",
		.public_key = "",
		.short_id = "",
		.spider = "",
		.mldsa_verify = "",
		.path = "",
		.http_host = "",
		.service_name = "",
		.authority = "",
		.mode = "",
		.header_type = "",
		.seed = "",
		.insecure = true,
	};
	share_link_emit(l, &w);
	d->link[w.len] = '\0';
}

static void on_probed(struct probe *p)
{
}

static bool probe_over(struct demo *d)
{
	return d->probe.done;
}

static int transfer(struct demo *d)
{
	static const struct direct_conf anywhere = {.allow_private = true};
	struct link_trust trust = {0};
	char why[FROM_LINK_WHY] = "";
	struct share_link link;
	int err;

	make_link(d, &link);
	err = outbound_conf_of_link(&link, &trust, &d->conf, why);
	if (err)
		return fail(err, "link: %s", why);
	direct_init(&d->direct, dns_resolver(d->dns), &anywhere, &d->own);
	outbound_init(&d->outbound, &d->direct.dialer, &d->conf);
	err = probe_init(&d->probe, d->loop, on_probed);
	if (!err)
		err = probe_start(&d->probe, &d->outbound.dialer, UP_BYTES, DOWN_BYTES, PATIENCE);
	if (!err)
		err = wait_for(d, probe_over, PATIENCE + NSEC_SEC);
	if (!err)
		err = d->probe.err;
	if (err)
		return fail(err, "transfer");
	printf("client      sent %llu, received %llu bytes through the node, all of them right\n",
	       (unsigned long long)d->probe.client.sent, (unsigned long long)d->probe.client.got);
	return 0;
}

static bool panel_knows(struct demo *d)
{
	if (store_user_get(d->store, d->user.id, &d->user))
		return false;
	return d->user.up >= (int64_t)UP_BYTES && d->user.down >= (int64_t)DOWN_BYTES;
}

static int compare(struct demo *d)
{
	int err = wait_for(d, panel_knows, PATIENCE);
	bool equal;

	if (err && err != -ERR_TIMEOUT)
		return err;
	equal = d->user.up == (int64_t)d->probe.client.sent &&
		d->user.down == (int64_t)d->probe.client.got;
	printf("panel       counts %lld up, %lld down: %s\n", (long long)d->user.up,
	       (long long)d->user.down, equal ? "equal, to the byte" : "NOT EQUAL");
	return equal ? 0 : -ERR_PROTOCOL;
}

static void tell(struct demo *d, bool stay)
{
	printf("\nshare link  %s\n\n", d->link);
	(void)!qr_print(d->link, stdout); /* the link itself is above */
	if (stay)
		printf("\nThe panel and the node keep running; stop them with Ctrl-C (or kill %d).\n",
		       getpid());
	else
		printf("\nDone; everything has been stopped.  `weir demo --stay` keeps it running.\n");
	fflush(stdout);
}

/* ---- together ---------------------------------------------------------------------------- */

static void on_signal(struct signals *s, int signo)
{
	struct demo *d = container_of(s, struct demo, signals);

	d->stopped = true;
	loop_stop(d->loop);
}

static int open_all(struct demo *d)
{
	int err;

	signals_block(caught);
	d->loop = loop_new(LOOP_EPOLL, 0);
	if (!d->loop)
		return fail(-ENOMEM, "loop");
	own_addr_init(&d->own);
	d->dns = dns_new(d->loop);
	err = d->dns ? signals_open(&d->signals, d->loop, caught, on_signal) : -ENOMEM;
	return err ? fail(err, "start") : 0;
}

static int run(struct demo *d, bool stay)
{
	int err = open_all(d);

	if (!err)
		err = start_panel(d);
	if (!err)
		err = fill_panel(d);
	if (!err)
		err = start_node(d);
	if (!err) {
		err = wait_for(d, node_listens, PATIENCE);
		if (err)
			fail(err, "the node does not listen; see %s/node.log", d->dir);
	}
	if (!err)
		err = transfer(d);
	if (!err)
		err = compare(d);
	if (!err)
		tell(d, stay);
	if (!err && stay)
		loop_run(d->loop);
	return err;
}

static bool node_ended(struct demo *d)
{
	return !d->node_runs;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void close_all(struct demo *d)
{
	d->stopped = false;
	if (d->node_runs) {
		child_stop(&d->child, 15 * NSEC_SEC);
		(void)!wait_for(d, node_ended, 20 * NSEC_SEC);
		child_done(&d->child);
	}
	probe_done(&d->probe);
	outbound_conf_done(&d->conf);
	panel_stop(d->panel);
	if (d->store)
		store_close(d->store);
	panel_node_done(&d->node);
	loop_turn(d->loop, 0);
	signals_close(&d->signals);
	dns_free(d->dns);
	own_addr_done(&d->own);
	loop_free(d->loop);
	if (d->own_dir)
		nftw(d->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int choose_dir(struct demo *d, const char *dir)
{
	const char *tmp = getenv("TMPDIR");

	if (dir) {
		snprintf(d->dir, sizeof(d->dir), "%s", dir);
		return mkdir(d->dir, 0700) && errno != EEXIST ? fail(-errno, "%s", dir) : 0;
	}
	snprintf(d->dir, sizeof(d->dir), "%s/weir-demo-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(d->dir))
		return fail(-errno, "%s", d->dir);
	d->own_dir = true;
	return 0;
}

int cmd_demo(int argc, char **argv)
{
	const char *dir = NULL;
	bool stay = false;
	const struct opt opts[] = {
		{"stay", 's', OPT_FLAG, &stay, NULL, "keep panel and node running"},
		{"dir", 'd', OPT_TEXT, &dir, "DIR",
		 "where files go; else a scratch folder, removed at the end"},
		{0},
	};
	const struct opt_page page = {
		"weir demo", "", "A panel, a node and a client on this machine, and a transfer.",
		"weir demo --stay", opts};
	static struct demo d;
	const char *engine;
	int n = opt_parse(&page, argc, argv), err;

	if (n)
		return n < 0 ? ~n : opt_wrong(&page, "no operands");
	engine = aead_init("auto");
	if (engine) {
		fprintf(stderr, "weir demo: %s\n", engine);
		return CMD_FAILED;
	}
	if (choose_dir(&d, dir))
		return CMD_FAILED;
	err = run(&d, stay);
	close_all(&d);
	return err ? CMD_FAILED : CMD_OK;
}
