/* copy_relay.c - the floor of relaying through our own memory: 256 KiB per read, one buffer.
 *
 * `copy_relay LISTEN-PORT TARGET-PORT ENGINE [ss CIPHER]` passes every byte once through an AEAD as
 * well: the floor of TLS with AES-128-GCM, or of Shadowsocks, which seals a length before each
 * chunk.  What goes to the user is sealed in pieces of 16 KiB where it lies; what comes up is
 * sealed beside and sent as it came, which costs what opening it would.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/base.h"
#include "crypto/aead.h"
#include "floor.h"

#define SLOTS	  16
#define FRAME_MAX 64

/* A piece: so many bytes before the text, so many after it. */
static const struct layout {
	size_t plain, before, after;
	bool ss;
} none = {16384, 0, 0, false}, tls = {16384, 5, 1 + AEAD_TAG, false},
  shadowsocks = {16383, 2 + AEAD_TAG, AEAD_TAG, true};

static const struct layout *layout = &none;
static _Thread_local uint8_t storage[SLOTS * (16384 + FRAME_MAX)], beside[16384 + FRAME_MAX];
static struct aead_key key;
static _Thread_local uint64_t seq;

static void seal(const void *aad, size_t aadlen, const uint8_t *text, size_t len, uint8_t *out)
{
	uint8_t nonce[12] = {0};

	memcpy(nonce + 4, &seq, sizeof(seq));
	seq++;
	if (aead_seal(&key, nonce, aad, aadlen, text, len, out))
		abort();
}

/* One piece whose text lies at `text`; what was before it lies there too when that is `out` +
 * before.
 */
static void seal_piece(const uint8_t *text, size_t n, uint8_t *out)
{
	static const uint8_t header[5] = {23, 3, 3}, size[2] = {0x3f, 0xff};

	if (layout->ss) {
		seal(NULL, 0, size, sizeof(size), out);
		seal(NULL, 0, text, n, out + layout->before);
	} else {
		seal(header, sizeof(header), text, n + 1, out + layout->before);
	}
}

/* Pieces stand where they were read to, the last one shorter.  How many bytes they are. */
static size_t seal_down(size_t len)
{
	uint8_t *piece = storage;

	for (; len > 0; len -= MIN(len, layout->plain)) {
		size_t n = MIN(len, layout->plain);

		seal_piece(piece + layout->before, n, piece);
		piece += layout->before + n + layout->after;
	}
	return (size_t)(piece - storage);
}

static size_t pass_up(size_t len)
{
	for (size_t at = 0; at < len; at += layout->plain)
		seal_piece(storage + at, MIN(len - at, layout->plain), beside);
	return len;
}

static ssize_t read_some(struct side *from, const struct layout *lay)
{
	size_t stride = lay->before + lay->plain + lay->after;
	struct iovec iov[SLOTS];

	for (size_t i = 0; i < SLOTS; i++)
		iov[i] = (struct iovec){storage + i * stride + lay->before, lay->plain};
	return readv(from->fd, iov, SLOTS);
}

void drop_held(struct side *from)
{
	free(from->held);
	from->held = NULL;
}

/* How much of it went, or -1. */
static ssize_t write_some(struct side *to, const void *p, size_t len)
{
	ssize_t n = send(to->fd, p, len, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN)
		return -1;
	n = n < 0 ? 0 : n;
	to->writable = (size_t)n == len;
	return n;
}

static enum moved write_held(struct side *from, struct side *to)
{
	ssize_t n = write_some(to, from->held + from->off, from->len);

	if (n < 0)
		return BROKEN;
	from->off += (size_t)n;
	from->len -= (size_t)n;
	if (from->len > 0)
		return BLOCKED;
	drop_held(from);
	return from->eof ? BLOCKED : MOVED;
}

enum moved move(struct side *from, struct side *to)
{
	bool down = from == &from->conn->side[1];
	ssize_t got, n;

	if (from->held)
		return write_held(from, to);
	got = read_some(from, down ? layout : &none);
	if (got <= 0) {
		if (got < 0 && errno != EAGAIN)
			return BROKEN;
		from->readable = false;
		from->eof = got == 0;
		return BLOCKED;
	}
	if (layout != &none)
		got = (ssize_t)(down ? seal_down((size_t)got) : pass_up((size_t)got));
	n = write_some(to, storage, (size_t)got);
	if (n < 0)
		return BROKEN;
	if (n == got)
		return MOVED;
	from->len = (size_t)(got - n);
	from->off = 0;
	from->held = malloc(from->len);
	if (!from->held)
		return BROKEN;
	memcpy(from->held, storage + n, from->len);
	return BLOCKED;
}

static enum aead_alg alg_of(const char *cipher)
{
	return strcmp(cipher, "chacha20") ? AEAD_AES_128_GCM : AEAD_CHACHA20_POLY1305;
}

int main(int argc, char **argv)
{
	static const uint8_t raw[AEAD_KEY_MAX] = {1, 2, 3};

	if (argc > 3) {
		if (aead_init(argv[3]))
			return 1;
		layout = argc == 6 ? &shadowsocks : &tls;
		aead_key_set(&key, argc == 6 ? alg_of(argv[5]) : AEAD_AES_128_GCM, raw);
	}
	return floor_main(argc, argv);
}
