#include <time.h>

#include "base/uuid.h"
#include "crypto/random.h"
#include "panel/field.h"
#include "panel/model.h"

#define AT(member) offsetof(struct panel_user, member)

static const struct field fields[] = {
	{"id", FIELD_INT, true, AT(id)},
	{"name", FIELD_TEXT, false, AT(name), 0, PANEL_NAME_MAX},
	{"uuid", FIELD_TEXT, false, AT(credential), 1, PANEL_CREDENTIAL_MAX},
	{"speed_limit", FIELD_REAL, false, AT(speed_mbps), 0, 1000000},
	{"device_limit", FIELD_INT, false, AT(device_limit), 0, 1000000},
	{"conn_limit", FIELD_INT, false, AT(conn_limit), 0, 1000000},
	{"quota", FIELD_BYTES, false, AT(quota), 0, INT64_MAX},
	{"expire", FIELD_DATE, false, AT(expire), 0, 253402300799}, /* the year 9999 */
	{"enabled", FIELD_BOOL, false, AT(enabled), 1},
	{"u", FIELD_BYTES, false, AT(up), 0, INT64_MAX},
	{"d", FIELD_BYTES, false, AT(down), 0, INT64_MAX},
	{"created", FIELD_INT, true, AT(created)},
};

void panel_user_init(struct panel_user *u)
{
	uint8_t random[UUID_LEN], id[UUID_LEN];

	*u = (struct panel_user){.enabled = true, .created = time(NULL)};
	random_bytes(random, sizeof(random));
	uuid_from_random(id, random);
	uuid_format(id, u->credential);
}

int panel_user_read(struct panel_user *u, json_t *from, struct fault *why)
{
	return fields_read(fields, ARRAY_LEN(fields), from, NULL, u, why);
}

bool panel_user_active(const struct panel_user *u, int64_t now)
{
	/* Both totals are below 2^63, so their sum fits. */
	if (u->quota > 0 && (uint64_t)u->up + (uint64_t)u->down >= (uint64_t)u->quota)
		return false;
	return u->enabled && (u->expire == 0 || now <= u->expire);
}

json_t *panel_user_emit(const struct panel_user *u)
{
	return fields_emit(fields, ARRAY_LEN(fields), u);
}
