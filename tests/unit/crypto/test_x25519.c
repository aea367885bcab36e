#include "unit.h"

#include "crypto/x25519.h"
#include "hex.h"

/* RFC 7748 section 6.1. */
static void shared_secret_matches_rfc7748(void **state)
{
	static const char *shared =
		"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
	uint8_t a[32], b[32], apub[32], bpub[32], out[32];

	unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", a);
	unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", b);
	assert_int_equal(x25519_public(a, apub), 0);
	assert_hex(apub, 32, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	assert_int_equal(x25519_public(b, bpub), 0);
	assert_hex(bpub, 32, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
	assert_int_equal(x25519_shared(a, bpub, out), 0);
	assert_hex(out, 32, shared);
	assert_int_equal(x25519_shared(b, apub, out), 0);
	assert_hex(out, 32, shared);
}

static void fresh_pairs_agree_and_come_clamped(void **state)
{
	uint8_t a[32], b[32], apub[32], bpub[32], x[32], y[32];

	assert_int_equal(x25519_keygen(a, apub), 0);
	assert_int_equal(x25519_keygen(b, bpub), 0);
	assert_int_equal(a[0] & 7, 0);
	assert_int_equal(a[31] & 0xc0, 0x40);
	assert_int_equal(x25519_shared(a, bpub, x), 0);
	assert_int_equal(x25519_shared(b, apub, y), 0);
	assert_memory_equal(x, y, 32);
}

static void a_peer_key_of_small_order_is_refused(void **state)
{
	uint8_t a[32], apub[32], zero[32] = {0}, out[32];

	assert_int_equal(x25519_keygen(a, apub), 0);
	assert_int_equal(x25519_shared(a, zero, out), -ERR_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shared_secret_matches_rfc7748),
		cmocka_unit_test(fresh_pairs_agree_and_come_clamped),
		cmocka_unit_test(a_peer_key_of_small_order_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
