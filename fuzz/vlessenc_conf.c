/* The strings that VLESS Encryption is configured with: what a server takes, its clients' half can be made
 * of, and a client takes that. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "proto/vlessenc/vlessenc_conf.h"

static void check_padding(const struct vlessenc_conf *c)
{
	uint32_t len[VLESSENC_PADS], gap[VLESSENC_PADS], total;
	unsigned n = vlessenc_padding_draw(&c->padding, len, gap, &total);

	if (n == 0 || len[0] < VLESSENC_PAD_MIN || total > VLESSENC_PAD_MAX)
		abort();
	if (c->server && vlessenc_life_draw(c) > VLESSENC_LIFE_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *half, *why = NULL;
	struct vlessenc_conf *c;
	struct arena mem;
	char *text = malloc(len + 1);

	if (!text)
		return 0;
	memcpy(text, data, len);
	text[len] = '\0';
	if (!vlessenc_client_conf_new(text, &c, &why)) {
		check_padding(c);
		vlessenc_conf_free(c);
	} else if (!why) {
		abort();
	}
	if (!vlessenc_server_conf_new(text, NULL, &c, &why)) {
		check_padding(c);
		vlessenc_conf_free(c);
		arena_init(&mem, 0);
		if (vlessenc_client_text(text, &mem, &half, &why) ||
		    vlessenc_client_conf_new(half, &c, &why))
			abort();
		vlessenc_conf_free(c);
		arena_done(&mem);
	}
	free(text);
	return 0;
}
