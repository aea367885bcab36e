#include "transport/httpobfs/httpobfs_wire.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/base64.h"

#define METHOD_MAX 16

/* One line without its end; NULL: there is no whole one. */
static const char *line(const char **at, const char *end, size_t *len)
{
	const char *from = *at, *lf = memchr(from, '\n', (size_t)(end - from));

	if (!lf)
		return NULL;
	*len = (size_t)(lf - from);
	if (*len > 0 && from[*len - 1] == '\r')
		--*len;
	*at = lf + 1;
	return from;
}

/* What is sealed looks like noise: no head has a control character among its first bytes, and none
 * begins with anything but the letters of a method.
 */
static bool is_http(const char *text, size_t len)
{
	size_t letters = 0;

	while (letters < len && text[letters] >= 'A' && text[letters] <= 'Z')
		letters++;
	if (letters > METHOD_MAX || (letters < len && (letters == 0 || text[letters] != ' ')))
		return false;
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)text[i];

		if ((c < 0x20 && c != '\r' && c != '\n' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* Where the head ends, behind its empty line; 0: not yet. */
static size_t head_len(const char *text, size_t len)
{
	const char *at = text, *end = text + len;
	size_t n;

	while (line(&at, end, &n)) {
		if (n == 0)
			return (size_t)(at - text);
	}
	return 0;
}

/* The value of a header, trimmed; NULL: it is another one. */
static const char *value_of(const char *text, size_t len, const char *name, size_t *n)
{
	size_t k = strlen(name);

	if (len <= k || text[k] != ':' || strncasecmp(text, name, k) != 0)
		return NULL;
	text += k + 1;
	len -= k + 1;
	while (len > 0 && (*text == ' ' || *text == '\t')) {
		text++;
		len--;
	}
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	*n = len;
	return text;
}

static bool same(const char *text, size_t len, const char *want)
{
	return len == strlen(want) && strncasecmp(text, want, len) == 0;
}

/* Without its port, ignoring case. */
static bool names(const char *text, size_t len, const char *host)
{
	const char *colon = memrchr(text, ':', len), *bracket = memrchr(text, ']', len);

	if (colon && (!bracket || bracket < colon))
		len = (size_t)(colon - text);
	return same(text, len, host);
}

/* The end of the first header section of `in`, or an error. */
static int whole_head(const struct rd *in, size_t *len)
{
	const char *text = (const char *)in->base + in->pos;
	size_t left = rd_left(in);

	*len = head_len(text, left);
	if (!is_http(text, *len ? *len : left))
		return -ERR_UNSUPPORTED;
	if (*len > HTTPOBFS_HEAD_MAX || (!*len && left >= HTTPOBFS_HEAD_MAX))
		return -ERR_MALFORMED;
	return *len ? 0 : -ERR_MORE;
}

int httpobfs_request_parse(struct rd *in, const char *host)
{
	const char *at = (const char *)in->base + in->pos, *end, *text;
	bool upgrade = false, named = !*host;
	size_t len, n;
	int err = whole_head(in, &len);

	if (err)
		return err;
	end = at + len;
	text = line(&at, end, &n);
	if (!text || n < 9 || !same(text + n - 9, 9, " HTTP/1.1"))
		return -ERR_MALFORMED;
	while ((text = line(&at, end, &n)) && n > 0) {
		const char *v;
		size_t vlen;

		if ((v = value_of(text, n, "Upgrade", &vlen)))
			upgrade = same(v, vlen, "websocket");
		else if ((v = value_of(text, n, "Host", &vlen)))
			named = !*host || names(v, vlen, host);
	}
	if (!upgrade || !named)
		return -ERR_MALFORMED;
	in->pos += len;
	return 0;
}

int httpobfs_answer_parse(struct rd *in)
{
	static const char want[] = "HTTP/1.1 101";
	size_t len, n = MIN(rd_left(in), sizeof(want) - 1);

	if (memcmp(in->base + in->pos, want, n) != 0)
		return -ERR_MALFORMED;
	len = head_len((const char *)in->base + in->pos, rd_left(in));
	if (len > HTTPOBFS_HEAD_MAX || (!len && rd_left(in) >= HTTPOBFS_HEAD_MAX))
		return -ERR_MALFORMED;
	if (!len)
		return -ERR_MORE;
	in->pos += len;
	return 0;
}

static void wr_key(struct wr *w, const char *name, const uint8_t *key)
{
	char text[BASE64_TEXT(HTTPOBFS_KEY_LEN)];

	base64_encode(BASE64_STD, key, HTTPOBFS_KEY_LEN, text);
	wr_str(w, name);
	wr_str(w, ": ");
	wr_str(w, text);
	wr_str(w, "\r\n");
}

/* In the order of simple-obfs. */
void httpobfs_request_emit(struct wr *w, const struct httpobfs_request *r)
{
	char number[64];

	wr_str(w, "GET ");
	wr_str(w, *r->path ? r->path : "/");
	wr_str(w, " HTTP/1.1\r\nHost: ");
	wr_str(w, r->host);
	if (r->port && r->port != 80) {
		snprintf(number, sizeof(number), ":%u", r->port);
		wr_str(w, number);
	}
	snprintf(number, sizeof(number), "\r\nUser-Agent: curl/7.%u.%u\r\n", r->minor, r->patch);
	wr_str(w, number);
	wr_str(w, "Upgrade: websocket\r\nConnection: Upgrade\r\n");
	wr_key(w, "Sec-WebSocket-Key", r->key);
	snprintf(number, sizeof(number), "Content-Length: %zu\r\n\r\n", r->length);
	wr_str(w, number);
}

void httpobfs_answer_emit(struct wr *w, const struct httpobfs_answer *a)
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t now = (time_t)a->now;
	char text[128];
	struct tm t;

	gmtime_r(&now, &t);
	wr_str(w, "HTTP/1.1 101 Switching Protocols\r\n");
	snprintf(text, sizeof(text), "Server: nginx/1.%u.%u\r\n", a->minor, a->patch);
	wr_str(w, text);
	snprintf(text, sizeof(text), "Date: %s, %02d %s %d %02d:%02d:%02d GMT\r\n", days[t.tm_wday],
		 t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
	wr_str(w, text);
	wr_str(w, "Upgrade: websocket\r\nConnection: Upgrade\r\n");
	wr_key(w, "Sec-WebSocket-Accept", a->key);
	wr_str(w, "\r\n");
}
