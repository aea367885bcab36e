#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/utf8.h"

/* The descriptor keeps its number while it is open: reopening puts another file behind it (dup3),
 * so no thread can write to a number that has just been closed.
 */
static struct {
	atomic_int fd, level;
	atomic_bool json;
	atomic_ulong lost;
	char *path; /* of whoever opens; NULL: stderr */
} sink = {.fd = STDERR_FILENO, .level = LOG_INFO};

static const char *const level_names[] = {"debug", "info", "warn", "error", "none"};

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

int log_level_parse(const char *name, enum log_level *out)
{
	if (strcmp(name, "warning") == 0)
		name = "warn";
	for (unsigned i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_set_level(enum log_level level)
{
	atomic_store(&sink.level, (int)level);
}

bool log_on(enum log_level level)
{
	return level < LOG_NONE &&
	       (int)level >= atomic_load_explicit(&sink.level, memory_order_relaxed);
}

static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

	return fd < 0 ? -errno : fd;
}

/* Put `fd` behind the sink's own number; `fd` is closed.  The first file gives the number. */
static int install(int fd)
{
	int own = atomic_load(&sink.fd);

	if (own == STDERR_FILENO) {
		atomic_store(&sink.fd, fd);
		return 0;
	}
	if (dup3(fd, own, O_CLOEXEC) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	close(fd);
	return 0;
}

static int to_file(const char *path)
{
	char *copy = strdup(path);
	int fd, err;

	if (!copy)
		return -ENOMEM;
	fd = open_file(path);
	err = fd < 0 ? fd : install(fd);
	if (err) {
		free(copy);
		return err;
	}
	free(sink.path);
	sink.path = copy;
	return 0;
}

static int to_stdout(void)
{
	int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int err = fd < 0 ? -errno : install(fd);

	if (err)
		return err;
	free(sink.path);
	sink.path = NULL;
	return 0;
}

int log_open(const struct log_conf *conf)
{
	int err = 0;

	if (conf->path && conf->path[0])
		err = to_file(conf->path);
	else if (conf->to_stdout)
		err = to_stdout();
	else
		log_close();
	if (err)
		return err;
	atomic_store(&sink.json, conf->json);
	log_set_level(conf->level);
	return 0;
}

int log_follow(void)
{
	struct stat named, own;

	if (!sink.path ||
	    (stat(sink.path, &named) == 0 && fstat(atomic_load(&sink.fd), &own) == 0 &&
	     named.st_dev == own.st_dev && named.st_ino == own.st_ino))
		return 0;
	return log_reopen();
}

int log_reopen(void)
{
	int fd;

	if (!sink.path)
		return 0;
	fd = open_file(sink.path);
	return fd < 0 ? fd : install(fd);
}

/* A thread may be about to write: the number stays taken, with stderr behind it. */
void log_close(void)
{
	int own = atomic_load(&sink.fd);

	if (own != STDERR_FILENO)
		dup3(STDERR_FILENO, own, O_CLOEXEC);
	free(sink.path);
	sink.path = NULL;
	atomic_store(&sink.json, false);
	log_set_level(LOG_INFO);
}

/* ---- building a line --------------------------------------------------------------------- */

#define END_ROOM 8 /* for "...", a quote, a brace, a newline */

static void put(struct log_line *l, const char *s, size_t n)
{
	if (l->cut)
		return;
	if (n > sizeof(l->text) - END_ROOM - l->len) {
		l->cut = true;
		return;
	}
	memcpy(l->text + l->len, s, n);
	l->len += n;
}

static void puts_raw(struct log_line *l, const char *s)
{
	put(l, s, strlen(s));
}

static void put_unicode(struct log_line *l, unsigned c)
{
	char esc[8];

	snprintf(esc, sizeof(esc), "\\u%04x", c & 0xffff);
	put(l, esc, 6);
}

/* What may stand in a line of text or a JSON string; everything else is escaped. */
static void put_escaped(struct log_line *l, const char *s)
{
	size_t left = strlen(s), n;

	for (; left > 0 && !l->cut; s += n, left -= n) {
		uint8_t c = (uint8_t)*s;

		n = utf8_len(s, left);
		if (n == 0) {
			put_unicode(l, 0xfffd);
			n = 1;
		} else if (c < 0x20 || c == 0x7f || (c == 0xc2 && (uint8_t)s[1] < 0xa0)) {
			put_unicode(l, n == 2 ? (uint8_t)s[1] : c); /* C0, DEL and C1 controls */
		} else if (c == '"' || c == '\\') {
			put(l, c == '"' ? "\\\"" : "\\\\", 2);
		} else {
			put(l, s, n);
		}
	}
}

static void put_quoted(struct log_line *l, const char *s)
{
	puts_raw(l, "\"");
	put_escaped(l, s);
	/* Even a value that was cut gets its closing quote: END_ROOM keeps the place. */
	l->text[l->len] = '"';
	if (l->cut) {
		memcpy(l->text + l->len, "...\"", 4);
		l->len += 3;
	}
	l->len++;
}

static bool plain_word(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s <= ' ' || *s == '"' || *s == '=' || *s == '\\' || *s >= 0x7f)
			return false;
	}
	return true;
}

static void put_key(struct log_line *l, const char *key)
{
	if (l->json) {
		puts_raw(l, ",\"");
		puts_raw(l, key);
		puts_raw(l, "\":");
	} else {
		puts_raw(l, " ");
		puts_raw(l, key);
		puts_raw(l, "=");
	}
}

static void put_time(struct log_line *l)
{
	struct timespec ts;
	struct tm tm;
	char text[96];

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
		 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		 (int)(ts.tv_nsec / 1000000));
	puts_raw(l, text);
}

bool log_begin(struct log_line *l, enum log_level level, const char *area, const char *msg)
{
	if (!log_on(level))
		return false;
	l->len = 0;
	l->cut = false;
	l->json = atomic_load_explicit(&sink.json, memory_order_relaxed);
	if (l->json) {
		puts_raw(l, "{\"time\":\"");
		put_time(l);
		puts_raw(l, "\",\"level\":\"");
		puts_raw(l, level_names[level]);
		puts_raw(l, "\",\"area\":\"");
		puts_raw(l, area);
		puts_raw(l, "\",\"msg\":");
		put_quoted(l, msg);
	} else {
		put_time(l);
		puts_raw(l, " ");
		puts_raw(l, level_names[level]);
		/* areas stand in a column */
		puts_raw(l, strlen(level_names[level]) < 5 ? "  " : " ");
		puts_raw(l, area);
		puts_raw(l, ": ");
		put_escaped(l, msg);
	}
	return true;
}

void log_str(struct log_line *l, const char *key, const char *value)
{
	if (l->cut)
		return;
	if (!value)
		value = "";
	/* A key without room for a value's quotes would leave half a pair behind. */
	if (l->len + strlen(key) + 16 > sizeof(l->text) - END_ROOM) {
		l->cut = true;
		return;
	}
	put_key(l, key);
	if (!l->json && plain_word(value))
		puts_raw(l, value);
	else
		put_quoted(l, value);
}

void log_num(struct log_line *l, const char *key, int64_t value)
{
	char text[24];

	if (l->len + strlen(key) + 32 > sizeof(l->text) - END_ROOM)
		l->cut = true;
	if (l->cut)
		return;
	snprintf(text, sizeof(text), "%lld", (long long)value);
	put_key(l, key);
	puts_raw(l, text);
}

void log_error_of(struct log_line *l, int err)
{
	log_str(l, "err", err_name(err));
}

/* ---- writing it -------------------------------------------------------------------------- */

/* Whether a line can be written without waiting: a pipe that polls writable takes PIPE_BUF bytes.
 */
static bool writable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

static bool write_line(const char *text, size_t len)
{
	int fd = atomic_load_explicit(&sink.fd, memory_order_relaxed);

	return writable(fd) && write(fd, text, len) == (ssize_t)len;
}

static void tell_lost(void)
{
	unsigned long lost = atomic_exchange(&sink.lost, 0);
	struct log_line l;

	if (!lost || !log_begin(&l, LOG_WARN, "log", "lines were lost"))
		return;
	log_num(&l, "lost", (int64_t)lost);
	puts_raw(&l, l.json ? "}\n" : "\n");
	if (!write_line(l.text, l.len))
		atomic_fetch_add(&sink.lost, lost);
}

void log_end(struct log_line *l)
{
	if (l->cut && !l->json && l->text[l->len - 1] != '"') {
		memcpy(l->text + l->len, "...", 3);
		l->len += 3;
	}
	if (l->json)
		l->text[l->len++] = '}';
	l->text[l->len++] = '\n';
	if (atomic_load_explicit(&sink.lost, memory_order_relaxed))
		tell_lost();
	if (!write_line(l->text, l->len))
		atomic_fetch_add(&sink.lost, 1);
}

void log_msg(enum log_level level, const char *area, const char *fmt, ...)
{
	char msg[LOG_LINE_MAX];
	struct log_line l;
	va_list ap;

	if (!log_on(level))
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	if (log_begin(&l, level, area, msg))
		log_end(&l);
}

bool log_allow(struct log_limit *l, nsec_t now, nsec_t every, unsigned *missed)
{
	if (now < l->next) {
		l->missed++;
		return false;
	}
	*missed = l->missed;
	l->missed = 0;
	l->next = now + every;
	return true;
}
