#include "tls/tls13_exchange.h"

#include <string.h>

#include "base/err.h"
#include "tls/reality_auth.h"

/* X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem): the lattice's part first, in share and secret. */
static int exchange_hybrid(const struct x25519 *mine, struct tls_bytes theirs, uint8_t *share,
			   uint8_t *secret)
{
	int err = mlkem768_encaps(theirs.p, share, secret);

	if (err)
		return err;
	memcpy(share + MLKEM768_CT, x25519_key_public(mine), X25519_LEN);
	return x25519_key_shared(mine, theirs.p + MLKEM768_PUB, secret + MLKEM768_SECRET);
}

int tls13_exchange(const struct x25519 *mine, uint16_t group, struct tls_bytes theirs,
		   uint8_t share[TLS13_SHARE_MAX], size_t *sharelen,
		   uint8_t secret[TLS13_SECRET_MAX], size_t *secretlen)
{
	if (group == GROUP_X25519MLKEM768 && theirs.len == MLKEM768_PUB + X25519_LEN) {
		*sharelen = TLS13_SHARE_MAX;
		*secretlen = TLS13_SECRET_MAX;
		return exchange_hybrid(mine, theirs, share, secret);
	}
	if (group != GROUP_X25519 || theirs.len != X25519_LEN)
		return -ERR_UNSUPPORTED;
	*sharelen = *secretlen = X25519_LEN;
	memcpy(share, x25519_key_public(mine), X25519_LEN);
	return x25519_key_shared(mine, theirs.p, secret);
}
