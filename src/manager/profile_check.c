#include "manager/profile_check.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "net/addr.h"

#define refuse(why, ...) err_say(-ERR_CONFIG, why, PROFILE_WHY_MAX, __VA_ARGS__)

static bool is_named(const struct ss_method *m, const struct json_list *named)
{
	for (size_t i = 0; i < named->count; i++) {
		if (ss_method_find(named->items[i]) == m)
			return true;
	}
	return false;
}

int profile_method(const char *name, const struct json_list *insecure, const struct ss_method **out,
		   char why[PROFILE_WHY_MAX])
{
	const struct ss_method *m = ss_method_find(name);

	if (!m)
		return refuse(why, "method %.40s is none; write one like aes-256-gcm", name);
	if (ss_method_insecure(m) && !is_named(m, insecure))
		return refuse(why, "method %s protects nothing; name it in the file to serve it",
			      m->name);
	*out = m;
	return 0;
}

int profile_check_listen(const struct json_list *l, char why[PROFILE_WHY_MAX])
{
	struct addr at;

	for (size_t i = 0; i < l->count; i++) {
		if (*l->items[i] && addr_parse_ip(&at, l->items[i], 1))
			return refuse(why,
				      "%.60s is no address to listen on; write one like "
				      "0.0.0.0 or ::",
				      l->items[i]);
	}
	return 0;
}

static int check_key(const struct ss_method *m, const char *text, const char *whose, char *why)
{
	uint8_t key[SS_KEY_MAX];
	int err = ss_key(m, text, strlen(text), key);

	cleanse(key, sizeof(key));
	if (err != -ERR_MALFORMED)
		return 0;
	return refuse(why, "%s is no key of method %s, which is the base64 of %u bytes", whose,
		      m->name, (unsigned)m->key_len);
}

/* Whatever it is, a password makes a key of the older methods. */
static int check_keys(const struct profile *p, const struct ss_method *m, char *why)
{
	int err = check_key(m, p->password, "password", why);

	for (size_t i = 0; i < p->nusers && !err; i++)
		err = check_key(m, p->users[i].key, "a user's password", why);
	return err;
}

int profile_check(const struct profile *p, const struct json_list *insecure,
		  char why[PROFILE_WHY_MAX])
{
	const struct ss_method *m;
	int err = profile_method(p->method, insecure, &m, why);

	if (!err && p->nusers && (m->class != SS_2022 || !m->identity))
		err = refuse(why, "method %s has one user", m->name);
	if (!err && m->class == SS_2022)
		err = check_keys(p, m, why);
	return err ? err : profile_check_listen(&p->listen, why);
}
