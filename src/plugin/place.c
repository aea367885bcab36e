/* Who listens where, and who may name a plugin: the pure half of plugin.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "net/sock.h"
#include "plugin/plugin.h"

#define FREE_PORT_TRIES 20

int plugin_hosts_join(const char *const *hosts, size_t n, char out[PLUGIN_HOST_MAX])
{
	char text[PLUGIN_HOST_MAX];
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		const char *host = *hosts[i] ? hosts[i] : "0.0.0.0";
		int wrote = snprintf(text + len, sizeof(text) - len, "%s%s", i ? "|" : "", host);

		len += (size_t)wrote;
		if (len >= sizeof(text))
			return -ENOBUFS;
	}
	if (!n)
		len = (size_t)snprintf(text, sizeof(text), "0.0.0.0");
	memcpy(out, text, len + 1);
	return 0;
}

struct addr plugin_loopback(const char *const *hosts, size_t n)
{
	static const uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};
	bool all_v6 = n > 0;
	struct addr a;

	for (size_t i = 0; i < n; i++)
		all_v6 =
			all_v6 && addr_parse_ip(&a, hosts[i], 0) == 0 && a.sa.sa_family == AF_INET6;
	return all_v6 ? addr_from_ip6(v6, 0) : addr_from_ip4(v4, 0);
}

/* Bound to `at`, whose port 0 becomes the one that was chosen. */
static int hold_port(int type, struct addr *at, int *out)
{
	int fd, err = sock_new(AF_INET, type, &fd);

	if (err)
		return err;
	err = bind(fd, &at->sa, at->len) < 0 ? -errno : sock_local(fd, at);
	if (err)
		close(fd);
	else
		*out = fd;
	return err;
}

/* The number that the kernel chooses for TCP may be somebody's for UDP. */
static int try_free_port(enum plugin_net net, uint16_t *port)
{
	struct addr at = plugin_loopback(NULL, 0);
	int tcp = -1, udp = -1, err = 0;

	if (net != PLUGIN_UDP_ONLY)
		err = hold_port(SOCK_STREAM, &at, &tcp);
	if (!err && net != PLUGIN_TCP_ONLY)
		err = hold_port(SOCK_DGRAM, &at, &udp);
	if (tcp >= 0)
		close(tcp);
	if (udp >= 0)
		close(udp);
	if (!err)
		*port = addr_port(&at);
	return err;
}

int plugin_free_port(enum plugin_net net, uint16_t *port)
{
	int err, tries = 0;

	do
		err = try_free_port(net, port);
	while (err == -EADDRINUSE && ++tries < FREE_PORT_TRIES);
	return err;
}

bool plugin_allowed(const char *const *allow, const char *name)
{
	for (; allow && *allow; allow++) {
		/* A path with "." in it could lead from one name to any other program. */
		if (!strcmp(*allow, name) && (*name == '/' || !strchr(name, '/')))
			return true;
	}
	return false;
}

int plugin_net_parse(const char *text, enum plugin_net *out)
{
	static const char *const words[] = {"tcp_only", "tcp_and_udp", "udp_only"};

	for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
		if (!strcmp(text, words[i])) {
			*out = (enum plugin_net)i;
			return 0;
		}
	}
	return -ERR_MALFORMED;
}

static enum plugin_place place(bool served, bool plugged)
{
	return !served ? PLUGIN_NOWHERE : plugged ? PLUGIN_LOOPBACK : PLUGIN_PUBLIC;
}

int plugin_places(enum plugin_net server, enum plugin_net plugin, enum plugin_place *tcp,
		  enum plugin_place *udp)
{
	enum plugin_place t = place(server != PLUGIN_UDP_ONLY, plugin != PLUGIN_UDP_ONLY);
	enum plugin_place u = place(server != PLUGIN_TCP_ONLY, plugin != PLUGIN_TCP_ONLY);

	if (t != PLUGIN_LOOPBACK && u != PLUGIN_LOOPBACK)
		return -ERR_CONFIG;
	*tcp = t;
	*udp = u;
	return 0;
}
