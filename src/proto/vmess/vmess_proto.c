/* VMess as the rest of the program meets it: a line in registry.c. */
#include <errno.h>
#include <stdlib.h>

#include "crypto/aes_many.h"
#include "crypto/ct.h"
#include "proto/known.h"
#include "proto/vless/vless_wire.h"
#include "proto/vmess/vmess.h"
#include "proto/vmess/vmess_layer.h"
#include "proto/vmess/vmess_seal.h"

/* ---- users ------------------------------------------------------------------------------- */

static int user_key_of(const char *credential, size_t len, uint8_t *key)
{
	uint8_t id[VLESS_ID_LEN];
	int err = vless_id_of_text(credential, len, id);

	return err ? err : vmess_command_key(id, key);
}

static int user_secret_of(const uint8_t *key, uint8_t *secret)
{
	uint8_t raw[16];
	int err = vmess_id_key(key, raw);

	if (!err)
		err = aes_many_key(raw, secret);
	cleanse(raw, sizeof(raw));
	return err;
}

/* ---- what it keeps ----------------------------------------------------------------------- */

/* Auth ids, and who has been here. */
struct memory {
	struct replay *ids;
	struct known *known;
};

static void memory_free(void *memory)
{
	struct memory *m = memory;

	if (!m)
		return;
	replay_free(m->ids);
	known_free(m->known);
	free(m);
}

static int memory_new(void **out)
{
	struct memory *m = calloc(1, sizeof(*m));
	int err = m ? replay_new_timed(VMESS_REPLAY_KEEP, &m->ids) : -ENOMEM;

	if (!err)
		err = known_new(&m->known);
	if (err) {
		memory_free(m);
		return err;
	}
	*out = m;
	return 0;
}

static int port_new(const void *conf, void *memory, unsigned workers, void **out)
{
	const struct memory *m = memory;
	struct vmess_port *p = calloc(1, sizeof(*p));
	int err = p ? vmess_finder_new(m->known, workers, &p->finder) : -ENOMEM;

	if (err) {
		free(p);
		return err;
	}
	p->replay = m->ids;
	*out = p;
	return 0;
}

static void port_free(void *port)
{
	struct vmess_port *p = port;

	if (!p)
		return;
	vmess_finder_free(p->finder);
	free(p);
}

const struct proto vmess_proto = {
	.name = "vmess",
	.key_len = VMESS_KEY_LEN,
	.secret_len = AES_MANY_KEY,
	.pack = true,
	.user_key = user_key_of,
	.user_secret = user_secret_of,
	.server = vmess_server,
	.memory_new = memory_new,
	.memory_free = memory_free,
	.port_new = port_new,
	.port_free = port_free,
};
