/* report.h - what nodes send: traffic (`push`) and online addresses (`alive`); spec A.8, A.9.
 *
 * A body is judged as a whole: one wrong entry and nothing of it counts (P5), so that a node which
 * sends it again is not billed for half of it twice.  Pure; memory is a few bytes an entry.
 */
#ifndef WEIR_PANEL_REPORT_H
#define WEIR_PANEL_REPORT_H

#include "base/base.h"
#include "panel/fault.h"

struct push_entry {
	int64_t user, up, down;
};

struct push_report {
	struct push_entry *entries; /* ascending by user, each once */
	size_t n;
};

struct alive_user {
	int64_t user;
	uint32_t first, n; /* of the report's addresses, each once */
};

struct alive_report {
	struct alive_user *users; /* in the order of the body */
	size_t n;
	uint8_t (*ips)[16]; /* IPv4 as v4-mapped */
	size_t n_ips;
};

/* {"41": [up, down], …}.  0, -EINVAL with the reason in `why`, or -ENOMEM.  On success the report
 * is the caller's, to be given to push_report_done().
 */
MUST_CHECK int push_report_parse(const char *text, size_t len, struct push_report *out,
				 struct fault *why);
void push_report_done(struct push_report *r);

/* {"9101": 20971520, …}: YaSSP's traffic by port, both directions in one number (D.5).  Entries
 * have the port as `user` and the number as `down`.
 */
MUST_CHECK int port_report_parse(const char *text, size_t len, struct push_report *out,
				 struct fault *why);

/* {"41": ["198.51.100.7", …], …}.  A user's addresses beyond ALIVE_IPS_MAX are left out. */
#define ALIVE_IPS_MAX 200
MUST_CHECK int alive_report_parse(const char *text, size_t len, struct alive_report *out,
				  struct fault *why);
void alive_report_done(struct alive_report *r);

#endif
