/* ss_udp.h - the UDP side of a Shadowsocks inbound on one worker: a socket, and the associations of its
 * clients.
 *
 * An association is a dgram, handed to the owner when somebody's first packet has authenticated: what
 * it receives are that client's packets with their destinations, what is sent into it goes back to the
 * client with the address it came from (full cone).  SIP004 tells clients apart by their address and
 * key, 2022 by the session that they name, wherever it comes from at the moment.
 *
 * Packets that are not right get no answer and leave nothing behind, whatever is wrong with them.
 *
 *     err = ss_udp_new(loop, fd, AF_INET6, &service, opened, arg, &udp);
 *     ...
 *     ss_udp_close(udp);       associations end (recv() gives 0); each dgram stays its owner's
 *
 * Threads: the loop's.
 */
#ifndef WEIR_PROTO_SHADOWSOCKS_UDP_H
#define WEIR_PROTO_SHADOWSOCKS_UDP_H

#include "proto/replay.h"
#include "proto/shadowsocks/ss_users.h"
#include "stream/dgram.h"

struct ss_sessions;
struct ss_udp;

/* What one generation of an inbound offers.  All of it outlives the associations that it opened, and
 * is there until the next ss_udp_use() has returned.
 */
struct ss_udp_service {
	const struct ss_method *method;
	const uint8_t *psk;	      /* 2022 with identity headers: the server's key; else NULL */
	struct ss_finder *finder;     /* SS_AEAD, SS_2022; others: one user, not looked at */
	struct replay *replay;	      /* SIP004: salts of packets; NULL: they may come twice */
	struct ss_sessions *sessions; /* 2022: of all workers; NULL: there is one */
	const struct user_table *const *users; /* the worker's present table */
	bool hidden; /* packets come through a plugin: where they come from says nothing */
};

/* `client` is the callee's from now on: it frees it when the association has ended.  `request` holds
 * during the call and names the user and the first destination.
 */
typedef void ss_udp_opened(void *arg, struct dgram *client, const struct stream_request *request,
			   const struct addr *peer);

/* `fd` is a bound UDP socket, non-blocking; on failure it stays the caller's.  0, -ENOMEM, -errno. */
MUST_CHECK int ss_udp_new(struct loop *loop, int fd, int family,
			  const struct ss_udp_service *service, ss_udp_opened *opened, void *arg,
			  struct ss_udp **out);

/* New associations are as `service` says.  Those that are there go on with the old one, unless its
 * method or server key was another: then they end.
 */
void ss_udp_use(struct ss_udp *u, const struct ss_udp_service *service, ss_udp_opened *opened,
		void *arg);

void ss_udp_close(struct ss_udp *u);  /* NULL is fine */
void ss_udp_let_go(struct ss_udp *u); /* the same, but the socket is the caller's again */

struct ss_udp_count {
	uint64_t packets; /* that came */
	uint64_t refused; /* nobody's, not right, or come before */
	uint64_t dropped; /* for want of room */
	size_t associations;
};
void ss_udp_count(const struct ss_udp *u, struct ss_udp_count *out);

#endif
