/* stage.h - an inbound with users, sessions and a fake outside, on a loop of the test's.
 *
 * Clients come over memory pairs; what the session dials is a pair, too, whose other end is handed
 * to the test.
 */
#ifndef WEIR_TESTS_STAGE_H
#define WEIR_TESTS_STAGE_H

#include "people.h"
#include "session/session.h"

struct stage;

enum stage_answer {
	STAGE_ACCEPTS,
	STAGE_REFUSES, /* with `err` */
	STAGE_IS_SILENT,
};

/* Where sessions dial. */
struct stage_dialer {
	struct dialer dialer;
	struct stage *stage;
	enum stage_answer answer;
	nsec_t delay;
	int err;
	unsigned dials, cancelled;
	char to[DEST_TEXT_MAX]; /* the last destination */
	/* The far end of a stream that was dialled; NULL: it is put into `target`. */
	void (*accepted)(struct stage_dialer *d, struct stream *target);
	struct stream *target; /* the last one; all are freed by the stage */
	struct stream **all;
	size_t nall;
	struct dgram *dgram; /* of the last association; freed by the stage */
	void *arg;
};

struct stage {
	struct loop *l;
	struct people people;
	struct session_inbound in;
	struct half_open half_open; /* used where in.half_open says so */
	struct half_open_sources sources;
	struct session_times times; /* 60 s, 15 s, 60 s; idle 300 s, linger 10 s */
	struct stage_dialer out, fall;
	size_t capacity; /* of the pairs, each direction */
	bool dribble;	 /* between a session and its client */
	bool plain_udp;	 /* VLESS clients use command 2 */
	bool proxied;	 /* clients begin with a PROXY header */
	/* Of sessions that have ended, but for carriers; `report` is the last one, its pointers are not
	 * to be followed. */
	unsigned ended;
	struct session_report report;
	nsec_t ended_at;
	int64_t user; /* 0: none */
	char dest[DEST_TEXT_MAX], peer[ADDR_TEXT_MAX];
	void (*each)(struct stage *g, const struct session_report *r); /* may be NULL */
	void *arg;
};

/* `users` as people_set() takes it. */
void stage_init(struct stage *g, struct loop *l, const char *proto, const char *users);
void stage_done(struct stage *g); /* every session has ended; the loop may be used no more */

/* The two on a virtual loop of the stage's own; closing ends all sessions and checks that nothing
 * is left.
 */
void stage_open(struct stage *g, const char *proto, const char *users);
void stage_close(struct stage *g);

#define FOR_EACH_PROTOCOL(g, users)                                                           \
	for (int p_ = 0; p_ < 2; p_++)                                                        \
		for (bool once_ = (stage_open(&(g), p_ ? "trojan" : "vless", (users)), true); \
		     once_; once_ = (stage_close(&(g)), false))

bool stage_is_vless(const struct stage *g);

/* Let time pass until a session has ended.  When that was, from `since`. */
nsec_t stage_until_ended(struct stage *g, nsec_t since);

/* A session of user `name` up to its relay: the client's end, with the request sent. */
struct stream *stage_served(struct stage *g, const char *name, const char *peer);
/* The same with one packet there. */
struct dgram *stage_served_udp(struct stage *g, const char *name);

/* A connection from `peer` ("192.0.2.1:1000", NULL: unknown): the client's end. */
struct stream *stage_connect(struct stage *g, const char *peer);

/* The protocol's client, as user `name` to `to`, over a stream that passes. */
struct stream *stage_client(struct stage *g, struct stream *lower, const char *name,
			    const char *to);
struct dgram *stage_client_udp(struct stage *g, struct stream *lower, const char *name,
			       const char *to);

/* The request as the client would send it.  Returns its length. */
size_t stage_request(struct stage *g, const char *name, const char *to, uint8_t out[1024]);

/* ---- bytes by hand --------------------------------------------------------------------------- */

void put_bytes(struct stream *s, const void *bytes, size_t len);
/* Everything that is there, up to `max`; *end is set to what pull() said behind it. */
size_t get_bytes(struct stream *s, void *out, size_t max, ssize_t *end);
/* The next `len` bytes are `want`, read by threes, though memory runs out at each need of it. */
void assert_comes_when_memory_is_scarce(struct stream *s, const void *want, size_t len);

/* The same with room for a lot. */
size_t get_all(struct stream *s, uint8_t out[65536], ssize_t *end);
void hang_up(struct stream *s); /* a reset */

/* Turns without letting time pass, until nothing moves. */
void settle_now(struct loop *l);

#endif
