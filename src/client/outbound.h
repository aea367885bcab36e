/* outbound.h - a dialer through a server of ours: TCP, TLS if asked for, then VLESS, VMess, Trojan
 * or Shadowsocks; each stream in a connection of its own, or many in few (M8).
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
#include "stream/mux_pool.h"
#include "tls/client.h"
#include "tls/reality.h"
#include "transport/httpobfs/httpobfs.h"

enum outbound_quic {
	QUIC_ALLOWED,
	QUIC_REJECTED, /* packets to port 443 are dropped */
	QUIC_ALONE,    /* an association that begins with it is not multiplexed */
};

/* How streams and associations share connections. */
struct outbound_mux {
	const struct mux_client_kind *kind; /* NULL: they do not */
	bool padding;
	bool no_tcp, no_udp; /* these have connections of their own */
	unsigned streams;    /* of a connection; 0: no limit */
	unsigned
		udp_streams; /* mux.cool: associations have other connections, of so many; 0: the same */
	unsigned carriers, min_streams; /* as in struct mux_pool_conf */
	enum outbound_quic quic;
};

/* Is the end of a stream that of both directions?  Who closes his is told apart from who waits for an
 * answer only by the silence that follows. */
static inline bool outbound_mux_ends_whole(const struct outbound_mux *m)
{
	return m->kind && !m->no_tcp && m->kind->whole_end;
}

struct outbound_conf {
	const struct outbound_proto *proto; /* outbound_proto.h */
	struct dest server;
	/* A plugin, where streams, and where packets apart, go instead; DEST_NONE: to the server. */
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
	bool apart;			     /* packets do not go inside streams, but beside them */
	int uot;	/* Shadowsocks: UDP inside streams, version; 0: packets */
	bool plain_udp; /* VLESS, VMess: command 2 instead of XUDP */
	bool vision;	/* VLESS: with the flow xtls-rprx-vision... */
	bool udp443;	/* ...and UDP to port 443 as well */
	struct outbound_mux mux;
};

struct outbound {
	struct dialer dialer;
	struct dialer *under;		  /* reaches the server */
	const struct outbound_conf *conf; /* outlives it */
	struct mux_pool_conf tcp_conf, udp_conf;
	struct mux_pool tcp,
		udp; /* carriers; what packets take is `udp` where they have their own */
};

void outbound_init(struct outbound *o, struct dialer *under, const struct outbound_conf *conf);
/* Ends the carriers of a multiplexer: due where there is one; fine on one that is zero-filled. */
void outbound_done(struct outbound *o);

#endif
