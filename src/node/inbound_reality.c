#include "node/inbound_reality.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/hex.h"
#include "crypto/ct.h"
#include "crypto/mldsa65.h"

int reality_version_parse(const char *text, uint32_t *out)
{
	uint32_t version = 0;

	for (int part = 0; part < 3; part++) {
		size_t digits = strspn(text, "0123456789");
		unsigned long n = 0;

		if (digits > 3 || (digits == 0 && (part == 0 || *text)))
			return -ERR_MALFORMED;
		for (size_t i = 0; i < digits; i++)
			n = n * 10 + (unsigned long)(text[i] - '0');
		if (n > 255)
			return -ERR_MALFORMED;
		version = version << 8 | (uint32_t)n;
		text += digits;
		if (*text == '.' && part < 2 && text[1])
			text++;
	}
	if (*text)
		return -ERR_MALFORMED;
	*out = version;
	return 0;
}

static int version_limit(const char *name, const char *text, uint32_t *out,
			 char why[INBOUND_WHY_MAX])
{
	if (!text || !*text)
		return 0;
	if (reality_version_parse(text, out))
		return inbound_wrong(why, "%s: %.40s is not a version such as 26.3.27", name, text);
	return 0;
}

/* A target that is this listener would mirror itself without end. */
static bool is_own_listener(const struct inbound *in, const struct dest *d, uint16_t port)
{
	struct addr to, any4, any6;
	struct cidr loop4, loop6;
	bool local;

	if (d->port != port || dest_addr(d, &to) || addr_parse_ip(&any4, "0.0.0.0", port) ||
	    addr_parse_ip(&any6, "::", port) || cidr_parse(&loop4, "127.0.0.0/8") ||
	    cidr_parse(&loop6, "::1/128"))
		return false;
	local = cidr_match(&loop4, &to) || cidr_match(&loop6, &to);
	for (unsigned i = 0; i < in->nlisten; i++) {
		const struct addr *at = &in->listen[i];

		if (addr_equal(at, &to) ||
		    (local && (addr_equal(at, &any4) || addr_equal(at, &any6))))
			return true;
	}
	return false;
}

static int set_target(const struct node_reality *r, struct reality_options *o,
		      char why[INBOUND_WHY_MAX])
{
	if (*r->dest == '/' || *r->dest == '@') {
		o->target = r->dest;
		return 0;
	}
	if (dest_set_name(&o->dest, r->dest, strlen(r->dest), r->dest_port))
		return inbound_wrong(
			why, "tls_settings.dest: %.100s is neither a name nor an address", r->dest);
	return 0;
}

static int set_short_ids(const struct node_reality *r, uint8_t (*ids)[REALITY_SHORT_ID],
			 char why[INBOUND_WHY_MAX])
{
	for (size_t i = 0; i < r->short_ids.n; i++) {
		const char *text = r->short_ids.v[i];

		memset(ids[i], 0, REALITY_SHORT_ID);
		if (*text && hex_parse(text, strlen(text), ids[i], REALITY_SHORT_ID) < 0)
			return inbound_wrong(why, "tls_settings.short_id: %.40s is not one", text);
	}
	return 0;
}

static int build(const struct node_reality *r, uint16_t port, struct reality_options *o,
		 uint8_t (*ids)[REALITY_SHORT_ID], struct reality_conf **out,
		 char why[INBOUND_WHY_MAX])
{
	int err = set_target(r, o, why);

	if (!err)
		err = set_short_ids(r, ids, why);
	if (!err)
		err = version_limit("min_client_ver", r->min_client_ver, &o->min_version, why);
	if (!err)
		err = version_limit("max_client_ver", r->max_client_ver, &o->max_version, why);
	if (err)
		return err;
	o->port = port;
	o->xver = (int)r->xver;
	o->names = r->server_names.v;
	o->nnames = r->server_names.n;
	o->short_ids = (const uint8_t(*)[REALITY_SHORT_ID])ids;
	o->nshort_ids = r->short_ids.n;
	o->private_key = r->private_key;
	o->max_time_diff_ms = r->max_time_diff_ms;
	*out = reality_conf_new(o);
	return *out ? 0 : -ENOMEM;
}

static int set_mldsa(const struct node_reality *r, uint8_t seed[MLDSA65_SEED],
		     struct reality_options *o, char why[INBOUND_WHY_MAX])
{
	const char *text = r->mldsa65_seed;

	if (!text || !*text)
		return 0;
	if (base64_decode(text, strlen(text), seed, MLDSA65_SEED) != MLDSA65_SEED ||
	    ct_equal(seed, r->private_key, MLDSA65_SEED))
		return inbound_wrong(
			why, "tls_settings.mldsa65Seed: base64 of 32 bytes that are not the "
			     "private key's");
	o->mldsa_seed = seed;
	return 0;
}

int inbound_reality(const struct inbound_plan *plan, const struct inbound *in,
		    struct reality_conf **out, char why[INBOUND_WHY_MAX])
{
	const struct node_reality *r = &plan->info->reality;
	struct reality_options o = {0};
	uint8_t(*ids)[REALITY_SHORT_ID], seed[MLDSA65_SEED];
	int err;

	if (plan->info->security != SECURITY_REALITY)
		return 0;
	ids = calloc(r->short_ids.n ? r->short_ids.n : 1, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	err = set_mldsa(r, seed, &o, why);
	if (!err)
		err = build(r, plan->info->port, &o, ids, out, why);
	free(ids);
	cleanse(seed, sizeof(seed));
	if (!err && !o.target && is_own_listener(in, &o.dest, plan->info->port))
		err = inbound_wrong(why, "tls_settings.dest: %.100s:%u is this node itself",
				    r->dest, o.dest.port);
	return err;
}
