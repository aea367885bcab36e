#include "manager/endpoint.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "net/sock.h"

#define RECEIVE_BUFFER (4 << 20)
#define BATCH	       256
#define DRAIN_MAX      100000
#define AGAIN	       (5 * NSEC_MS)
#define WAITING_MAX    (16u << 20)

struct unsent {
	struct unsent *next;
	struct peer to;
	size_t len;
	char text[];
};

bool peer_equal(const struct peer *a, const struct peer *b)
{
	return a->len == b->len && !memcmp(&a->sa, &b->sa, a->len);
}

bool peer_named(const struct peer *p)
{
	return p->len > offsetof(struct sockaddr_un, sun_path);
}

/* ---- the address ------------------------------------------------------------------------- */

#define refuse(why, err, ...) err_say(err, why, ENDPOINT_WHY_MAX, __VA_ARGS__)

static int unix_address(const char *text, struct peer *out, char *why)
{
	size_t len = strlen(text);
	bool abstract = *text == '@';

	if (len + !abstract > sizeof(out->un.sun_path))
		return refuse(why, -ERR_CONFIG, "the path %.80s... is too long for a socket", text);
	*out = (struct peer){.un.sun_family = AF_UNIX};
	memcpy(out->un.sun_path, text, len);
	if (abstract)
		out->un.sun_path[0] = '\0';
	out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + !abstract);
	return 0;
}

static int resolve(const char *host, const char *port, bool no_names, struct peer *out, char *why)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM,
				       .ai_flags = AI_PASSIVE | AI_NUMERICSERV |
						   (no_names ? AI_NUMERICHOST : 0)};
	bool local = no_names && !strcasecmp(host, "localhost");
	struct addrinfo *found;
	int err = getaddrinfo(local ? "127.0.0.1" : *host ? host : NULL, port, &hints, &found);

	if (err == EAI_NONAME && no_names)
		return refuse(why, -ERR_CONFIG, "%.80s is no IP address", host);
	if (err)
		return refuse(why, -ERR_CONFIG, "%.80s: %s", host, gai_strerror(err));
	*out = (struct peer){.len = found->ai_addrlen};
	memcpy(&out->sa, found->ai_addr, MIN((size_t)found->ai_addrlen, sizeof(out->un)));
	freeaddrinfo(found);
	return 0;
}

static bool is_port(const char *text)
{
	size_t n = strspn(text, "0123456789");
	long port = n < 6 ? strtol(text, NULL, 10) : 0;

	return !text[n] && port > 0 && port <= 65535;
}

static int inet_address(const struct endpoint_conf *conf, struct peer *out, char *why)
{
	const char *text = conf->address, *colon = strrchr(text, ':');
	char host[256], port[16];
	size_t len = strlen(text);

	snprintf(port, sizeof(port), "%d", conf->port);
	if (!conf->port) {
		if (!colon || !colon[1])
			return refuse(
				why, -ERR_CONFIG,
				"%.80s has no port; write one behind a colon, or as manager_port",
				text);
		if (!is_port(colon + 1))
			return refuse(why, -ERR_CONFIG,
				      "%.80s: the port is no number from 1 to 65535", text);
		snprintf(port, sizeof(port), "%.15s", colon + 1);
		len = (size_t)(colon - text);
	}
	if (len > 1 && *text == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len >= sizeof(host))
		return refuse(why, -ERR_CONFIG, "the name of the manager's host is too long");
	memcpy(host, text, len);
	host[len] = '\0';
	return resolve(host, port, conf->no_names, out, why);
}

/* A word with neither slash nor colon is a file here, as all of its kind have it; but who writes an
 * address has forgotten the port.
 */
static bool is_path(const struct endpoint_conf *conf)
{
	const char *text = conf->address;
	struct addr at;

	if (*text == '@' || strchr(text, '/'))
		return true;
	return !conf->port && !strchr(text, ':') && strcasecmp(text, "localhost") != 0 &&
	       addr_parse_ip(&at, text, 1);
}

static bool is_loopback(const struct peer *p)
{
	if (p->sa.sa_family == AF_INET)
		return (ntohl(p->in.sin_addr.s_addr) >> 24) == 127;
	return p->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&p->in6.sin6_addr);
}

int endpoint_resolve(const struct endpoint_conf *conf, struct peer *out, char why[ENDPOINT_WHY_MAX])
{
	return is_path(conf) ? unix_address(conf->address, out, why) : inet_address(conf, out, why);
}

/* Where to listen: not where anybody could command. */
static int address_of(const struct endpoint_conf *conf, struct peer *out, char *why)
{
	int err = endpoint_resolve(conf, out, why);

	if (!err && out->sa.sa_family != AF_UNIX && !is_loopback(out) && !conf->allow_remote)
		return refuse(why, -ERR_DENIED,
			      "%.80s is not loopback, and whoever reaches it may command: "
			      "manager_allow_remote would allow it",
			      conf->address);
	return err;
}

int endpoint_check(const struct endpoint_conf *conf, char why[ENDPOINT_WHY_MAX])
{
	struct peer at;

	*why = '\0';
	return address_of(conf, &at, why);
}

/* ---- opening ----------------------------------------------------------------------------- */

/* What an earlier process left goes; what is in use, or no socket at all, stays. */
static int clear_path(const struct peer *at, char *why)
{
	const char *path = at->un.sun_path;
	struct stat st;
	int fd, err;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0
				       : refuse(why, -errno, "%.90s: %s", path, err_text(-errno));
	if (!S_ISSOCK(st.st_mode))
		return refuse(why, -EEXIST, "%.90s is there and is no socket", path);
	err = sock_new(AF_UNIX, SOCK_DGRAM, &fd);
	if (err)
		return err;
	err = connect(fd, &at->sa, at->len) < 0 ? -errno : 0;
	close(fd);
	if (!err)
		return refuse(why, -EADDRINUSE, "another manager answers at %.90s", path);
	if (err != -ECONNREFUSED && err != -EPROTOTYPE)
		return refuse(why, err, "%.90s: %s", path, err_text(err));
	if (err == -EPROTOTYPE)
		return refuse(why, -EADDRINUSE, "%.90s is a socket of another kind", path);
	return unlink(path) < 0 ? -errno : 0;
}

static int bind_path(struct endpoint *ep, const struct peer *at, unsigned mode, char *why)
{
	mode_t old;
	int err = clear_path(at, why);

	if (err)
		return err;
	old = umask((mode_t)(~mode & 0777));
	err = bind(ep->fd, &at->sa, at->len) < 0 ? -errno : 0;
	umask(old);
	if (err)
		return refuse(why, err, "%.90s: %s", at->un.sun_path, err_text(err));
	ep->path = strdup(at->un.sun_path);
	return ep->path ? 0 : -ENOMEM;
}

static int bind_it(struct endpoint *ep, const struct endpoint_conf *conf, char *why)
{
	struct peer at;
	int err = address_of(conf, &at, why);
	int size = RECEIVE_BUFFER;

	if (err)
		return err;
	err = sock_new(at.sa.sa_family, SOCK_DGRAM, &ep->fd);
	if (err)
		return err;
	/* A burst of thousands of commands; beyond the system's limit only for the privileged. */
	if (setsockopt(ep->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		sock_set_buffers(ep->fd, size, 0);
	if (at.sa.sa_family == AF_UNIX && at.un.sun_path[0])
		return bind_path(ep, &at, conf->mode ? conf->mode : 0600, why);
	if (bind(ep->fd, &at.sa, at.len) < 0)
		return refuse(why, -errno, "%.80s: %s", conf->address, err_text(-errno));
	return 0;
}

/* ---- receiving --------------------------------------------------------------------------- */

/* False: none left, or the news of somebody who has gone. */
static bool receive_one(struct endpoint *ep)
{
	struct peer from = {.len = sizeof(from.un)};
	ssize_t n;

	if (ep->fd < 0)
		return false;
	n = recvfrom(ep->fd, ep->text, DATAGRAM_MAX, MSG_DONTWAIT, &from.sa, &from.len);
	if (n < 0)
		return false;
	ep->text[n] = '\0';
	ep->received(ep->arg, ep->text, (size_t)n, &from);
	return true;
}

static void on_readable(struct watch *w, unsigned ev)
{
	struct endpoint *ep = container_of(w, struct endpoint, watch);

	for (int i = 0; i < BATCH && receive_one(ep); i++)
		;
}

void endpoint_drain(struct endpoint *ep)
{
	for (int i = 0; i < DRAIN_MAX && receive_one(ep); i++)
		;
}

/* ---- sending ----------------------------------------------------------------------------- */

int endpoint_try(struct endpoint *ep, const struct peer *to, const char *text, size_t len)
{
	ssize_t n = sendto(ep->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL, &to->sa, to->len);

	if (n >= 0)
		return 0;
	return errno == ENOBUFS ? -EAGAIN : -errno;
}

/* Whoever does not read keeps only himself waiting. */
static void on_again(struct timer *t)
{
	struct endpoint *ep = container_of(t, struct endpoint, again);
	struct unsent **at = &ep->unsent, *u;
	const struct peer *stuck = NULL;

	while ((u = *at)) {
		if ((stuck && peer_equal(stuck, &u->to)) ||
		    endpoint_try(ep, &u->to, u->text, u->len) == -EAGAIN) {
			stuck = &u->to;
			at = &u->next;
			continue;
		}
		*at = u->next;
		ep->waiting -= u->len;
		free(u);
	}
	ep->last = at;
	if (ep->unsent)
		timer_set(ep->loop, t, loop_now(ep->loop) + AGAIN);
}

void endpoint_send(struct endpoint *ep, const struct peer *to, const char *text, size_t len)
{
	struct unsent *u;

	if (!peer_named(to) || (!ep->unsent && endpoint_try(ep, to, text, len) != -EAGAIN))
		return;
	u = ep->waiting + len > WAITING_MAX ? NULL : malloc(sizeof(*u) + len);
	if (!u) {
		ep->lost++;
		return;
	}
	u->next = NULL;
	u->to = *to;
	u->len = len;
	memcpy(u->text, text, len);
	*ep->last = u;
	ep->last = &u->next;
	ep->waiting += len;
	if (!timer_armed(&ep->again))
		timer_set(ep->loop, &ep->again, loop_now(ep->loop) + AGAIN);
}

/* ---- life -------------------------------------------------------------------------------- */

void endpoint_leave(struct endpoint *ep)
{
	if (ep->path)
		unlink(ep->path);
	free(ep->path);
	ep->path = NULL; /* what is there from now on is somebody else's */
}

int endpoint_open(struct endpoint *ep, struct loop *l, const struct endpoint_conf *conf,
		  void (*received)(void *arg, char *text, size_t len, const struct peer *from),
		  void *arg, char why[ENDPOINT_WHY_MAX])
{
	int err;

	*why = '\0';
	*ep = (struct endpoint){.fd = -1, .loop = l, .received = received, .arg = arg};
	ep->last = &ep->unsent;
	timer_init(&ep->again, on_again);
	ep->text = malloc(DATAGRAM_MAX + 1);
	err = ep->text ? bind_it(ep, conf, why) : -ENOMEM;
	if (!err) {
		ep->watch = (struct watch){.fd = ep->fd, .fire = on_readable};
		err = watch_set(l, &ep->watch, IO_RD);
	}
	if (err) {
		if (ep->fd >= 0)
			close(ep->fd);
		ep->fd = -1;
		endpoint_leave(ep);
		free(ep->text);
		ep->text = NULL;
		if (!*why)
			refuse(why, err, "%.80s: %s", conf->address, err_text(err));
	}
	return err;
}

void endpoint_close(struct endpoint *ep)
{
	if (ep->fd < 0)
		return;
	if (ep->unsent)
		on_again(&ep->again); /* the last chance */
	timer_stop(&ep->again);
	if (watch_set(ep->loop, &ep->watch, 0) == 0)
		close(ep->fd);
	ep->fd = -1;
	endpoint_leave(ep);
	free(ep->text);
	ep->text = NULL;
	while (ep->unsent) {
		struct unsent *u = ep->unsent;

		ep->unsent = u->next;
		free(u);
	}
}
