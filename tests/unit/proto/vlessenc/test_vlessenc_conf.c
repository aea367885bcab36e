/* The configuration strings of VLESS Encryption, and the memory of tickets. */
#include "unit.h"

#include "crypto/random.h"
#include "proto/vlessenc/vlessenc_conf.h"
#include "proto/vlessenc/vlessenc_tickets.h"

#define HEAD "mlkem768x25519plus."
#define KEY  "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"

static struct vlessenc_conf *server_of(const char *text)
{
	struct vlessenc_conf *c = NULL;
	const char *why;

	if (vlessenc_server_conf_new(text, NULL, &c, &why))
		fail_msg("%s: %s", text, why);
	return c;
}

static void every_part_of_a_server_s_string_is_taken(void **state)
{
	struct vlessenc_conf *c = server_of(HEAD "xorpub.600-300s.100-111-1111.75-111-0." KEY);

	assert_int_equal(c->mode, VLESSENC_XORPUB);
	assert_true(c->zero_rtt);
	assert_int_equal(c->life_from, 300);
	assert_int_equal(c->life_to, 600);
	assert_int_equal(c->padding.n, 2);
	assert_int_equal(c->padding.v[1].from, 0);
	assert_int_equal(c->padding.v[1].to, 111);
	assert_int_equal(c->relays, 32);
	vlessenc_conf_free(c);
	c = server_of(HEAD "native.0s." KEY "." KEY);
	assert_false(c->zero_rtt);
	assert_int_equal(c->padding.n, 3); /* the usual ones */
	assert_int_equal(c->nkeys, 2);
	assert_int_equal(c->relays, 96);
	vlessenc_conf_free(c);
}

static void what_is_wrong_is_said(void **state)
{
	static const char *const bad[] = {
		"",
		"none",
		"mlkem768x25519plus",
		HEAD "native",
		HEAD "native.600s",
		HEAD "native.600s.",
		HEAD "nativ.600s." KEY,
		HEAD "native.s." KEY,
		HEAD "native.-1s." KEY,
		HEAD "native.600x." KEY,
		HEAD "native.65536." KEY,
		HEAD "native.0rtt." KEY,
		HEAD "native.600s." KEY "AA",
		HEAD "native.600s." KEY ".100-35-36",
		HEAD "native.600s.99-35-36." KEY,
		HEAD "native.600s.100-34-36." KEY,
		HEAD "native.600s.100-36-34." KEY,
		HEAD "native.600s.100-35." KEY,
		HEAD "native.600s.100-35-." KEY,
		HEAD "native.600s.100-35-36-37." KEY,
		HEAD "native.600s.100-35-65554." KEY,
		HEAD "native.600s.100-35-65553.1-1-1.1-0-1." KEY,
		HEAD "native.600s.999999999-35-36." KEY,
		HEAD "native.600s." KEY "." KEY "." KEY "." KEY "." KEY "." KEY "." KEY "." KEY
		     "." KEY,
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct vlessenc_conf *c = NULL;
		const char *why = NULL;

		if (vlessenc_server_conf_new(bad[i], NULL, &c, &why) != -ERR_CONFIG)
			fail_msg("taken: %s", bad[i]);
		assert_non_null(why);
		assert_null(c);
	}
}

static void the_clients_half_has_the_public_key_and_not_the_private_one(void **state)
{
	struct vlessenc_conf *c;
	const char *text, *why;
	struct arena mem;

	arena_init(&mem, 0);
	assert_int_equal(vlessenc_client_text(HEAD "random.600s.100-50-60." KEY, &mem, &text, &why),
			 0);
	assert_null(strstr(text, KEY));
	assert_memory_equal(text, HEAD "random.0rtt.", strlen(HEAD "random.0rtt."));
	assert_int_equal(vlessenc_client_conf_new(text, &c, &why), 0);
	assert_true(c->zero_rtt);
	vlessenc_conf_free(c);
	assert_int_equal(vlessenc_client_text(HEAD "random.0s." KEY, &mem, &text, &why), 0);
	assert_memory_equal(text, HEAD "random.1rtt.", strlen(HEAD "random.1rtt."));
	arena_done(&mem);
}

static void draws_stay_within_their_bounds_and_reach_them(void **state)
{
	struct vlessenc_conf *c =
		server_of(HEAD "native.10-12s.100-35-38.50-0-3.0-9-10.100-5-5." KEY);
	uint32_t len[VLESSENC_PADS], gap[VLESSENC_PADS], total, seen = 0, life = 0, some = 0;

	for (int i = 0; i < 2000; i++) {
		assert_int_equal(vlessenc_padding_draw(&c->padding, len, gap, &total), 2);
		assert_in_range(len[0], 35, 37);
		assert_true(len[1] == 0 || len[1] == 9);
		assert_in_range(gap[0], 0, 2);
		assert_int_equal(gap[1], 5);
		assert_int_equal(total, len[0] + len[1]);
		seen |= 1u << (len[0] - 35);
		some += len[1] > 0;
		life |= 1u << (vlessenc_life_draw(c) - 10);
	}
	assert_int_equal(seen, 7);
	assert_int_equal(life, 3);
	assert_in_range(some, 1, 100); /* one of a hundred: as the reference counts */
	vlessenc_conf_free(c);
	c = server_of(HEAD "native.600s." KEY);
	for (int i = 0; i < 200; i++)
		assert_in_range(vlessenc_life_draw(c), 300, 599);
	vlessenc_conf_free(c);
}

/* ---- tickets ----------------------------------------------------------------------------- */

static void name_of(uint32_t n, uint8_t ticket[VLESSENC_TICKET])
{
	memset(ticket, 0, VLESSENC_TICKET);
	memcpy(ticket, &n, sizeof(n));
}

static void a_ticket_serves_each_secret_once_until_it_expires(void **state)
{
	uint8_t ticket[VLESSENC_TICKET], pfs[VLESSENC_PFS] = {5}, got[VLESSENC_PFS], secret[32];
	struct vlessenc_tickets *t;

	assert_int_equal(vlessenc_tickets_new(&t), 0);
	name_of(1, ticket);
	memset(secret, 0, sizeof(secret));
	assert_int_equal(vlessenc_tickets_use(t, ticket, secret, 0, got), -ERR_AUTH);
	assert_int_equal(vlessenc_tickets_add(t, ticket, pfs, 0, 100), 0);
	for (uint32_t i = 0; i < 5000; i++) {
		memcpy(secret, &i, sizeof(i));
		memset(got, 0, sizeof(got));
		assert_int_equal(vlessenc_tickets_use(t, ticket, secret, 99, got), 0);
		assert_memory_equal(got, pfs, sizeof(pfs));
	}
	for (uint32_t i = 0; i < 5000; i += 7) {
		memcpy(secret, &i, sizeof(i));
		assert_int_equal(vlessenc_tickets_use(t, ticket, secret, 99, got), -ERR_REPLAY);
	}
	memset(secret, 0xff, sizeof(secret));
	assert_int_equal(vlessenc_tickets_use(t, ticket, secret, 100, got), -ERR_AUTH);
	vlessenc_tickets_free(t);
}

static void when_there_are_too_many_the_oldest_goes(void **state)
{
	uint8_t ticket[VLESSENC_TICKET], pfs[VLESSENC_PFS] = {0}, secret[32] = {0};
	struct vlessenc_tickets *t;

	assert_int_equal(vlessenc_tickets_new(&t), 0);
	for (uint32_t i = 0; i < VLESSENC_TICKETS_MAX + 10; i++) {
		name_of(i, ticket);
		assert_int_equal(vlessenc_tickets_add(t, ticket, pfs, 0, 100), 0);
	}
	for (uint32_t i = 0; i < 20; i++) {
		name_of(i, ticket);
		assert_int_equal(vlessenc_tickets_use(t, ticket, secret, 0, pfs),
				 i < 10 ? -ERR_AUTH : 0);
	}
	/* what has expired makes room for all */
	name_of(UINT32_MAX, ticket);
	assert_int_equal(vlessenc_tickets_add(t, ticket, pfs, 100, 200), 0);
	name_of(VLESSENC_TICKETS_MAX, ticket);
	assert_int_equal(vlessenc_tickets_use(t, ticket, secret, 99, pfs), -ERR_AUTH);
	vlessenc_tickets_free(t);
}

static void a_client_takes_the_newest_and_drops_what_was_refused(void **state)
{
	uint8_t a[VLESSENC_TICKET], b[VLESSENC_TICKET], got[VLESSENC_TICKET],
		pfs[VLESSENC_PFS] = {0};
	struct vlessenc_tickets *t;

	assert_int_equal(vlessenc_tickets_new(&t), 0);
	name_of(1, a);
	name_of(2, b);
	assert_false(vlessenc_tickets_newest(t, 0, got, pfs));
	assert_int_equal(vlessenc_tickets_add(t, a, pfs, 0, 100), 0);
	assert_int_equal(vlessenc_tickets_add(t, b, pfs, 0, 50), 0);
	assert_true(vlessenc_tickets_newest(t, 49, got, pfs));
	assert_memory_equal(got, b, sizeof(b));
	assert_false(vlessenc_tickets_newest(t, 50, got, pfs));
	vlessenc_tickets_drop(t, b);
	assert_true(vlessenc_tickets_newest(t, 50, got, pfs));
	assert_memory_equal(got, a, sizeof(a));
	vlessenc_tickets_drop(t, a);
	vlessenc_tickets_drop(t, a);
	assert_false(vlessenc_tickets_newest(t, 0, got, pfs));
	vlessenc_tickets_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_part_of_a_server_s_string_is_taken),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(the_clients_half_has_the_public_key_and_not_the_private_one),
		cmocka_unit_test(draws_stay_within_their_bounds_and_reach_them),
		cmocka_unit_test(a_ticket_serves_each_secret_once_until_it_expires),
		cmocka_unit_test(when_there_are_too_many_the_oldest_goes),
		cmocka_unit_test(a_client_takes_the_newest_and_drops_what_was_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
