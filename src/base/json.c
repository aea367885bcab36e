/* json.c - the scanner (blanks, comments, strings, numbers) and the grammar above it.
 *
 * The grammar is five states and a bit per open bracket; there is no recursion, so depth costs
 * nothing but that bit.
 */
#include "base/json.h"

#include <string.h>

#include "base/hex.h"

enum state {
	WANT_VALUE,	/* a value must come: at the start, after a key */
	WANT_FIRST,	/* just behind an opening bracket */
	WANT_NEXT,	/* behind a comma */
	WANT_SEPARATOR, /* behind a value */
	DONE,
};

void json_init(struct json *p, const char *text, size_t len, unsigned flags)
{
	*p = (struct json){.text = text, .len = len, .line = 1, .flags = (uint8_t)flags};
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		p->pos = p->line_start = 3;
}

static struct json_pos pos_at(const struct json *p, size_t off)
{
	return (struct json_pos){.line = p->line, .column = (uint32_t)(off - p->line_start) + 1};
}

static int fail(struct json *p, size_t off, int err, const char *what)
{
	p->err = err;
	p->at = pos_at(p, off);
	p->what = what;
	return err;
}

static int wrong(struct json *p, const char *what)
{
	if (p->pos >= p->len)
		return fail(p, p->len, -ERR_MORE, "the text ends early");
	return fail(p, p->pos, -ERR_MALFORMED, what);
}

/* --- blanks and comments ------------------------------------------------------------------- */

static void newline_at(struct json *p, size_t off)
{
	p->line++;
	p->line_start = off + 1;
}

static void skip_line_comment(struct json *p)
{
	const char *end = memchr(p->text + p->pos, '\n', p->len - p->pos);

	p->pos = end ? (size_t)(end - p->text) : p->len;
}

static int skip_block_comment(struct json *p)
{
	size_t start = p->pos;
	struct json_pos at = pos_at(p, start);

	for (p->pos += 2; p->len - p->pos >= 2; p->pos++) {
		if (p->text[p->pos] == '*' && p->text[p->pos + 1] == '/') {
			p->pos += 2;
			return 0;
		}
		if (p->text[p->pos] == '\n')
			newline_at(p, p->pos);
	}
	fail(p, start, -ERR_MORE, "a comment that is not closed");
	p->at = at;
	return p->err;
}

static int skip_comment(struct json *p)
{
	if (!(p->flags & JSON_COMMENTS))
		return wrong(p, "comments are not allowed here");
	if (p->len - p->pos < 2)
		return fail(p, p->pos, -ERR_MORE, "the text ends early");
	if (p->text[p->pos + 1] == '/') {
		skip_line_comment(p);
		return 0;
	}
	if (p->text[p->pos + 1] == '*')
		return skip_block_comment(p);
	return wrong(p, "expected a value or a comment");
}

static int skip_blanks(struct json *p)
{
	for (; p->pos < p->len; p->pos++) {
		char c = p->text[p->pos];

		if (c == '/') {
			int err = skip_comment(p);

			if (err)
				return err;
			p->pos--;
		} else if (c == '\n') {
			newline_at(p, p->pos);
		} else if (c != ' ' && c != '\t' && c != '\r') {
			return 0;
		}
	}
	return 0;
}

/* --- strings ------------------------------------------------------------------------------- */

/* Four hexadecimal digits, or -1. */
static int hex4(const char *s)
{
	int v = 0;

	for (int i = 0; i < 4; i++) {
		int d = hex_value(s[i]);

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* How long the UTF-8 sequence at `s` is, with `left` bytes to look at; 0: not UTF-8 (RFC 3629). */
static size_t utf8_len(const char *text, size_t left)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t n = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	if (s[0] < 0x80)
		return 1;
	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
		return 0;
	return n;
}

/* At a backslash: step over the escape. */
static int scan_escape(struct json *p, struct json_token *t)
{
	int v;

	t->escaped = true;
	p->pos++;
	if (p->pos >= p->len)
		return wrong(p, "");
	if (p->text[p->pos] != 'u') {
		if (!strchr("\"\\/bfnrt", p->text[p->pos]) || !p->text[p->pos])
			return wrong(p,
				     "an unknown escape in a string (a backslash is written \\\\)");
		p->pos++;
		return 0;
	}
	for (int i = 1; i <= 4; i++) {
		if (p->pos + i >= p->len || hex_value(p->text[p->pos + i]) < 0) {
			p->pos += i;
			return wrong(p, "\\u wants four hexadecimal digits");
		}
	}
	v = hex4(p->text + p->pos + 1);
	if (v == 0)
		t->bad = true;
	p->pos += 5;
	return 0;
}

/* At the opening quote.  On success behind the closing one. */
static int scan_string(struct json *p, struct json_token *t)
{
	size_t start = ++p->pos, n;
	int err;

	while (p->pos < p->len) {
		uint8_t c = (uint8_t)p->text[p->pos];

		if (c == '"') {
			t->text = p->text + start;
			t->len = p->pos++ - start;
			return 0;
		}
		if (c == '\\') {
			err = scan_escape(p, t);
			if (err)
				return err;
		} else if (c < 0x20) {
			return wrong(p, c == '\n' ? "a string that is not closed on its line"
						  : "a control character in a string");
		} else if (c < 0x80) {
			p->pos++;
		} else {
			n = utf8_len(p->text + p->pos, p->len - p->pos);
			if (n == 0)
				t->bad = true;
			p->pos += n ? n : 1;
		}
	}
	return fail(p, p->len, -ERR_MORE, "a string that is not closed");
}

/* --- numbers and words --------------------------------------------------------------------- */

static size_t scan_digits(struct json *p)
{
	size_t start = p->pos;

	while (p->pos < p->len && p->text[p->pos] >= '0' && p->text[p->pos] <= '9')
		p->pos++;
	return p->pos - start;
}

static bool scan_char(struct json *p, const char *set)
{
	if (p->pos >= p->len || !p->text[p->pos] || !strchr(set, p->text[p->pos]))
		return false;
	p->pos++;
	return true;
}

static int scan_number(struct json *p, struct json_token *t)
{
	size_t start = p->pos;

	scan_char(p, "-");
	if (!scan_char(p, "0") && scan_digits(p) == 0)
		return wrong(p, "expected a digit");
	if (scan_char(p, ".") && scan_digits(p) == 0)
		return wrong(p, "expected a digit behind the decimal point");
	if (scan_char(p, "eE")) {
		scan_char(p, "+-");
		if (scan_digits(p) == 0)
			return wrong(p, "expected a digit in the exponent");
	}
	if (p->pos < p->len && p->text[p->pos] >= '0' && p->text[p->pos] <= '9')
		return wrong(p, "a number must not begin with 0");
	t->type = JSON_T_NUMBER;
	t->text = p->text + start;
	t->len = p->pos - start;
	return 0;
}

static int scan_word(struct json *p, struct json_token *t, const char *word, enum json_type type)
{
	size_t start = p->pos;

	for (const char *w = word; *w; w++, p->pos++) {
		if (p->pos >= p->len || p->text[p->pos] != *w)
			return wrong(p,
				     "expected true, false or null; text stands in double quotes");
	}
	t->type = type;
	t->text = p->text + start;
	t->len = p->pos - start;
	return 0;
}

/* --- grammar ------------------------------------------------------------------------------- */

static bool in_object(const struct json *p)
{
	return p->depth && (p->objects >> (p->depth - 1) & 1);
}

static int open_bracket(struct json *p, struct json_token *t, bool object)
{
	if (p->depth == JSON_DEPTH)
		return fail(p, p->pos, -ERR_TOO_BIG, "nested deeper than 64 levels");
	p->objects &= ~((uint64_t)1 << p->depth);
	p->objects |= (uint64_t)object << p->depth;
	p->depth++;
	p->state = WANT_FIRST;
	t->type = object ? JSON_T_OBJECT : JSON_T_ARRAY;
	t->text = p->text + p->pos++;
	t->len = 1;
	return 0;
}

static int close_bracket(struct json *p, struct json_token *t)
{
	t->type = in_object(p) ? JSON_T_OBJECT_END : JSON_T_ARRAY_END;
	t->text = p->text + p->pos++;
	t->len = 1;
	p->depth--;
	p->state = p->depth ? WANT_SEPARATOR : DONE;
	return 0;
}

static int read_scalar(struct json *p, struct json_token *t)
{
	switch (p->text[p->pos]) {
	case '"':
		t->type = JSON_T_STRING;
		return scan_string(p, t);
	case 't':
		return scan_word(p, t, "true", JSON_T_TRUE);
	case 'f':
		return scan_word(p, t, "false", JSON_T_FALSE);
	case 'n':
		return scan_word(p, t, "null", JSON_T_NULL);
	case '-':
	case '0' ... '9':
		return scan_number(p, t);
	default:
		return wrong(p, "expected a value; text stands in double quotes");
	}
}

static int read_value(struct json *p, struct json_token *t)
{
	char c = p->text[p->pos];
	int err;

	if (c == '{' || c == '[')
		return open_bracket(p, t, c == '{');
	err = read_scalar(p, t);
	if (err)
		return err;
	p->state = p->depth ? WANT_SEPARATOR : DONE;
	return 0;
}

static int read_key(struct json *p, struct json_token *t)
{
	int err;

	if (p->text[p->pos] != '"')
		return wrong(p, "expected a key in double quotes");
	t->type = JSON_T_KEY;
	err = scan_string(p, t);
	if (!err)
		err = skip_blanks(p);
	if (err)
		return err;
	if (p->pos >= p->len || p->text[p->pos] != ':')
		return wrong(p, "expected ':' behind the key");
	p->pos++;
	p->state = WANT_VALUE;
	return 0;
}

/* A comma, which leaves the state WANT_NEXT, or the closing bracket, which stays to be read. */
static int read_separator(struct json *p)
{
	char close = in_object(p) ? '}' : ']';

	if (p->pos >= p->len)
		return wrong(p, "");
	if (p->text[p->pos] == close)
		return 0;
	if (p->text[p->pos] != ',')
		return wrong(p, in_object(p) ? "expected ',' or '}'" : "expected ',' or ']'");
	p->pos++;
	p->state = WANT_NEXT;
	return skip_blanks(p);
}

static bool may_close(const struct json *p)
{
	return p->state == WANT_FIRST || p->state == WANT_SEPARATOR ||
	       (p->state == WANT_NEXT && p->flags & JSON_TRAILING_COMMAS);
}

static int read_token(struct json *p, struct json_token *t)
{
	int err = 0;

	if (p->state == WANT_SEPARATOR)
		err = read_separator(p);
	if (err)
		return err;
	if (p->pos >= p->len)
		return wrong(p, "");
	t->at = pos_at(p, p->pos);
	if (p->state == WANT_VALUE)
		return read_value(p, t);
	if (p->text[p->pos] == (in_object(p) ? '}' : ']') && may_close(p))
		return close_bracket(p, t);
	return in_object(p) ? read_key(p, t) : read_value(p, t);
}

int json_next(struct json *p, struct json_token *out)
{
	struct json_token t = {0};
	int err;

	if (p->err)
		return p->err;
	err = skip_blanks(p);
	if (err)
		return err;
	if (p->state == DONE) {
		if (p->pos < p->len)
			return wrong(p, "something stands behind the end of the document");
		*out = (struct json_token){.type = JSON_T_END, .at = pos_at(p, p->pos)};
		return 0;
	}
	if (p->pos >= p->len && p->depth == 0)
		return fail(p, p->len, -ERR_MORE, "there is no value in the text");
	err = read_token(p, &t);
	if (err)
		return err;
	*out = t;
	return 0;
}

int json_skip(struct json *p, const struct json_token *t)
{
	struct json_token next = *t;
	unsigned depth;
	int err = 0;

	if (t->type == JSON_T_KEY)
		err = json_next(p, &next);
	if (err || (next.type != JSON_T_OBJECT && next.type != JSON_T_ARRAY))
		return err;
	for (depth = p->depth; p->depth >= depth;) {
		err = json_next(p, &next);
		if (err)
			return err;
	}
	return 0;
}

/* --- text ---------------------------------------------------------------------------------- */

static size_t put_utf8(char *out, unsigned c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 63));
		out[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 63));
	out[2] = (char)(0x80 | (c >> 6 & 63));
	out[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* `*s` stands behind "\u" of an escape that the scanner has accepted; it is moved behind it. */
static unsigned take_unicode(const char **s, const char *end)
{
	unsigned c = (unsigned)hex4(*s), low;

	*s += 4;
	if (c < 0xd800 || c > 0xdfff)
		return c;
	if (c > 0xdbff || end - *s < 6 || (*s)[0] != '\\' || (*s)[1] != 'u')
		return 0xfffd;
	low = (unsigned)hex4(*s + 2);
	if (low < 0xdc00 || low > 0xdfff)
		return 0xfffd;
	*s += 6;
	return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

static char simple_escape(char c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return c;
	}
}

size_t json_unescape(const struct json_token *t, char *out)
{
	const char *s = t->text, *end = s + t->len;
	size_t n = 0;

	if (!t->escaped) {
		if (t->len)
			memcpy(out, t->text, t->len);
		return t->len;
	}
	while (s < end) {
		if (*s != '\\') {
			out[n++] = *s++;
		} else if (s[1] != 'u') {
			out[n++] = simple_escape(s[1]);
			s += 2;
		} else {
			s += 2;
			n += put_utf8(out + n, take_unicode(&s, end));
		}
	}
	return n;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool key_equal(const struct json_token *t, const char *name, bool fold)
{
	char small[256];
	const char *text = t->text;
	size_t len = t->len;

	if (t->type != JSON_T_KEY || t->bad)
		return false;
	if (t->escaped) {
		if (t->len > sizeof(small))
			return false;
		len = json_unescape(t, small);
		text = small;
	}
	if (strlen(name) != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] != name[i] && !(fold && lower(text[i]) == lower(name[i])))
			return false;
	}
	return true;
}

bool json_key_is(const struct json_token *t, const char *name)
{
	return key_equal(t, name, false);
}

bool json_key_like(const struct json_token *t, const char *name)
{
	return key_equal(t, name, true);
}
