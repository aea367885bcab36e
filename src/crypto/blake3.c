#include "crypto/blake3.h"

#include <endian.h>
#include <string.h>

#include "crypto/ct.h"

#define BLOCK 64
#define CHUNK 1024

enum {
	CHUNK_START = 1,
	CHUNK_END = 2,
	PARENT = 4,
	ROOT = 8,
	KEYED = 16,
	CONTEXT = 32,
	MATERIAL = 64,
};

typedef uint32_t row __attribute__((vector_size(16)));

static const uint32_t iv[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
			       0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

/* Which words of the message go into each round: the permutation, applied again and again. */
static const uint8_t schedule[7][16] = {
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	{2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
	{3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
	{10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
	{12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
	{9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
	{11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

/* The node of the tree that is not compressed yet: what it yields depends on whether it is the
 * root.
 */
struct node {
	uint32_t cv[8];
	uint32_t words[16];
	uint64_t counter;
	uint32_t len, flags;
};

static inline row rotate(row v, int n)
{
	return v >> n | v << (32 - n);
}

/* Four quarter rounds at once, one a column. */
static inline void quarter(row s[4], row x, row y)
{
	s[0] += s[1] + x;
	s[3] = rotate(s[3] ^ s[0], 16);
	s[2] += s[3];
	s[1] = rotate(s[1] ^ s[2], 12);
	s[0] += s[1] + y;
	s[3] = rotate(s[3] ^ s[0], 8);
	s[2] += s[3];
	s[1] = rotate(s[1] ^ s[2], 7);
}

static inline row pick(const uint32_t m[16], const uint8_t *at)
{
	return (row){m[at[0]], m[at[2]], m[at[4]], m[at[6]]};
}

static void compress(const struct node *n, uint64_t counter, uint32_t flags, uint32_t out[16])
{
	row s[4], cv[2];

	memcpy(cv, n->cv, sizeof(cv));
	s[0] = cv[0];
	s[1] = cv[1];
	s[2] = (row){iv[0], iv[1], iv[2], iv[3]};
	s[3] = (row){(uint32_t)counter, (uint32_t)(counter >> 32), n->len, flags};
	for (int r = 0; r < 7; r++) {
		const uint8_t *at = schedule[r];

		quarter(s, pick(n->words, at), pick(n->words, at + 1));
		s[1] = (row){s[1][1], s[1][2], s[1][3], s[1][0]};
		s[2] = (row){s[2][2], s[2][3], s[2][0], s[2][1]};
		s[3] = (row){s[3][3], s[3][0], s[3][1], s[3][2]};
		quarter(s, pick(n->words, at + 8), pick(n->words, at + 9));
		s[1] = (row){s[1][3], s[1][0], s[1][1], s[1][2]};
		s[2] = (row){s[2][2], s[2][3], s[2][0], s[2][1]};
		s[3] = (row){s[3][1], s[3][2], s[3][3], s[3][0]};
	}
	s[0] ^= s[2];
	s[1] ^= s[3];
	s[2] ^= cv[0];
	s[3] ^= cv[1];
	memcpy(out, s, sizeof(s));
}

static void chain(const struct node *n, uint32_t cv[8])
{
	uint32_t out[16];

	compress(n, n->counter, n->flags, out);
	memcpy(cv, out, 32);
}

static void load(struct node *n, const uint8_t *in, size_t len)
{
	uint8_t block[BLOCK] = {0};

	memcpy(block, in, len);
	for (int i = 0; i < 16; i++) {
		uint32_t w;

		memcpy(&w, block + 4 * i, 4);
		n->words[i] = le32toh(w);
	}
	n->len = (uint32_t)len;
	cleanse(block, sizeof(block));
}

static void chunk(const uint32_t key[8], const uint8_t *in, size_t len, uint64_t index,
		  uint32_t flags, struct node *n)
{
	memcpy(n->cv, key, sizeof(n->cv));
	n->counter = index;
	n->flags = flags | CHUNK_START;
	for (; len > BLOCK; in += BLOCK, len -= BLOCK) {
		load(n, in, BLOCK);
		chain(n, n->cv);
		n->flags = flags;
	}
	load(n, in, len);
	n->flags |= CHUNK_END;
}

/* The left side is the largest power of two of chunks that leaves something to the right. */
static size_t left_of(size_t len)
{
	size_t n = CHUNK;

	while (n * 2 < len)
		n *= 2;
	return n;
}

static void tree(const uint32_t key[8], const uint8_t *in, size_t len, uint64_t index,
		 uint32_t flags, struct node *n)
{
	struct node side;
	size_t left;

	if (len <= CHUNK) {
		chunk(key, in, len, index, flags, n);
		return;
	}
	left = left_of(len);
	tree(key, in, left, index, flags, &side);
	chain(&side, n->words);
	tree(key, in + left, len - left, index + left / CHUNK, flags, &side);
	chain(&side, n->words + 8);
	memcpy(n->cv, key, sizeof(n->cv));
	n->counter = 0;
	n->len = BLOCK;
	n->flags = flags | PARENT;
}

static void run(const uint32_t key[8], const void *in, size_t len, uint32_t flags, uint8_t *out,
		size_t outlen)
{
	struct node n;
	uint32_t words[16];
	uint64_t counter = 0;

	tree(key, len ? in : (const uint8_t *)"", len, 0, flags, &n);
	while (outlen > 0) {
		size_t part = MIN(outlen, (size_t)BLOCK);

		compress(&n, counter++, n.flags | ROOT, words);
		for (int i = 0; i < 16; i++)
			words[i] = htole32(words[i]);
		memcpy(out, words, part);
		out += part;
		outlen -= part;
	}
	cleanse(&n, sizeof(n));
	cleanse(words, sizeof(words));
}

static void words_of(const uint8_t bytes[BLAKE3_LEN], uint32_t words[8])
{
	memcpy(words, bytes, BLAKE3_LEN);
	for (int i = 0; i < 8; i++)
		words[i] = le32toh(words[i]);
}

void blake3(const void *in, size_t len, uint8_t *out, size_t outlen)
{
	run(iv, in, len, 0, out, outlen);
}

void blake3_keyed(const uint8_t key[BLAKE3_LEN], const void *in, size_t len, uint8_t *out,
		  size_t outlen)
{
	uint32_t words[8];

	words_of(key, words);
	run(words, in, len, KEYED, out, outlen);
	cleanse(words, sizeof(words));
}

void blake3_context_set_bytes(struct blake3_context *c, const void *bytes, size_t len)
{
	uint8_t digest[BLAKE3_LEN];

	run(iv, bytes, len, CONTEXT, digest, sizeof(digest));
	words_of(digest, c->key);
}

void blake3_context_set(struct blake3_context *c, const char *text)
{
	blake3_context_set_bytes(c, text, strlen(text));
}

void blake3_derive(const struct blake3_context *c, const void *material, size_t len, uint8_t *out,
		   size_t outlen)
{
	run(c->key, material, len, MATERIAL, out, outlen);
}
