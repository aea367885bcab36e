/* share_link.h - the addresses that clients import: vless://, trojan://, ss://, vmess://
 * (config G.14).
 * Pure.
 *
 *     vless://UUID@HOST:PORT?security=reality&type=tcp&encryption=none&flow=…&sni=…&fp=…&pbk=…&sid=…#NAME
 *     trojan://PASSWORD@HOST:PORT?security=tls&type=ws&path=…&host=…&sni=…#NAME
 *     ss://BASE64(METHOD:PASSWORD)@HOST:PORT/?plugin=…#NAME            2022: METHOD:KEY, escaped
 *     vmess://BASE64(v2rayN's JSON), and only read: vmess://UUID@HOST:PORT?encryption=auto&…#NAME
 *
 * What is parsed lies in the caller's arena; what is emitted parses back to the same.
 */
#ifndef WEIR_NODE_SHARE_LINK_H
#define WEIR_NODE_SHARE_LINK_H

#include "base/arena.h"
#include "base/base.h"
#include "base/json_value.h"
#include "base/wr.h"
#include "node/info.h"

#define SHARE_LINK_MAX 4096 /* longer ones are refused; a QR code ends at about 2900 */

enum share_kind {
	SHARE_VLESS,
	SHARE_TROJAN,
	SHARE_SHADOWSOCKS,
	SHARE_VMESS,
};

/* Texts are never NULL; "" is what the link does not say. */
struct share_link {
	enum share_kind kind;
	const char *credential; /* UUID or short text; password */
	const char *host;	/* a name or an IP address, without brackets */
	uint16_t port;
	const char *name;
	enum node_security security;
	enum node_network network;
	/* vless: "none", or the client's half of an encryption string; vmess: the cipher, "auto" */
	const char *encryption;
	const char *flow;
	const char *sni, *alpn, *fingerprint;	    /* alpn: a comma list */
	const char *public_key, *short_id, *spider; /* REALITY */
	const char *mldsa_verify;		    /* REALITY: base64 of an ML-DSA-65 key */
	const char *path, *http_host, *service_name, *authority, *mode, *header_type, *seed;
	/* ss: the cipher; "name;options" of SIP003; "1" or "2": UDP over TCP, and which */
	const char *method, *plugin, *uot;
	const char *experiments;  /* vmess, Xray's word: "AuthenticatedLength" */
	bool insecure;		  /* allowInsecure: do not verify the certificate */
	struct json_list ignored; /* names of parameters that nobody knows */
};

/* One with every text "". */
struct share_link share_link_empty(void);

/* 0; -ERR_MALFORMED, -ERR_UNSUPPORTED (a scheme or network to come), -ERR_TOO_BIG, each with a
 * phrase in *why (static storage); -ENOMEM.
 */
MUST_CHECK int share_link_parse(const char *text, size_t len, struct arena *a,
				struct share_link *out, const char **why);

/* Everything but RFC 3986's unreserved characters as %XX. */
void share_wr_escaped(struct wr *w, const char *text);

/* The scheme of a kind: "vless". */
const char *share_kind_name(enum share_kind kind);

/* The link, without NUL; w->err when it does not fit. */
void share_link_emit(const struct share_link *l, struct wr *w);

/* The link of a user of a node: what the panel says about the node, from a client's side.  `host`
 * is where clients reach it ("": what the panel names); texts of `info`, `credential`, `host` and
 * `name` are referred to.  0; -ERR_UNSUPPORTED, -ERR_CONFIG with a phrase in *why; -ERR_CRYPTO,
 * -ENOMEM.
 */
MUST_CHECK int share_link_of_node(const struct node_info *info, const char *credential,
				  const char *host, const char *name, struct arena *a,
				  struct share_link *out, const char **why);

#endif
