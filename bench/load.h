/* load.h - both ends of a measured path, in one thread: users in front of the server under test,
 * and the target behind it.  The first byte of a connection tells the target what it is for.
 */
#ifndef WEIR_BENCH_LOAD_H
#define WEIR_BENCH_LOAD_H

#include "stream/dialer.h"

#define LOAD_MESSAGE 100
#define LOAD_BLOCK   (256 * 1024)

/* Bulk is a pattern that comes again after so many bytes: a prime number, so that no chunk of a
 * power of two looks like another.
 */
#define LOAD_PERIOD 262139

enum load_wish {
	LOAD_PING = '.', /* whatever comes goes back */
	LOAD_DOWN = '!', /* the target sends for ever */
	LOAD_UP = '^',	 /* and reads for ever */
	LOAD_UDP = 'u',	 /* datagrams, each sent back */
};

struct load {
	struct loop *loop;
	/* through the server under test, or to the relay in front of the target */
	struct dialer *dialer;
	struct dest to; /* what it is asked for */
	bool again;	/* a ping answered is followed by another one... */
	bool reconnect; /* ...on a new connection */
	bool leave;	/* whoever has been answered goes */
	uint64_t moved, pings;
	/* What is still to come: a ping's answer, the first byte of bulk, the last one to be looked
	 * at.
	 */
	size_t npending;
	/* What each ping took, in us, as far as there is room; NULL: nobody asked. */
	float *times;
	size_t ntimes, room;
	uint64_t check; /* so many bytes of every bulk are compared with the pattern; 0: none */
};

/* The pattern from a position in the stream on, LOAD_BLOCK bytes of it. */
const char *load_pattern(uint64_t at);

/* Bulk has arrived; `begun` is the flow's. */
void load_moved(struct load *l, bool *begun, size_t n);

/* Ends the program at a wrong byte; the flow's last one of those to be checked counts it out. */
void load_compare(struct load *l, uint64_t at, const char *p, size_t n);

/* Serves on 127.0.0.1; what uploads bring is counted as `moved`. */
void load_target_open(struct load *l, uint16_t port);

/* Errors end the program: there is nothing to measure then. */
void load_user_new(struct load *l, enum load_wish wish);

/* The same for datagrams (load_dgram.c). */
void load_echo_open(struct load *l, uint16_t port);
void load_talker_new(struct load *l);

/* The turns of so long a time. */
void load_run(struct load *l, nsec_t duration);

/* Until so much is pending at most. */
void load_settle(struct load *l, size_t pending);

_Noreturn void load_die(const char *what, int err);

#endif
