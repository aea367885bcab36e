#include <assert.h>
#include <errno.h>

#include "crypto/aead.h"

#define PIECES 16 /* more than this are laid side by side first */

int aead_open_bufq(const struct aead_key *k, const uint8_t *nonce, const void *aad, size_t aadlen,
		   const struct bufq *in, size_t len, struct bufq *out)
{
	struct buf *b = bufq_tail_room(out, MIN(len, (size_t)BUF_PAYLOAD));
	uint8_t tag[AEAD_TAG], *to;
	struct iovec iov[PIECES];
	size_t have = 0;
	int n, err;

	if (!b)
		return -ENOMEM;
	/* A little more than a chunk's payload fits into one that is empty. */
	assert(b->end + len <= BUF_SIZE);
	to = b->data + b->end;
	n = bufq_iov(in, iov, PIECES, len);
	for (int i = 0; i < n; i++)
		have += iov[i].iov_len;
	if (have < len) {
		/* Dribbled: lay it side by side where the plaintext will be. */
		bufq_peek(in, 0, to, len);
		iov[0] = (struct iovec){to, len};
		n = 1;
	}
	bufq_peek(in, len, tag, sizeof(tag));
	err = aead_open_iov(k, nonce, aad, aadlen, iov, n, tag, to);
	bufq_commit(out, err ? 0 : len);
	return err;
}
