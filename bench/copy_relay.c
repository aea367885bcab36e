/* copy_relay.c - the floor of relaying through our own memory: 256 KiB per read, one buffer.
 *
 * `copy_relay LISTEN-PORT TARGET-PORT ENGINE` passes every byte once through AES-128-GCM as well: the
 * floor of TLS.  What goes to the user is sealed in records of 16 KiB where it lies; what comes up is
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

#define PLAIN  16384
#define HEADER 5
#define FRAME  (HEADER + 1 + AEAD_TAG) /* and the inner type */
#define SLOTS  16

static uint8_t storage[SLOTS * (PLAIN + FRAME)], beside[PLAIN + FRAME];
static struct aead_key key;
static uint64_t seq;
static size_t frame; /* FRAME when it seals */

static void seal(const uint8_t *text, size_t len, uint8_t *out)
{
	static const uint8_t header[HEADER] = {23, 3, 3};
	uint8_t nonce[12] = {0};

	memcpy(nonce + 4, &seq, sizeof(seq));
	seq++;
	if (aead_seal(&key, nonce, header, HEADER, text, len, out))
		abort();
}

/* Records stand where they were read to, the last one shorter.  How many bytes they are. */
static size_t seal_down(size_t len)
{
	uint8_t *record = storage;

	for (; len > 0; len -= MIN(len, (size_t)PLAIN)) {
		size_t n = MIN(len, (size_t)PLAIN);

		record[HEADER + n] = 23;
		seal(record + HEADER, n + 1, record + HEADER);
		record += n + FRAME;
	}
	return (size_t)(record - storage);
}

static size_t pass_up(size_t len)
{
	for (size_t at = 0; at < len; at += PLAIN) {
		size_t n = MIN(len - at, (size_t)PLAIN);

		seal(storage + at, n, beside);
	}
	return len;
}

static ssize_t read_some(struct side *from, size_t slot)
{
	struct iovec iov[SLOTS];

	for (size_t i = 0; i < SLOTS; i++)
		iov[i] = (struct iovec){storage + i * (PLAIN + slot) + (slot ? HEADER : 0), PLAIN};
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
	got = read_some(from, down ? frame : 0);
	if (got <= 0) {
		if (got < 0 && errno != EAGAIN)
			return BROKEN;
		from->readable = false;
		from->eof = got == 0;
		return BLOCKED;
	}
	if (frame)
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

int main(int argc, char **argv)
{
	static const uint8_t raw[16] = {1, 2, 3};

	if (argc == 4) {
		if (aead_init(argv[3]))
			return 1;
		aead_key_set(&key, AEAD_AES_128_GCM, raw);
		frame = FRAME;
	}
	return floor_main(argc, argv);
}
