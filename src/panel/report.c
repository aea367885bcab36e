#include "panel/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "net/addr.h"
#include "panel/headers.h"

/* Makes room for one more element of `size` bytes in an array that holds `n`.  Room doubles at
 * powers of two, so the count alone tells when.
 */
static int room_for_one(void **array, size_t n, size_t size)
{
	void *more;

	if (n != 0 && (n < 16 || (n & (n - 1)) != 0))
		return 0;
	more = reallocarray(*array, n < 16 ? 16 : n * 2, size);
	if (!more)
		return -ENOMEM;
	*array = more;
	return 0;
}

static int not_json(const struct json *p, struct fault *why)
{
	return fault_set(why, "not JSON: line %u, column %u: %s", p->at.line, p->at.column,
			 p->what ? p->what : err_text(p->err));
}

/* The next token must be of `type`; `what` says what belongs there. */
static int expect(struct json *p, struct json_token *t, enum json_type type, const char *what,
		  struct fault *why)
{
	if (json_next(p, t) < 0)
		return not_json(p, why);
	if (t->type != type)
		return fault_set(why, "line %u, column %u: expected %s", t->at.line, t->at.column,
				 what);
	return 0;
}

static int number_of(const struct json_token *t, const char *what, int64_t *out, struct fault *why)
{
	if (t->escaped || decimal_parse(t->text, t->len, out) < 0)
		return fault_set(why, "line %u, column %u: expected %s", t->at.line, t->at.column,
				 what);
	return 0;
}

static int amount(struct json *p, int64_t *out, struct fault *why)
{
	static const char what[] = "an integer of 0 to 2^63-1";
	struct json_token t;
	int err = expect(p, &t, JSON_T_NUMBER, what, why);

	return err ? err : number_of(&t, what, out, why);
}

static int push_entry_parse(struct json *p, const struct json_token *key, struct push_entry *e,
			    struct fault *why)
{
	struct json_token t;
	int err;

	if ((err = number_of(key, "a decimal user id", &e->user, why)) ||
	    (err = expect(p, &t, JSON_T_ARRAY, "[up, down]", why)) ||
	    (err = amount(p, &e->up, why)) || (err = amount(p, &e->down, why)))
		return err;
	return expect(p, &t, JSON_T_ARRAY_END, "exactly two integers", why);
}

static int by_user(const void *a, const void *b)
{
	const struct push_entry *x = a, *y = b;

	return (x->user > y->user) - (x->user < y->user);
}

/* Two entries for one user have no meaning that sender and receiver would agree on. */
static int push_sort(struct push_report *r, struct fault *why)
{
	bool sorted = true;

	for (size_t i = 1; i < r->n && sorted; i++)
		sorted = r->entries[i - 1].user < r->entries[i].user;
	if (sorted)
		return 0;
	qsort(r->entries, r->n, sizeof(*r->entries), by_user);
	for (size_t i = 1; i < r->n; i++) {
		if (r->entries[i - 1].user == r->entries[i].user)
			return fault_set(why, "%lld appears twice", (long long)r->entries[i].user);
	}
	return 0;
}

/* After the opening brace: entries of either report until the closing one, then the end. */
static int members(struct json *p,
		   int (*entry)(struct json *, const struct json_token *, void *, struct fault *),
		   void *report, struct fault *why)
{
	struct json_token t;
	int err = expect(p, &t, JSON_T_OBJECT, "an object", why);

	while (!err) {
		if (json_next(p, &t) < 0)
			return not_json(p, why);
		if (t.type == JSON_T_OBJECT_END)
			break;
		err = entry(p, &t, report, why);
	}
	return err ? err : expect(p, &t, JSON_T_END, "the end", why);
}

/* An entry of a push report, read by `read`. */
static int entry_add(struct json *p, const struct json_token *key, struct push_report *r,
		     int (*read)(struct json *, const struct json_token *, struct push_entry *,
				 struct fault *),
		     struct fault *why)
{
	void *entries = r->entries;
	int err = room_for_one(&entries, r->n, sizeof(*r->entries));

	r->entries = entries;
	if (!err)
		err = read(p, key, &r->entries[r->n], why);
	if (!err)
		r->n++;
	return err;
}

static int push_member(struct json *p, const struct json_token *key, void *report,
		       struct fault *why)
{
	return entry_add(p, key, report, push_entry_parse, why);
}

static int port_entry_parse(struct json *p, const struct json_token *key, struct push_entry *e,
			    struct fault *why)
{
	int err = number_of(key, "a port", &e->user, why);

	e->up = 0;
	if (!err && (e->user < 1 || e->user > 65535))
		err = fault_set(why, "line %u, column %u: expected a port", key->at.line,
				key->at.column);
	return err ? err : amount(p, &e->down, why);
}

static int port_member(struct json *p, const struct json_token *key, void *report,
		       struct fault *why)
{
	return entry_add(p, key, report, port_entry_parse, why);
}

static int report_parse(const char *text, size_t len,
			int (*member)(struct json *, const struct json_token *, void *,
				      struct fault *),
			struct push_report *out, struct fault *why)
{
	struct push_report r = {0};
	struct json p;
	int err;

	json_init(&p, text, len, 0);
	err = members(&p, member, &r, why);
	if (!err)
		err = push_sort(&r, why);
	if (err) {
		push_report_done(&r);
		return err;
	}
	*out = r;
	return 0;
}

int push_report_parse(const char *text, size_t len, struct push_report *out, struct fault *why)
{
	return report_parse(text, len, push_member, out, why);
}

int port_report_parse(const char *text, size_t len, struct push_report *out, struct fault *why)
{
	return report_parse(text, len, port_member, out, why);
}

void push_report_done(struct push_report *r)
{
	free(r->entries);
	*r = (struct push_report){0};
}

static int ip_of(const struct json_token *t, uint8_t ip[16], struct fault *why)
{
	char text[64];
	struct addr a;

	if (t->type == JSON_T_STRING && !t->bad && t->len < sizeof(text)) {
		text[json_unescape(t, text)] = '\0';
		/* Brackets are for addresses with a port, which this is not (D1). */
		if (text[0] != '[' && addr_parse_ip(&a, text, 0) == 0) {
			addr_ip16(&a, ip);
			return 0;
		}
	}
	return fault_set(why, "line %u, column %u: expected an IP address", t->at.line,
			 t->at.column);
}

static int alive_add(struct alive_report *r, struct alive_user *u, const uint8_t ip[16])
{
	void *ips = r->ips;
	int err;

	for (uint32_t i = 0; i < u->n; i++) {
		if (memcmp(r->ips[u->first + i], ip, 16) == 0)
			return 0;
	}
	if (u->n >= ALIVE_IPS_MAX)
		return 0;
	err = room_for_one(&ips, r->n_ips, sizeof(*r->ips));
	if (err)
		return err;
	r->ips = ips;
	memcpy(r->ips[r->n_ips++], ip, 16);
	u->n++;
	return 0;
}

static int alive_member(struct json *p, const struct json_token *key, void *report,
			struct fault *why)
{
	struct alive_report *r = report;
	struct alive_user u = {.first = (uint32_t)r->n_ips};
	void *users = r->users;
	struct json_token t;
	uint8_t ip[16];
	int err;

	if ((err = number_of(key, "a decimal user id", &u.user, why)) ||
	    (err = expect(p, &t, JSON_T_ARRAY, "an array of addresses", why)))
		return err;
	for (;;) {
		if (json_next(p, &t) < 0)
			return not_json(p, why);
		if (t.type == JSON_T_ARRAY_END)
			break;
		if ((err = ip_of(&t, ip, why)) || (err = alive_add(r, &u, ip)))
			return err;
	}
	err = room_for_one(&users, r->n, sizeof(*r->users));
	if (err)
		return err;
	r->users = users;
	r->users[r->n++] = u;
	return 0;
}

int alive_report_parse(const char *text, size_t len, struct alive_report *out, struct fault *why)
{
	struct alive_report r = {0};
	struct json p;
	int err;

	json_init(&p, text, len, 0);
	err = members(&p, alive_member, &r, why);
	if (err) {
		alive_report_done(&r);
		return err;
	}
	*out = r;
	return 0;
}

void alive_report_done(struct alive_report *r)
{
	free(r->users);
	free(r->ips);
	*r = (struct alive_report){0};
}
