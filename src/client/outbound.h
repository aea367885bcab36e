/* outbound.h - a dialer through a server of ours: TCP, TLS if asked for, then VLESS, VMess, Trojan
 * or Shadowsocks.
 *
 * Threads: one per loop; the TLS configuration is shared.
 */
#ifndef WEIR_CLIENT_OUTBOUND_H
#define WEIR_CLIENT_OUTBOUND_H

#include "proto/shadowsocks/shadowsocks.h"
#include "proto/trojan/trojan_wire.h"
#include "proto/vless/vless_wire.h"
#include "proto/vlessenc/vlessenc.h"
#include "proto/vmess/vmess.h"
#include "stream/dialer.h"
#include "tls/client.h"
#include "tls/reality.h"
#include "transport/httpobfs/httpobfs.h"

enum outbound_proto {
	OUTBOUND_VLESS,
	OUTBOUND_TROJAN,
	OUTBOUND_SHADOWSOCKS,
	OUTBOUND_VMESS,
};

struct outbound_conf {
	enum outbound_proto proto;
	struct dest server;
	/* A plugin, where streams and where packets of Shadowsocks go instead; DEST_NONE: to the server. */
	struct dest via, via_udp;
	union {
		uint8_t id[VLESS_ID_LEN];
		uint8_t key[TROJAN_KEY_LEN];
		struct ss_client_conf ss;
		struct vmess_client_conf vmess;
	};
	struct tls_client_conf *tls;	     /* NULL: in clear; the owner's reference */
	struct reality_client_conf *reality; /* NULL: none; owned */
	struct httpobfs_conf *obfs;	     /* NULL: none; owned */
	struct vlessenc_conf *encryption;    /* of VLESS; NULL: none; owned */
	int uot;	/* Shadowsocks: UDP inside streams, version; 0: packets */
	bool plain_udp; /* VLESS, VMess: command 2 instead of XUDP */
	bool vision;	/* VLESS: with the flow xtls-rprx-vision... */
	bool udp443;	/* ...and UDP to port 443 as well */
};

struct outbound {
	struct dialer dialer;
	struct dialer *under;		  /* reaches the server */
	const struct outbound_conf *conf; /* outlives it */
};

void outbound_init(struct outbound *o, struct dialer *under, const struct outbound_conf *conf);

#endif
