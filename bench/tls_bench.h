/* tls_bench.h - the parts of the TLS benchmark: three processes on loopback.
 *
 *     client  ->  relay under test  ->  target
 *
 * The relay is alone on its processor and the only one that is measured.  Ways of relaying:
 *
 *     copy     256 KiB reads, one write each: the floor of any relay that does not splice
 *     cipher   the same, every byte sealed once on the way as TLS records of 16 KiB: the floor of
 * TLS tls      a listener, the TLS layer, the relay of src/stream: what the node does libssl   the
 * same with TLS 1.2, which stays in libssl
 */
#ifndef WEIR_BENCH_TLS_BENCH_H
#define WEIR_BENCH_TLS_BENCH_H

#include "base/base.h"

struct bench {
	const char *way;
	bool up; /* the client sends; otherwise the target does */
	int flows;
	uint64_t bytes; /* in all */
	uint16_t relay_port, target_port;
};

/* Each runs in a process of its own.  The relays serve until they are killed. */
void cipher_relay(const struct bench *b, int listener);
void tls_relay(const struct bench *b, int listener);

/* The receiving one of these two returns when all bytes have arrived, the other never. */
void load_target(const struct bench *b, int listener);
void load_client(const struct bench *b);

/* `flows` TLS connections that are open and idle; one byte into `ready` when they all are. */
void load_idle(const struct bench *b, int ready);

/* On loopback; both non-blocking, the latter connected. */
int bench_listen(uint16_t *port);
int bench_connect(uint16_t port);

#endif
