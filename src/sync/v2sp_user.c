/* v2sp_user.c - one element of a user list (A.6).
 *
 * A list may have a million of these, so the members are walked once and looked up by length and
 * text; the exact spelling of a key beats another one, as everywhere (L9).
 */
#include <string.h>
#include <strings.h>

#include "base/json_value.h"
#include "sync/v2sp.h"

enum field {
	ID,
	CREDENTIAL, /* and three lesser names for it */
	PASSWORD,
	PASSWD,
	SECRET,
	SPEED,
	UP,
	DOWN,
	QUOTA,
	DEVICES,
	CONNS,
	FIELDS,
};

static const struct {
	const char *name;
	uint8_t len;
} names[FIELDS] = {
	[ID] = {"id", 2},
	[CREDENTIAL] = {"uuid", 4},
	[PASSWORD] = {"password", 8},
	[PASSWD] = {"passwd", 6},
	[SECRET] = {"secret", 6},
	[SPEED] = {"speed_limit", 11},
	[UP] = {"u", 1},
	[DOWN] = {"d", 1},
	[QUOTA] = {"transfer_enable", 15},
	[DEVICES] = {"device_limit", 12},
	[CONNS] = {"conn_limit", 10},
};

static void sort_members(const struct json_value *element, const struct json_value *field[FIELDS])
{
	bool exact[FIELDS] = {false};

	for (const struct json_value *m = element->child; m; m = m->next) {
		size_t len = m->bad_key ? 0 : strlen(m->key);

		for (int i = 0; i < FIELDS; i++) {
			bool same;

			if (len != names[i].len || strcasecmp(m->key, names[i].name) != 0)
				continue;
			same = !strcmp(m->key, names[i].name);
			if (same || !exact[i])
				field[i] = m;
			exact[i] |= same;
		}
	}
}

static bool has_text(const struct json_value *v)
{
	return v && (v->type == JSON_T_STRING || v->type == JSON_T_NUMBER) && v->len;
}

/* A number's text is taken as it stands: the panel's program did not mean a number. */
static bool set_credential(const struct json_value *const field[FIELDS], struct user_entry *out)
{
	for (int i = CREDENTIAL; i <= SECRET; i++) {
		const struct json_value *v = field[i];

		if (!has_text(v))
			continue;
		if (v->bad)
			return false;
		out->credential = v->text;
		out->credential_len = v->len;
		return true;
	}
	return false;
}

static int64_t count_of(const struct json_value *v, unsigned *wrong)
{
	int64_t n = 0;

	if (json_to_int(v, &n) < 0 || n < 0) {
		(*wrong)++;
		return 0;
	}
	return n;
}

static uint32_t limit_of(const struct json_value *v, unsigned *wrong)
{
	return (uint32_t)MIN(count_of(v, wrong), (int64_t)UINT32_MAX);
}

static uint64_t speed_of(const struct json_value *v, unsigned *wrong)
{
	double mbps = 0;
	uint64_t bps;

	if (json_to_decimal(v, &mbps) < 0 || mbps < 0) {
		(*wrong)++;
		return 0;
	}
	if (mbps > 1e9)
		return 0;
	bps = (uint64_t)(mbps * 1e6);
	return bps + (mbps > 0 && !bps); /* a tiny limit is still a limit: 0 would lift it */
}

unsigned v2sp_user(const struct json_value *element, struct user_entry *out)
{
	const struct json_value *field[FIELDS] = {NULL};
	struct user_entry e = {0};
	unsigned wrong = 0;

	sort_members(element, field);
	if (json_to_int(field[ID], &e.id) != 0 || e.id <= 0 || !set_credential(field, &e)) {
		*out = (struct user_entry){0};
		return 0;
	}
	e.speed_bps = speed_of(field[SPEED], &wrong);
	e.used = (uint64_t)count_of(field[UP], &wrong) + (uint64_t)count_of(field[DOWN], &wrong);
	e.quota = (uint64_t)count_of(field[QUOTA], &wrong);
	e.device_limit = limit_of(field[DEVICES], &wrong);
	e.conn_limit = limit_of(field[CONNS], &wrong);
	*out = e;
	return wrong;
}
