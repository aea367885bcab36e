#include "proto/shadowsocks/ss_memory.h"

#include <errno.h>
#include <stdlib.h>

static int fill(struct ss_memory *m)
{
	int err = replay_new_counted(SS_REPLAY_MIN, &m->streams);

	if (!err)
		err = replay_new_timed(SS_REPLAY_KEEP, &m->streams_2022);
	if (!err)
		err = replay_new_counted(SS_REPLAY_PACKETS, &m->packets);
	if (!err)
		err = ss_sessions_new(&m->sessions);
	if (!err)
		err = known_new(&m->known);
	return err;
}

int ss_memory_new(struct ss_memory **out)
{
	struct ss_memory *m = calloc(1, sizeof(*m));
	int err = m ? fill(m) : -ENOMEM;

	if (err) {
		ss_memory_free(m);
		return err;
	}
	*out = m;
	return 0;
}

void ss_memory_free(struct ss_memory *m)
{
	if (!m)
		return;
	replay_free(m->streams);
	replay_free(m->streams_2022);
	replay_free(m->packets);
	ss_sessions_free(m->sessions);
	known_free(m->known);
	free(m);
}

void ss_memory_of_salts(const struct ss_memory *m, struct ss_conf *c)
{
	c->replay = c->method->class == SS_2022 ? m->streams_2022 : m->streams;
	c->packets = c->method->class == SS_AEAD ? m->packets : NULL;
}
