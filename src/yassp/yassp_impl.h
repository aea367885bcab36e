/* yassp_impl.h - the inside of a site, shared by its files.
 *
 *   yassp.c    timers, the end
 *   pull.c     asking for the list
 *   apply.c    the list to the engine, one at a time
 *   upload.c   what was counted to the panel
 */
#ifndef WEIR_YASSP_IMPL_H
#define WEIR_YASSP_IMPL_H

#include "base/list.h"
#include "base/log.h"
#include "sync/answer.h"
#include "sync/snapshot.h"
#include "sync/url.h"
#include "yassp/due.h"
#include "yassp/list.h"
#include "yassp/yassp.h"

#define YASSP_MODIFIED_MAX 64

struct validators {
	char etag[HTTP_ETAG_MAX], modified[YASSP_MODIFIED_MAX];
};

/* A list on its way to the engine. */
struct job {
	struct list_node link;
	struct yassp *y;
	struct yassp_list list;
	struct validators validators; /* of a pull */
	char *body;		      /* of a pull, for the snapshot; NULL: none is made */
	size_t body_len;
	yassp_pushed *done; /* of a push */
	void *arg;
	unsigned pending; /* the engine's answers that are to come */
};

/* What is said once, until it is something else. */
struct complaint {
	int status, err;
	unsigned times;
};

struct yassp {
	struct yassp_env env;
	const struct yassp_conf *conf;
	const char **allow; /* conf->plugin_allow, NULL-terminated */
	char name[SNAPSHOT_NAME_LEN + 1];

	/* the list */
	struct yassp_list list; /* as it was given to the engine */
	uint32_t *generations;	/* beside list.v */
	uint32_t next_generation;
	struct list_node jobs; /* that wait for their turn */
	struct job *current;   /* that the engine is at; NULL: none */
	bool known;	       /* a list was applied, by pull or push */

	/* pulling */
	struct timer pull, retry;
	struct http_call get;
	bool getting, plain; /* plain: without validators, after a 304 that cannot be */
	unsigned tries;
	struct text get_url;
	struct validators applied;
	struct complaint pull_complaint;
	nsec_t not_before; /* Retry-After */

	/* reporting */
	struct timer check;
	struct http_call post;
	bool posting;
	struct text post_url, post_body;
	char report_id[2 * LEDGER_ID_LEN + 1];
	struct ledger_batch sending;
	int64_t tried; /* the newest batch of this check */
	struct yassp_due due;
	struct complaint post_complaint;
	bool ledger_complained;

	/* the end */
	bool stopping, hurried;
	bool draining; /* the engine is down, the last reports leave */
	struct timer budget;
	struct waiter gone;
	void (*stopped)(void *arg);
	void *stopped_arg;
};

nsec_t yassp_now(const struct yassp *y);
void yassp_log(struct yassp *y, enum log_level level, const char *fmt, ...) PRINTF(3, 4);

/* Is this failure another one than before?  Then it is worth a line. */
bool complaint_is_new(struct complaint *c, int status, int err);
/* All is well again: how many failures there were. */
unsigned complaint_over(struct complaint *c);

/* ---- pull.c ------------------------------------------------------------------------------ */
void pull_init(struct yassp *y);
void pull_now(struct yassp *y);
void pull_later(struct yassp *y); /* after the interval */
void pull_call_off(struct yassp *y);
void pull_done(struct yassp *y);

/* ---- apply.c ----------------------------------------------------------------------------- */
struct job *job_new(struct yassp *y); /* NULL: no memory */
void job_free(struct job *j);
int list_parse(struct yassp *y, const char *body, size_t len, struct yassp_list *out,
	       char why[PROFILE_WHY_MAX]);
void apply_queue(struct yassp *y, struct job *j); /* takes it over */
void apply_done(struct yassp *y);

/* ---- upload.c ---------------------------------------------------------------------------- */
void upload_init(struct yassp *y);
void upload_soon(struct yassp *y, nsec_t delay); /* a check, before its time */
void upload_last(struct yassp *y);		 /* everything; yassp_drained() when it is over */
void upload_call_off(struct yassp *y);
void upload_done(struct yassp *y);

void yassp_drained(struct yassp *y);

#endif
