/* share_node.c - from what a panel says about a node to the link that its clients need. */
#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/mldsa65.h"
#include "crypto/x25519.h"
#include "node/share_link.h"
#include "node/share_ss.h"
#include "proto/vlessenc/vlessenc_conf.h"

static const char *first_of(const struct text_list *l)
{
	return l->n ? l->v[0] : "";
}

static const char *join(struct arena *a, const struct text_list *l)
{
	const char *text = "";

	for (size_t i = 0; i < l->n && text; i++)
		text = arena_printf(a, "%s%s%s", text, i ? "," : "", l->v[i]);
	return text;
}

static const char *name_of(const struct node_info *info)
{
	if (info->tls.server_names.n)
		return info->tls.server_names.v[0];
	if (info->tls.server_name && *info->tls.server_name)
		return info->tls.server_name;
	if (info->server_name)
		return info->server_name;
	return info->host ? info->host : "";
}

/* What a client needs to insist on the signature of the node's seed. */
static int set_mldsa(struct share_link *l, const struct node_reality *r, struct arena *a,
		     const char **why)
{
	const char *text = r->mldsa65_seed;
	char *out = arena_alloc(a, BASE64_TEXT(MLDSA65_PUB));
	uint8_t seed[MLDSA65_SEED];
	struct mldsa65_key *key = NULL;
	int err = -ERR_CONFIG;

	*why = "tls_settings.mldsa65Seed is not base64 of 32 bytes that are not the private key's";
	if (base64_decode(text, strlen(text), seed, sizeof(seed)) == sizeof(seed) &&
	    !ct_equal(seed, r->private_key, sizeof(seed))) {
		key = out ? mldsa65_key_new(seed) : NULL;
		err = key ? 0 : -ENOMEM;
	}
	if (!err) {
		base64_encode(BASE64_URL, mldsa65_public(key), MLDSA65_PUB, out);
		l->mldsa_verify = out;
	}
	mldsa65_key_free(key);
	cleanse(seed, sizeof(seed));
	return err;
}

static int set_reality(struct share_link *l, const struct node_info *info, struct arena *a,
		       const char **why)
{
	uint8_t key[X25519_LEN];
	char *text = arena_alloc(a, BASE64_TEXT(X25519_LEN));
	int err = text ? x25519_public(info->reality.private_key, key) : -ENOMEM;

	if (err)
		return err;
	base64_encode(BASE64_URL, key, sizeof(key), text);
	l->public_key = text;
	l->short_id = first_of(&info->reality.short_ids);
	l->sni = first_of(&info->reality.server_names);
	l->fingerprint = "chrome";
	if (!info->reality.mldsa65_seed || !*info->reality.mldsa65_seed)
		return 0;
	return set_mldsa(l, &info->reality, a, why);
}

static int set_security(struct share_link *l, const struct node_info *info, struct arena *a,
			const char **why)
{
	l->security = info->security;
	if (info->security == SECURITY_REALITY)
		return set_reality(l, info, a, why);
	if (info->security == SECURITY_TLS) {
		l->sni = name_of(info);
		l->alpn = join(a, &info->tls.alpn);
		if (!l->alpn)
			return -ENOMEM;
	}
	return 0;
}

static const char *given(const char *text)
{
	return text ? text : "";
}

static int set_network(struct share_link *l, const struct node_info *info, struct arena *a)
{
	const struct node_transport *t = &info->transport;

	l->network = info->network;
	switch (info->network) {
	case NET_GRPC:
		l->service_name = given(t->service_name);
		l->authority = given(t->authority);
		l->mode = t->multi_mode ? "multi" : "gun";
		return 0;
	case NET_TCP:
	case NET_QUIC:
	case NET_KCP:
		l->header_type =
			t->header_type && strcmp(t->header_type, "none") ? t->header_type : "";
		l->seed = given(t->seed);
		l->path = first_of(&t->request.paths);
		return 0;
	default:
		break;
	}
	l->path = given(t->path);
	if (t->early_data > 0)
		l->path = arena_printf(a, "%s?ed=%lld", *l->path ? l->path : "/",
				       (long long)t->early_data);
	l->http_host = first_of(&t->hosts);
	l->mode = given(t->mode);
	return l->path ? 0 : -ENOMEM;
}

static int set_protocol(struct share_link *l, const struct node_info *info, struct arena *a,
			const char **why)
{
	if (info->type == NODE_SHADOWSOCKS)
		return share_ss_of_node(info, a, l, why);
	if (info->type == NODE_TROJAN) {
		l->kind = SHARE_TROJAN;
		return 0;
	}
	if (info->type == NODE_VMESS) {
		l->kind = SHARE_VMESS;
		l->encryption = "auto";
		return 0;
	}
	if (info->type != NODE_VLESS) {
		*why = "links of this protocol are not implemented yet";
		return -ERR_UNSUPPORTED;
	}
	l->kind = SHARE_VLESS;
	l->flow = info->vless.vision ? "xtls-rprx-vision" : "";
	l->encryption = "none";
	if (info->vless.decryption && strcmp(info->vless.decryption, "none"))
		return vlessenc_client_text(info->vless.decryption, a, &l->encryption, why);
	return 0;
}

int share_link_of_node(const struct node_info *info, const char *credential, const char *host,
		       const char *name, struct arena *a, struct share_link *out, const char **why)
{
	struct share_link l = share_link_empty();
	int err;

	l.credential = credential;
	l.host = *host ? host : given(info->host);
	l.port = info->port;
	l.name = name;
	if (!*l.host) {
		*why = "the panel names no host for clients; say which";
		return -ERR_CONFIG;
	}
	err = set_protocol(&l, info, a, why);
	if (!err)
		err = set_security(&l, info, a, why);
	if (!err)
		err = set_network(&l, info, a);
	if (!err)
		*out = l;
	else if (err != -ERR_CONFIG && err != -ERR_UNSUPPORTED)
		*why = err_text(err);
	return err;
}
