#include "panel/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/hex.h"
#include "crypto/ct.h"
#include "crypto/random.h"
#include "crypto/x25519.h"
#include "panel/field.h"

enum kind {
	TEXT,
	WORD, /* one of a list */
	INT,
	BOOL,
	OBJECT,
	LIST,
	LINES, /* a list or text */
	ROUTES,
};

struct setting {
	const char *name;
	enum kind kind;
	enum setting_place place;
	int64_t min, max;
	const char *words; /* of a WORD, each between blanks */
};

static const struct setting table[] = {
	{"network", WORD, .words = " tcp raw ws grpc httpupgrade xhttp h2 kcp quic "},
	{"network_settings", OBJECT, SETTING_OWN},
	{"tls", INT, .max = 2},
	{"tls_settings", OBJECT, SETTING_OWN},
	{"server_name", TEXT},
	{"flow", WORD, .words = " none xtls-rprx-vision xtls-rprx-vision-udp443 "},
	{"encryption", WORD, .words = " none mlkem768x25519plus "},
	{"encryption_settings", OBJECT},
	{"decryption", TEXT},
	{"cipher", TEXT},
	{"server_key", TEXT},
	{"plugin", TEXT},
	{"plugin_opts", TEXT},
	{"obfs", TEXT},
	{"obfs_settings", OBJECT},
	{"obfs_password", TEXT, SETTING_OWN},
	{"up_mbps", INT, .max = 1000000},
	{"down_mbps", INT, .max = 1000000},
	{"ignore_client_bandwidth", BOOL},
	{"version", INT, .min = 1, .max = 5},
	{"congestion_control", WORD, .words = " cubic new_reno bbr "},
	{"zero_rtt_handshake", BOOL},
	{"auth_timeout", TEXT},
	{"heartbeat", TEXT},
	{"padding_scheme", LINES},
	{"multiplex", OBJECT},
	{"transport", WORD, .words = " TCP UDP "},
	{"traffic_pattern", TEXT},
	{"routes", ROUTES, SETTING_OWN},
	{"push_interval", INT, SETTING_BASE, .min = 1, .max = 86400},
	{"pull_interval", INT, SETTING_BASE, .min = 1, .max = 86400},
	{"device_online_min_traffic", INT, SETTING_BASE, .max = INT64_MAX},
	{"node_report_min_traffic", INT, SETTING_BASE, .max = INT64_MAX},
	{"options", OBJECT, SETTING_OWN},
	{"extra", OBJECT, SETTING_OWN},
	{"user_usage", BOOL, SETTING_OWN},
	{"yassp_host", TEXT, SETTING_OWN},
	{"yassp_psk", TEXT, SETTING_OWN},
	{"yassp_push", TEXT, SETTING_OWN},
};

static const struct setting *setting_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	}
	return NULL;
}

enum setting_place setting_place(const char *key)
{
	const struct setting *s = setting_find(key);

	return s ? s->place : SETTING_OWN;
}

static int route_check(json_t *route, size_t i, struct fault *why)
{
	json_t *match = json_object_get(route, "match");
	const char *action = json_string_value(json_object_get(route, "action"));

	if (!action || !*action)
		return fault_set(why, "routes[%zu].action: expected text", i);
	if (match && !json_is_array(match) && !json_is_string(match))
		return fault_set(why, "routes[%zu].match: expected a list of texts", i);
	for (size_t k = 0; k < json_array_size(match); k++) {
		if (!json_is_string(json_array_get(match, k)))
			return fault_set(why, "routes[%zu].match[%zu]: expected text", i, k);
	}
	return 0;
}

static int routes_check(json_t *v, struct fault *why)
{
	int err = 0;

	if (!json_is_array(v))
		return fault_set(why, "routes: expected a list");
	for (size_t i = 0; i < json_array_size(v) && !err; i++)
		err = route_check(json_array_get(v, i), i, why);
	return err;
}

static int word_check(const struct setting *s, json_t *v, struct fault *why)
{
	const char *is = json_string_value(v);
	char padded[64];

	if (is && strlen(is) < sizeof(padded) - 3 && !strchr(is, ' ')) {
		snprintf(padded, sizeof(padded), " %s ", is);
		if (!*is || strstr(s->words, padded))
			return 0;
	}
	return fault_set(why, "%s: expected one of%s", s->name, s->words);
}

/* Put `v` in the shape of its kind: a new reference, or NULL with the fault. */
static json_t *setting_normal(const struct setting *s, json_t *v, struct fault *why)
{
	char text[4096];
	int64_t i;
	bool b;
	int err = 0;

	switch (s->kind) {
	case INT:
		err = field_int(v, s->name, s->min, s->max, &i, why);
		return err ? NULL : json_integer(i);
	case BOOL:
		err = field_bool(v, s->name, &b, why);
		return err ? NULL : json_boolean(b);
	case TEXT:
		if (json_is_integer(v)) /* --set server_key=1234 */
			return json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
		err = field_text(v, s->name, 0, sizeof(text) - 1, text, why);
		break;
	case WORD:
		err = word_check(s, v, why);
		break;
	case OBJECT:
		err = json_is_object(v) ? 0 : fault_set(why, "%s: expected an object", s->name);
		break;
	case LIST:
		err = json_is_array(v) ? 0 : fault_set(why, "%s: expected a list", s->name);
		break;
	case LINES:
		if (!json_is_array(v) && !json_is_string(v))
			err = fault_set(why, "%s: expected a list of lines", s->name);
		break;
	case ROUTES:
		err = routes_check(v, why);
		break;
	}
	return err ? NULL : json_incref(v);
}

int settings_check(json_t *settings, struct fault *why)
{
	const char *key;
	json_t *v;
	void *next;

	json_object_foreach_safe(settings, next, key, v)
	{
		const struct setting *s = setting_find(key);
		json_t *normal;

		if (!s)
			return fault_set(why,
					 "settings.%.60s: no such setting; unknown fields go into "
					 "settings.extra",
					 key);
		normal = setting_normal(s, v, why);
		if (!normal)
			return -EINVAL;
		if (json_object_set_new(settings, key, normal) < 0)
			return -ENOMEM;
	}
	return 0;
}

static const char *text_at(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s && *s ? s : NULL;
}

static int reality_complete(json_t *tls, struct fault *why)
{
	const char *given = text_at(tls, "private_key");
	uint8_t priv[X25519_LEN], pub[X25519_LEN], sid[4];
	char text[BASE64_TEXT(X25519_LEN)];
	int err;

	if (!text_at(tls, "server_name") && !json_array_size(json_object_get(tls, "server_names")))
		return fault_set(why,
				 "settings.tls_settings.server_name: REALITY needs the name of "
				 "the site that it resembles");
	if (!given) {
		err = x25519_keygen(priv, pub);
	} else {
		if (base64_decode(given, strlen(given), priv, sizeof(priv)) != sizeof(priv))
			return fault_set(
				why, "settings.tls_settings.private_key: expected the base64 of "
				     "32 bytes; leave it out to have one made");
		err = x25519_public(priv, pub);
	}
	if (err)
		return err;
	/* The public key is for links; it follows whatever becomes of the private one. */
	base64_encode(BASE64_URL, pub, sizeof(pub), text);
	err |= json_object_set_new(tls, "public_key", json_string(text));
	base64_encode(BASE64_URL, priv, sizeof(priv), text);
	if (!given)
		err |= json_object_set_new(tls, "private_key", json_string(text));
	cleanse(priv, sizeof(priv));
	cleanse(text, sizeof(text));
	if (!json_object_get(tls, "short_id") && !json_object_get(tls, "short_ids")) {
		random_bytes(sid, sizeof(sid));
		err |= json_object_set_new(tls, "short_id",
					   json_string(hex_format(sid, sizeof(sid), text)));
	}
	return err ? -ENOMEM : 0;
}

static int shadowsocks_complete(json_t *settings)
{
	const char *cipher = text_at(settings, "cipher");
	uint8_t key[32];
	char text[64];
	size_t n;

	if (!cipher) {
		cipher = "2022-blake3-aes-128-gcm";
		if (json_object_set_new(settings, "cipher", json_string(cipher)) < 0)
			return -ENOMEM;
	}
	if (strncmp(cipher, "2022-", 5) != 0 || text_at(settings, "server_key"))
		return 0;
	n = strstr(cipher, "128") ? 16 : 32;
	random_bytes(key, n);
	base64_encode(BASE64_STD, key, n, text);
	return json_object_set_new(settings, "server_key", json_string(text)) < 0 ? -ENOMEM : 0;
}

int settings_complete(json_t *settings, const char *type, struct fault *why)
{
	json_t *tls = json_object_get(settings, "tls_settings");

	if (strcmp(type, "shadowsocks") == 0)
		return shadowsocks_complete(settings);
	if (json_integer_value(json_object_get(settings, "tls")) != 2)
		return 0;
	if (!tls) {
		tls = json_object();
		if (json_object_set_new(settings, "tls_settings", tls) < 0)
			return -ENOMEM;
	}
	return reality_complete(tls, why);
}

int settings_merge(json_t *settings, json_t *patch)
{
	const char *key;
	json_t *v;
	int err = 0;

	json_object_foreach(patch, key, v)
	{
		json_t *old = json_object_get(settings, key);

		if (json_is_null(v)) {
			json_object_del(settings, key);
		} else if (json_is_object(v)) {
			if (!json_is_object(old)) {
				old = json_object();
				if (json_object_set_new(settings, key, old) < 0)
					return -ENOMEM;
			}
			err = settings_merge(old, v);
			if (err)
				return err;
		} else if (json_object_set(settings, key, v) < 0) {
			return -ENOMEM;
		}
	}
	return 0;
}
