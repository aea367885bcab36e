#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_row {
	const char *name;
	const char *text;
	enum err_origin origin;
};

static const struct err_row rows[] = {
#define X(name, origin, text) {#name, text, ERR_FROM_##origin},
	ERR_LIST(X)
#undef X
};

static const struct err_row *row_of(int err)
{
	int i = -err - ERR_FIRST - 1;

	if (i < 0 || i >= (int)ARRAY_LEN(rows))
		return NULL;
	return &rows[i];
}

const char *err_name(int err)
{
	const struct err_row *row = row_of(err);
	const char *name;

	if (err >= 0)
		return "OK";
	if (row)
		return row->name;
	name = strerrorname_np(-err);
	return name ? name : "UNKNOWN";
}

const char *err_text(int err)
{
	const struct err_row *row = row_of(err);
	const char *text;

	if (err >= 0)
		return "no error";
	if (row)
		return row->text;
	text = strerrordesc_np(-err);
	return text ? text : "unknown error";
}

/* errno values that a peer can cause; everything else the machine or we caused. */
static bool errno_from_peer(int e)
{
	switch (e) {
	case ECONNRESET:
	case EPIPE:
	case ECONNREFUSED:
	case ECONNABORTED:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return true;
	default:
		return false;
	}
}

enum err_origin err_origin(int err)
{
	const struct err_row *row = row_of(err);

	if (row)
		return row->origin;
	return errno_from_peer(-err) ? ERR_FROM_PEER : ERR_FROM_ENV;
}

int err_say(int err, char *why, size_t max, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, max, fmt, ap);
	va_end(ap);
	return err;
}
