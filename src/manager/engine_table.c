/* The servers of an engine, by port. */
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "manager/engine_impl.h"

/* Where `port` is, or would be. */
size_t engine_place(const struct engine *e, unsigned port)
{
	size_t lo = 0, hi = e->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (e->v[mid]->port < port)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct server *server_find(const struct engine *e, uint16_t port)
{
	size_t i = engine_place(e, port);

	return i < e->n && e->v[i]->port == port ? e->v[i] : NULL;
}

struct server *server_make(struct engine *e, uint16_t port)
{
	size_t i = engine_place(e, port);
	struct server **v, *s;

	if (i < e->n && e->v[i]->port == port)
		return e->v[i];
	v = grow(e->v, e->n, &e->cap, sizeof(struct server *));
	if (!v)
		return NULL;
	e->v = v;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->port = port;
	memmove(e->v + i + 1, e->v + i, (e->n - i) * sizeof(struct server *));
	e->v[i] = s;
	e->n++;
	return s;
}

/* Callbacks may put and remove, and so end what their caller is busy with. */
void server_hold(struct server *s)
{
	s->held++;
}

void server_release(struct engine *e, struct server *s)
{
	size_t i;

	if (--s->held || s->profile || s->run || s->leaving || s->askers || e->stopping)
		return;
	i = engine_place(e, s->port);
	memmove(e->v + i, e->v + i + 1, (e->n - i - 1) * sizeof(struct server *));
	e->n--;
	profile_free(s->profile);
	profile_free(s->before);
	free(s);
}

/* ---- looking ----------------------------------------------------------------------------- */

static void describe(const struct engine *e, const struct server *s, struct engine_server *out)
{
	struct traffic t;

	*out = (struct engine_server){
		.profile = s->profile,
		.generation = s->generation,
		.state = s->state,
		.err = s->err,
		.traffic = s->banked,
	};
	if (s->run && s->run->generation == s->generation) {
		e->ops->traffic(s->run, &t);
		out->traffic.up += t.up - s->run->banked.up;
		out->traffic.down += t.down - s->run->banked.down;
	}
}

bool engine_get(const struct engine *e, uint16_t port, struct engine_server *out)
{
	const struct server *s = server_find(e, port);

	if (!s || !s->profile)
		return false;
	describe(e, s, out);
	return true;
}

bool engine_next(const struct engine *e, unsigned port, struct engine_server *out)
{
	for (size_t i = engine_place(e, port + 1); i < e->n; i++) {
		if (!e->v[i]->profile)
			continue;
		describe(e, e->v[i], out);
		return true;
	}
	return false;
}

size_t engine_count(const struct engine *e)
{
	size_t n = 0;

	for (size_t i = 0; i < e->n; i++)
		n += e->v[i]->profile != NULL;
	return n;
}
