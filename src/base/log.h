/* log.h - one line per event, to stderr or a file, as text or as JSON.
 *
 *     log_msg(LOG_WARN, "panel", "%s does not answer: %s", host, err_text(err));
 *
 *     struct log_line line;
 *     if (log_begin(&line, LOG_INFO, "session", "ended")) {
 *             log_num(&line, "user", id);
 *             log_str(&line, "to", dest_format(&dest, text));
 *             log_end(&line);
 *     }
 *
 *     2026-01-31T12:00:00.123Z info  session: ended user=7 to=example.com:443
 *     {"time":"2026-01-31T12:00:00.123Z","level":"info","area":"session","msg":"ended","user":7,...}
 *
 * Values are escaped: no text of a peer can start a line of its own or look like another key.
 * Never a credential, a token or payload.  Library folders do not log (docs/ARCHITECTURE.md).
 *
 * The sink is the one global of the program.  Any thread may log; a line is one write().  A sink
 * that would block (a stuck pipe) loses lines rather than time; how many is said in the next line
 * that gets through.  Opening and reopening are for one thread at a time.
 */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H

#include "base/base.h"

enum log_level {
	LOG_DEBUG,
	LOG_INFO,
	LOG_WARN,
	LOG_ERROR,
	LOG_NONE,
};

#define LOG_LINE_MAX 2048 /* what is longer is cut, and ends in "..." */

struct log_conf {
	enum log_level level;
	bool json;
	const char *path; /* NULL or "": stderr, or stdout */
	bool to_stdout;	  /* where there is no path */
};

/* Before the first call lines of LOG_INFO and above go to stderr.  0, or -errno with nothing
 * changed.
 */
MUST_CHECK int log_open(const struct log_conf *conf);
int log_follow(void); /* the same, when the path is another file than the one that is written to */
int log_reopen(void); /* the same path again, after a rotation; -errno: goes on with the old file */
void log_close(void); /* back to how it began */

void log_set_level(enum log_level level);
const char *log_level_name(enum log_level level);
/* or -EINVAL; "warning" too */
MUST_CHECK int log_level_parse(const char *name, enum log_level *out);
bool log_on(enum log_level level);

void log_msg(enum log_level level, const char *area, const char *fmt, ...) PRINTF(3, 4);

struct log_line {
	bool json, cut;
	size_t len;
	char text[LOG_LINE_MAX];
};

/* False: this level is off, nothing else is to be done.  `area` and keys are plain words. */
MUST_CHECK bool log_begin(struct log_line *l, enum log_level level, const char *area,
			  const char *msg);
void log_str(struct log_line *l, const char *key, const char *value);
void log_num(struct log_line *l, const char *key, int64_t value);
void log_error_of(struct log_line *l, int err); /* err=ECONNRESET */
void log_end(struct log_line *l);

/* For what may repeat quickly: true when `l` may speak, at most once per `every`.  *missed is how
 * often it was told no since the last time.  One thread's.
 */
struct log_limit {
	nsec_t next;
	unsigned missed;
};

bool log_allow(struct log_limit *l, nsec_t now, nsec_t every, unsigned *missed);

#endif
