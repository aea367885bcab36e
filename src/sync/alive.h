/* alive.h - the devices that a panel counts online, and the bodies of the two reports.  Pure. */
#ifndef WEIR_SYNC_ALIVE_H
#define WEIR_SYNC_ALIVE_H

#include "sync/answer.h"
#include "sync/ledger.h"
#include "sync/notes.h"
#include "sync/url.h"
#include "user/registry.h"

struct alive_list {
	struct user_alive *v;
	size_t n, cap;
};

void alive_list_done(struct alive_list *l);

/* {"alive": {"41": 2}} (A.7).  ANSWER_OK with *out set, or why not. */
enum answer_class alive_decode(const char *body, size_t len, struct alive_list *out,
			       struct notes *notes);

/* {"41":[52311,9120044],"42":[0,7]} (A.8) */
void traffic_body(const struct ledger_entry *v, size_t n, struct text *out);

/* {"41":["198.51.100.7","2001:db8::5"]} (A.9), user by user. */
void online_body_begin(struct text *out);
void online_body_add(struct text *out, int64_t id, const struct addr *addrs, size_t n);
void online_body_end(struct text *out);

#endif
