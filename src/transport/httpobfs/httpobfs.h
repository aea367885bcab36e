/* httpobfs.h - the HTTP disguise of simple-obfs: a WebSocket upgrade that nobody means, then raw bytes
 * both ways (docs/protocols/shadowsocks.md, section 6).
 *
 * The server's open() reads the client's head; a stream that is no HTTP at all passes as it is, one
 * that is HTTP and not this disguise is -ERR_AUTH with every byte un-read, for the reject policy.  The
 * answer's head goes with the first bytes pushed.
 *
 * Threads: the stream's loop; the conf is shared and immutable.
 */
#ifndef WEIR_TRANSPORT_HTTPOBFS_H
#define WEIR_TRANSPORT_HTTPOBFS_H

#include "stream/stream.h"
#include "transport/httpobfs/httpobfs_wire.h"

struct httpobfs_conf {
	char host[HTTPOBFS_HOST_MAX +
		  1]; /* server: clients must name it, "": any; client: it names it */
	char path[HTTPOBFS_PATH_MAX + 1]; /* client; "": / */
	uint16_t port;			  /* client: of the server; 80 is not written */
	/* Of the program that we claim to be; the same for a process's life. */
	uint8_t minor, patch;
};

/* 0; -ERR_MALFORMED: a host or path that cannot stand in a head.  Both may be NULL. */
MUST_CHECK int httpobfs_conf_set(struct httpobfs_conf *c, const char *host, const char *path,
				 uint16_t port);

/* `conf` outlives the stream.  NULL: no memory, `lower` is freed. */
struct stream *httpobfs_server_new(struct stream *lower, const struct httpobfs_conf *conf);
struct stream *httpobfs_client_new(struct stream *lower, const struct httpobfs_conf *conf);

#endif
