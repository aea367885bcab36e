#include "client/from_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/hex.h"
#include "client/mux_conf.h"
#include "client/outbound_proto.h"

#define ALPN_MAX 8

int link_trust_add_pin(struct link_trust *t, const char *text)
{
	char digits[2 * 32 + 1];
	size_t n = 0;

	if (t->npins == FROM_LINK_PINS)
		return -ENOBUFS;
	for (; *text; text++) {
		if (*text == ':')
			continue;
		if (n == sizeof(digits) - 1)
			return -ERR_MALFORMED;
		digits[n++] = *text;
	}
	if (n != sizeof(digits) - 1 || hex_parse(digits, n, t->pins[t->npins], 32) != 32)
		return -ERR_MALFORMED;
	t->npins++;
	return 0;
}

static int make_tls(const struct share_link *link, const struct link_trust *trust,
		    struct outbound_conf *out, char why[FROM_LINK_WHY])
{
	const char *alpn[ALPN_MAX + 1] = {0};
	char mem[256], *rest = mem, *one;
	struct tls_client_options o = {
		.server_name = *link->sni ? link->sni : link->host,
		.verify = TLS_VERIFY_CA,
		.ca_file = trust->ca_file,
		.pins = trust->pins,
		.npins = trust->npins,
	};
	size_t n = 0;

	if (trust->npins)
		o.verify = TLS_VERIFY_PIN;
	else if (trust->insecure || link->insecure)
		o.verify = TLS_VERIFY_NONE;
	snprintf(mem, sizeof(mem), "%s", link->alpn);
	while (n < ALPN_MAX && (one = strsep(&rest, ",")))
		if (*one)
			alpn[n++] = one;
	if (n)
		o.alpn = alpn;
	out->tls = tls_client_conf_new(&o, why, FROM_LINK_WHY);
	return out->tls ? 0 : -ERR_CONFIG;
}

static int set_mldsa(const char *text, struct reality_client_conf *c)
{
	size_t n = strlen(text);

	if (n == 0)
		return 0;
	c->mldsa_public = malloc(REALITY_VERIFY_KEY);
	if (!c->mldsa_public)
		return -ENOMEM;
	return base64_decode(text, n, c->mldsa_public, REALITY_VERIFY_KEY) == REALITY_VERIFY_KEY
		       ? 0
		       : -ERR_MALFORMED;
}

static int make_reality(const struct share_link *link, struct outbound_conf *out,
			char why[FROM_LINK_WHY])
{
	struct reality_client_conf *c = calloc(1, sizeof(*c));
	size_t id = strlen(link->short_id);
	int err;

	out->reality = c;
	if (!c)
		return -ENOMEM;
	if (base64_decode(link->public_key, strlen(link->public_key), c->public_key,
			  sizeof(c->public_key)) != sizeof(c->public_key))
		return wrong(why, "pbk is no public key: base64 of 32 bytes");
	if (id > 2 * REALITY_SHORT_ID ||
	    (id && hex_parse(link->short_id, id, c->short_id, REALITY_SHORT_ID) < 0))
		return wrong(why, "sid: an even number of hexadecimal digits, 16 at most");
	if (strlen(link->sni) >= sizeof(c->server_name))
		return wrong(why, "sni is too long");
	snprintf(c->server_name, sizeof(c->server_name), "%s", link->sni);
	err = set_mldsa(link->mldsa_verify, c);
	return err == -ERR_MALFORMED ? wrong(why, "pqv is no ML-DSA-65 key: base64 of 1952 bytes")
				     : err;
}

int outbound_conf_of_link(const struct share_link *link, const struct link_trust *trust,
			  struct outbound_conf *out, char why[FROM_LINK_WHY])
{
	struct outbound_conf c = {.proto = outbound_proto_of(link->kind), .mux = trust->mux};
	const char *what;
	int err;

	if (link->network != NET_TCP || (*link->header_type && strcmp(link->header_type, "none")))
		return wrong(why, "network %s is not in this build",
			     node_network_name(link->network));
	if (dest_set_name(&c.server, link->host, strlen(link->host), link->port))
		return wrong(why, "the host is neither a name nor an address");
	err = c.proto->of_link(link, &c, why);
	if (!err && mux_conf_settle(&c, &what))
		err = wrong(why, "%s", what);
	if (!err && link->security == SECURITY_TLS)
		err = make_tls(link, trust, &c, why);
	if (!err && link->security == SECURITY_REALITY)
		err = make_reality(link, &c, why);
	if (err)
		outbound_conf_done(&c);
	else
		*out = c;
	return err;
}

void outbound_conf_done(struct outbound_conf *c)
{
	tls_client_conf_put(c->tls);
	c->tls = NULL;
	reality_client_conf_free(c->reality);
	c->reality = NULL;
	free(c->obfs);
	c->obfs = NULL;
	if (c->proto && c->proto->done)
		c->proto->done(c);
}
