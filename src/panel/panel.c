#include "panel/panel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hex.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "net/addr.h"
#include "panel/callers.h"
#include "panel/http_server.h"
#include "panel/yassp_push.h"

#define ADMIN_NOTE   "admin_token_sha256"
#define IDLE_S	     60	  /* a connection that says nothing */
#define CONNECTIONS  4096 /* at most; fewer where descriptors are short */
#define HEADER_BYTES (32 * 1024)

static int token_digest(const char *token, uint8_t out[TOKEN_DIGEST_LEN])
{
	return hash(HASH_SHA256, token, strlen(token), out);
}

/* A token for the file: made, its digest noted, shown once by whoever started us. */
static int admin_new(struct panel *p)
{
	char hex[2 * TOKEN_DIGEST_LEN + 1];
	uint8_t secret[24];
	int err;

	random_bytes(secret, sizeof(secret));
	hex_format(secret, sizeof(secret), p->new_token);
	err = token_digest(p->new_token, p->admin_digest);
	if (err)
		return err;
	return store_note_set(p->writer, ADMIN_NOTE,
			      hex_format(p->admin_digest, sizeof(p->admin_digest), hex));
}

static int admin_setup(struct panel *p, const char *token)
{
	char hex[2 * TOKEN_DIGEST_LEN + 1];
	int err;

	if (token)
		return token_digest(token, p->admin_digest);
	err = store_note_get(p->writer, ADMIN_NOTE, hex, sizeof(hex));
	if (err == -ENOENT)
		return admin_new(p);
	if (!err && hex_parse(hex, strlen(hex), p->admin_digest, sizeof(p->admin_digest)) !=
			    sizeof(p->admin_digest))
		err = -ERR_DATABASE;
	return err;
}

static int listener_make(struct panel *p, const char *listen_at, struct fault *why)
{
	struct addr at;
	int on = 1, err;

	if (addr_parse(&at, listen_at) < 0) {
		fault_set(why, "listen: expected an address and a port, such as 127.0.0.1:8080");
		return -ERR_CONFIG;
	}
	p->listener = socket(at.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->listener < 0)
		goto fail;
	if (setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(p->listener, &at.sa, at.len) < 0 || listen(p->listener, 1024) < 0)
		goto fail;
	at.len = sizeof(at.in6);
	if (getsockname(p->listener, &at.sa, &at.len) < 0)
		goto fail;
	addr_format(&at, p->address);
	return 0;

fail:
	err = -errno;
	fault_set(why, "%s: %s", listen_at, err_text(err));
	return err;
}

/* Each connection is a descriptor; leave some for the store and for whoever else lives here. */
static unsigned connection_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur > 2 * CONNECTIONS)
		return CONNECTIONS;
	return (unsigned)(files.rlim_cur / 2);
}

/* Half; 0 is no limit: where we listen on loopback only, all that come may be those of one proxy. */
static unsigned limit_of_one_address(const struct panel *p, unsigned limit)
{
	struct cidr four, six;
	struct addr at;

	if (addr_parse(&at, p->address) < 0 || cidr_parse(&four, "127.0.0.0/8") < 0 ||
	    cidr_parse(&six, "::1") < 0)
		return limit / 2;
	return cidr_match(&four, &at) || cidr_match(&six, &at) ? 0 : limit / 2;
}

static int daemon_start(struct panel *p, struct fault *why)
{
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC;
	unsigned limit = connection_limit();

	p->callers = callers_start(p->conf.head_ms * NSEC_MS);
	if (p->callers)
		p->daemon = MHD_start_daemon(
			flags, 0, NULL, NULL, http_on_request, p, MHD_OPTION_LISTEN_SOCKET,
			p->listener, MHD_OPTION_THREAD_POOL_SIZE, p->conf.threads,
			MHD_OPTION_CONNECTION_LIMIT, limit, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
			limit_of_one_address(p, limit), MHD_OPTION_NOTIFY_CONNECTION,
			callers_on_connection, p->callers, MHD_OPTION_CONNECTION_TIMEOUT,
			(unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES,
			MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, p, MHD_OPTION_END);
	if (p->daemon)
		return 0;
	fault_set(why, "the HTTP server does not start");
	return -ENOMEM;
}

static int stores_open(struct panel *p, const char *db, struct fault *why)
{
	struct fault fault;
	int err = store_open(db, &p->writer, &fault);

	if (!err)
		err = store_open(db, &p->reader, &fault);
	if (err)
		fault_set(why, "%s: %s", db, fault.text);
	else
		roster_init(&p->roster, p->reader);
	return err;
}

static struct panel *panel_new(const struct panel_conf *conf)
{
	struct panel *p = calloc(1, sizeof(*p));
	size_t len = conf->node_path ? strlen(conf->node_path) : 0;

	if (!p)
		return NULL;
	p->conf = *conf;
	p->conf.threads = MAX(conf->threads, 1u);
	p->listener = -1;
	pthread_mutex_init(&p->read_lock, NULL);
	pthread_mutex_init(&p->write_lock, NULL);
	p->presence = presence_new(conf->alive_ttl_s * NSEC_SEC);
	while (len > 0 && conf->node_path[len - 1] == '/')
		len--;
	p->node_path = len ? strndup(conf->node_path, len) : NULL;
	if (!p->presence || (len && !p->node_path)) {
		panel_stop(p);
		return NULL;
	}
	return p;
}

int panel_start(const struct panel_conf *conf, struct panel **out, struct fault *why)
{
	struct panel *p;
	int err;

	fault_set(why, "%s", "");
	if (conf->node_path && conf->node_path[0] != '/') {
		fault_set(why, "the node path must begin with /");
		return -ERR_CONFIG;
	}
	p = panel_new(conf);
	if (!p)
		return -ENOMEM;
	err = stores_open(p, conf->db, why);
	if (!err)
		err = admin_setup(p, conf->admin_token);
	if (!err)
		err = listener_make(p, conf->listen, why);
	if (!err)
		err = daemon_start(p, why);
	if (!err)
		err = yassp_push_start(p, &p->yassp_push);
	if (err) {
		if (!why->text[0])
			fault_set(why, "%s", err_text(err));
		panel_stop(p);
		return err;
	}
	*out = p;
	return 0;
}

/* Requests that have begun get their answer, within reason. */
static void requests_finish(struct panel *p)
{
	nsec_t until = mono_now() + p->conf.stop_ms * NSEC_MS;
	int fd = MHD_quiesce_daemon(p->daemon);

	while (atomic_load(&p->open_requests) > 0 && mono_now() < until)
		usleep(2000);
	if (fd >= 0)
		close(fd);
}

void panel_stop(struct panel *p)
{
	if (!p)
		return;
	if (p->daemon) {
		requests_finish(p);
		MHD_stop_daemon(p->daemon);
	} else if (p->listener >= 0) {
		close(p->listener);
	}
	callers_stop(p->callers);
	yassp_push_stop(p->yassp_push);
	roster_done(&p->roster);
	store_close(p->reader);
	store_close(p->writer);
	presence_free(p->presence);
	pthread_mutex_destroy(&p->read_lock);
	pthread_mutex_destroy(&p->write_lock);
	free(p->node_path);
	free(p);
}

const char *panel_address(const struct panel *p)
{
	return p->address;
}

const char *panel_new_token(const struct panel *p)
{
	return p->new_token[0] ? p->new_token : NULL;
}
