/* keys.c - `weir x25519`, `weir reality`, `weir uuid`: what configurations are filled with. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/uuid.h"
#include "cmd/cmd.h"
#include "cmd/opt.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/x25519.h"
#include "proto/vless/vless_wire.h"

static int fail(const struct opt_page *page, int err)
{
	fprintf(stderr, "%s: %s\n", page->command, err_text(err));
	return CMD_FAILED;
}

static void print_pair(const uint8_t priv[X25519_LEN], const uint8_t pub[X25519_LEN])
{
	char text[BASE64_TEXT(X25519_LEN)];

	base64_encode(BASE64_URL, priv, X25519_LEN, text);
	printf("Private key: %s\n", text);
	base64_encode(BASE64_URL, pub, X25519_LEN, text);
	printf("Public key: %s\n", text);
}

static int print_public(const struct opt_page *page, const char *text)
{
	uint8_t priv[BASE64_BYTES(64)], pub[X25519_LEN];
	ssize_t n = base64_decode(text, strlen(text), priv, sizeof(priv));
	int err;

	if (n != X25519_LEN)
		return opt_wrong(page, "a private key is 32 bytes in base64");
	x25519_clamp(priv);
	err = x25519_public(priv, pub);
	if (err)
		return fail(page, err);
	print_pair(priv, pub);
	return CMD_OK;
}

static int print_fresh(const struct opt_page *page)
{
	uint8_t priv[X25519_LEN], pub[X25519_LEN];
	int err = x25519_keygen(priv, pub);

	if (err)
		return fail(page, err);
	print_pair(priv, pub);
	return CMD_OK;
}

int cmd_x25519(int argc, char **argv)
{
	const char *from = NULL;
	const struct opt opts[] = {
		{"private", 'i', OPT_TEXT, &from, "KEY", "print the pair of this private key"},
		{0},
	};
	const struct opt_page page = {"weir x25519", "[-i KEY]",
				      "Prints a new X25519 key pair, base64url without padding.",
				      "weir x25519", opts};
	int n = opt_parse(&page, argc, argv);

	if (n < 0)
		return ~n;
	if (n > 0)
		return opt_wrong(&page, "no operands");
	return from ? print_public(&page, from) : print_fresh(&page);
}

/* SHA-256 of decimal id, lower-case type and token, clamped: the derivation of v2sp (config G.11).
 */
static int derive(int64_t id, const char *type, const char *token, uint8_t priv[X25519_LEN])
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "%" PRId64 "%s", id, type), err;

	for (char *c = text; *c; c++)
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 'a' - 'A') : *c;
	n += snprintf(text + n, sizeof(text) - (size_t)n, "%s", token);
	if ((size_t)n >= sizeof(text))
		return -ERR_TOO_BIG;
	err = hash(HASH_SHA256, text, (size_t)n, priv);
	if (!err)
		x25519_clamp(priv);
	return err;
}

int cmd_reality(int argc, char **argv)
{
	const char *type = NULL, *token = NULL;
	uint8_t priv[X25519_LEN], pub[X25519_LEN];
	int64_t id = 0;
	const struct opt opts[] = {
		{"node-id", 0, OPT_INT, &id, "ID", "number of the node in the panel", 1, INT64_MAX},
		{"node-type", 0, OPT_TEXT, &type, "TYPE", "its type, such as vless"},
		{"token", 0, OPT_TEXT, &token, "TOKEN", "the panel's token"},
		{0},
	};
	const struct opt_page page = {
		"weir reality", "[--node-id ID --node-type TYPE --token TOKEN]",
		"Prints a key pair for REALITY: a new one, or the one that belongs to a node.",
		"weir reality --node-id 7 --node-type vless --token s3cr3t", opts};
	int n = opt_parse(&page, argc, argv), err;

	if (n < 0)
		return ~n;
	if (n > 0)
		return opt_wrong(&page, "no operands");
	if (!id && !type && !token)
		return print_fresh(&page);
	if (!id || !type || !token)
		return opt_wrong(&page, "--node-id, --node-type and --token go together");
	if (strlen(type) > 64)
		return opt_wrong(&page, "--node-type: wrong value");
	err = derive(id, type, token, priv);
	if (!err)
		err = x25519_public(priv, pub);
	if (err)
		return fail(&page, err);
	print_pair(priv, pub);
	return CMD_OK;
}

int cmd_uuid(int argc, char **argv)
{
	uint8_t id[UUID_LEN], random[UUID_LEN];
	char text[UUID_TEXT];
	int64_t count = 1;
	const struct opt opts[] = {
		{"number", 'n', OPT_INT, &count, "N", "how many", 1, 1000000},
		{0},
	};
	const struct opt_page page = {
		"weir uuid", "[-n N] [TEXT]",
		"Prints random UUIDs; with TEXT the one that VLESS and VMess make of it.",
		"weir uuid alice", opts};
	int n = opt_parse(&page, argc, argv);

	if (n < 0)
		return ~n;
	if (n > 1)
		return opt_wrong(&page, "one TEXT at a time");
	if (n == 1) {
		if (vless_id_of_text(argv[1], strlen(argv[1]), id))
			return opt_wrong(&page, "TEXT is a UUID, or 1 to 30 bytes");
		puts(uuid_format(id, text));
		return CMD_OK;
	}
	while (count-- > 0) {
		random_bytes(random, sizeof(random));
		uuid_from_random(id, random);
		puts(uuid_format(id, text));
	}
	return CMD_OK;
}
