/* vmess_house.h - a VMess inbound with users, and its clients. */
#ifndef WEIR_TESTS_VMESS_HOUSE_H
#define WEIR_TESTS_VMESS_HOUSE_H

#include "people.h"
#include "proto/known.h"
#include "proto/vmess/vmess.h"

struct vmess_house {
	struct people people;
	struct known *known;
	struct replay *replay;
	struct vmess_port port;
};

static inline void vmess_house_open(struct vmess_house *o, struct loop *l, const char *users)
{
	people_init(&o->people, "vmess", l, users);
	assert_int_equal(known_new(&o->known), 0);
	assert_int_equal(replay_new_timed(VMESS_REPLAY_KEEP, &o->replay), 0);
	assert_int_equal(vmess_finder_new(o->known, 1, &o->port.finder), 0);
	o->port.replay = NULL;
	o->people.in.port = &o->port;
}

static inline void vmess_house_close(struct vmess_house *o)
{
	vmess_finder_free(o->port.finder);
	replay_free(o->replay);
	known_free(o->known);
	people_done(&o->people);
}

#define VMESS_ALL (VMESS_CHUNKS | VMESS_MASK | VMESS_PADDING | VMESS_SEALED_LENGTH)

/* Every cipher with what clients ask for along with it. */
static const struct vmess_way {
	uint8_t cipher, option;
} vmess_ways[] = {
	{VMESS_AES_128_GCM, VMESS_CHUNKS | VMESS_MASK | VMESS_PADDING},
	{VMESS_AES_128_GCM, VMESS_ALL},
	{VMESS_AES_128_GCM, 0},
	{VMESS_AES_128_GCM, VMESS_CHUNKS | VMESS_PADDING},
	{VMESS_CHACHA20_POLY1305, VMESS_CHUNKS | VMESS_MASK},
	{VMESS_CHACHA20_POLY1305, VMESS_ALL},
	{VMESS_NONE, VMESS_CHUNKS},
	{VMESS_NONE, VMESS_ALL},
	{VMESS_NONE, 0},
};

static inline struct vmess_client_conf vmess_house_client(const char *who, struct vmess_way way)
{
	struct vmess_client_conf c;

	assert_int_equal(vmess_client_conf_set(&c, who, "auto"), 0);
	c.cipher = way.cipher;
	c.option = way.option;
	return c;
}

#endif
