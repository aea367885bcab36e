/* vlessenc.c - `weir vlessenc`: both halves of a VLESS Encryption. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "cmd/cmd.h"
#include "cmd/opt.h"
#include "crypto/ct.h"
#include "crypto/random.h"
#include "proto/vlessenc/vlessenc_conf.h"

/* A private key as configurations have it: base64url.  Returns its length in bytes, 0: no such kind. */
static size_t make_key(const char *kind, char text[BASE64_TEXT(MLKEM768_SEED)])
{
	uint8_t raw[MLKEM768_SEED];
	size_t len = !strcmp(kind, "x25519")	 ? X25519_LEN
		     : !strcmp(kind, "mlkem768") ? MLKEM768_SEED
						 : 0;

	random_bytes(raw, sizeof(raw));
	if (len == X25519_LEN)
		x25519_clamp(raw);
	base64_encode(BASE64_URL, raw, len, text);
	cleanse(raw, sizeof(raw));
	return len;
}

static int print_pair(const struct opt_page *page, struct arena *mem, const char *decryption)
{
	const char *text, *why;
	int err = decryption ? vlessenc_client_text(decryption, mem, &text, &why) : -ENOMEM;

	if (err == -ERR_CONFIG)
		return opt_wrong(page, "%s", why);
	if (err) {
		fprintf(stderr, "%s: %s\n", page->command, err_text(err));
		return CMD_FAILED;
	}
	printf("decryption: %s\nencryption: %s\n", decryption, text);
	return CMD_OK;
}

int cmd_vlessenc(int argc, char **argv)
{
	const char *mode = "native", *kind = "x25519", *ticket = "600s", *padding = "",
		   *from = NULL;
	const struct opt opts[] = {
		{"mode", 'm', OPT_TEXT, &mode, "MODE", "native, xorpub or random; native"},
		{"key", 'k', OPT_TEXT, &kind, "KIND", "x25519 or mlkem768 (long links); x25519"},
		{"ticket", 't', OPT_TEXT, &ticket, "LIFE",
		 "600s, 300-600s, 0s: never without a round trip"},
		{"padding", 'p', OPT_TEXT, &padding, "PADDING",
		 "of the server, such as 100-111-1111.75-0-111.50-0-3333"},
		{"decryption", 'd', OPT_TEXT, &from, "TEXT", "of this one the client's half"},
		{0},
	};
	const struct opt_page page = {
		"weir vlessenc", "[-m MODE] [-k KIND] [-t LIFE] [-p PADDING]",
		"Prints what VLESS Encryption is configured with: `decryption` is the server's and a secret,\n"
		"`encryption` its clients'.",
		"weir vlessenc -m xorpub -t 300-600s", opts};
	int n = opt_parse(&page, argc, argv), status;
	char key[BASE64_TEXT(MLKEM768_SEED)];
	struct arena mem;

	if (n < 0)
		return ~n;
	if (n > 0)
		return opt_wrong(&page, "no operands");
	if (!make_key(kind, key))
		return opt_wrong(&page, "--key: x25519 or mlkem768");
	arena_init(&mem, 0);
	if (!from)
		from = arena_printf(&mem, "%s.%s.%s.%s%s%s", VLESSENC_METHOD, mode, ticket, padding,
				    *padding ? "." : "", key);
	status = print_pair(&page, &mem, from);
	arena_done(&mem);
	return status;
}
