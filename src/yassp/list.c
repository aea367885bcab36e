#include "yassp/list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/grow.h"
#include "plugin/plugin.h"

#define IDLE_TIMEOUT_S 180

struct parsing {
	const struct yassp_rules *rules;
	struct yassp_list list;
	size_t cap, entry;
	int64_t port; /* of the entry; 0: unknown */
	char why[PROFILE_WHY_MAX];
};

static bool allowed(void *arg, const char *plugin)
{
	struct parsing *p = arg;

	return plugin_allowed(p->rules->allow, plugin);
}

static void remark(void *arg, const char *what)
{
	struct parsing *p = arg;
	char text[PROFILE_WHY_MAX + 64];

	if (!p->rules->remark)
		return;
	if (p->port > 0)
		snprintf(text, sizeof(text), "entry %zu, port %lld: %s", p->entry,
			 (long long)p->port, what);
	else
		snprintf(text, sizeof(text), "entry %zu: %s", p->entry, what);
	p->rules->remark(p->rules->arg, text);
}

/* Behind what is there; takes `profile` over.  0 or -ENOMEM. */
static int append(struct parsing *p, struct profile *profile)
{
	struct profile **more = grow(p->list.v, p->list.n, &p->cap, sizeof(struct profile *));

	if (!more) {
		profile_free(profile);
		return -ENOMEM;
	}
	p->list.v = more;
	p->list.v[p->list.n++] = profile;
	return 0;
}

static int add_entry(struct parsing *p, const struct json_value *entry)
{
	/* Extra keys reach external servers as they are. */
	const struct profile defaults = {.mode = PROFILE_BOTH,
					 .plugin_mode = PROFILE_TCP,
					 .fast_open = true,
					 .timeout_s = IDLE_TIMEOUT_S};
	const struct profile_rules rules = {.defaults = &defaults,
					    .need_method = true,
					    .plugin_allowed = allowed,
					    .plugin_arg = p,
					    .warn = remark,
					    .warn_arg = p};
	struct profile *profile;
	int err;

	p->entry++;
	p->port = 0;
	if (json_to_int(json_get(entry, "port"), &p->port))
		p->port = 0;
	err = profile_read(entry, &rules, &profile, p->why);
	if (!err)
		return append(p, profile);
	if (err == -ENOMEM)
		return err;
	p->list.invalid++;
	remark(p, p->why);
	return 0;
}

/* ---- order ------------------------------------------------------------------------------- */

struct placed {
	struct profile *profile;
	size_t place;
};

static int by_port_then_place(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	if (x->profile->port != y->profile->port)
		return x->profile->port < y->profile->port ? -1 : 1;
	return x->place < y->place ? -1 : 1;
}

/* Of one port the last counts (D10). */
static int sort(struct parsing *p)
{
	struct yassp_list *l = &p->list;
	struct placed *all = calloc(l->n + 1, sizeof(*all));
	size_t n = l->n;

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		all[i] = (struct placed){l->v[i], i};
	qsort(all, n, sizeof(*all), by_port_then_place);
	l->n = 0;
	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n && all[i].profile->port == all[i + 1].profile->port) {
			p->entry = all[i].place + 1;
			p->port = all[i].profile->port;
			remark(p, "this port is there again, and the later entry counts");
			profile_free(all[i].profile);
		} else {
			l->v[l->n++] = all[i].profile;
		}
	}
	free(all);
	return 0;
}

/* ---- the document ------------------------------------------------------------------------ */

static int parse(struct parsing *p, const struct json_value *doc, char *why)
{
	int err = 0;

	if (doc->type != JSON_T_ARRAY) {
		snprintf(why, PROFILE_WHY_MAX, "not a list");
		return -ERR_MALFORMED;
	}
	for (const struct json_value *e = doc->child; e && !err; e = e->next)
		err = add_entry(p, e);
	if (!err && !p->list.n && p->list.invalid) {
		snprintf(why, PROFILE_WHY_MAX,
			 "not one of its %zu entries is valid; the last: %.150s", p->list.invalid,
			 p->why);
		return -ERR_CONFIG;
	}
	return err ? err : sort(p);
}

int yassp_list_parse(const char *text, size_t len, const struct yassp_rules *rules,
		     struct yassp_list *out, char why[PROFILE_WHY_MAX])
{
	struct parsing p = {.rules = rules};
	struct json_value *doc;
	struct json_pos at;
	const char *what;
	struct arena mem;
	int err;

	arena_init(&mem, 0);
	err = len > YASSP_LIST_MAX ? -ERR_TOO_BIG
				   : json_parse(text, len, 0, &mem, &doc, &at, &what);
	if (!err) {
		err = parse(&p, doc, why);
	} else if (err == -ERR_TOO_BIG && len > YASSP_LIST_MAX) {
		snprintf(why, PROFILE_WHY_MAX, "larger than 16 MiB");
		err = -ERR_MALFORMED;
	} else if (err != -ENOMEM) {
		snprintf(why, PROFILE_WHY_MAX, "not JSON: line %u, column %u: %s", at.line,
			 at.column, what);
		err = -ERR_MALFORMED;
	}
	if (err == -ENOMEM)
		snprintf(why, PROFILE_WHY_MAX, "no memory");
	arena_done(&mem);
	if (err) {
		yassp_list_done(&p.list);
		return err;
	}
	*out = p.list;
	return 0;
}

void yassp_list_done(struct yassp_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		profile_free(l->v[i]);
	free(l->v);
	*l = (struct yassp_list){0};
}

size_t yassp_list_at(const struct yassp_list *l, unsigned port)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (l->v[mid]->port < port)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct profile *yassp_list_find(const struct yassp_list *l, uint16_t port)
{
	size_t at = yassp_list_at(l, port);

	return at < l->n && l->v[at]->port == port ? l->v[at] : NULL;
}
