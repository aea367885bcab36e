#include "unit.h"

#include "base/wr.h"
#include "tls/hello.h"

/* A ClientHello as a browser sends it, from the parts that matter. */
struct parts {
	const char *sni;
	const char *alpn[4];
	uint16_t groups[4], versions[4];
	size_t pad; /* an unknown extension of this size */
	bool no_extensions, twice_sni;
};

static void put_u16s(struct wr *w, uint16_t type, const uint16_t *v, bool short_len)
{
	size_t n = 0;

	while (n < 4 && v[n])
		n++;
	if (n == 0)
		return;
	wr_be16(w, type);
	wr_be16(w, (uint16_t)(2 * n + (short_len ? 1 : 2)));
	if (short_len)
		wr_u8(w, (uint8_t)(2 * n));
	else
		wr_be16(w, (uint16_t)(2 * n));
	for (size_t i = 0; i < n; i++)
		wr_be16(w, v[i]);
}

static void put_sni(struct wr *w, const char *name)
{
	size_t n = strlen(name);

	wr_be16(w, 0);
	wr_be16(w, (uint16_t)(n + 5));
	wr_be16(w, (uint16_t)(n + 3));
	wr_u8(w, 0);
	wr_be16(w, (uint16_t)n);
	wr_str(w, name);
}

static void put_alpn(struct wr *w, const char *const *names)
{
	size_t total = 0;

	for (int i = 0; i < 4 && names[i]; i++)
		total += 1 + strlen(names[i]);
	if (total == 0)
		return;
	wr_be16(w, 16);
	wr_be16(w, (uint16_t)(total + 2));
	wr_be16(w, (uint16_t)total);
	for (int i = 0; i < 4 && names[i]; i++) {
		wr_u8(w, (uint8_t)strlen(names[i]));
		wr_str(w, names[i]);
	}
}

static void put_shares(struct wr *w)
{
	wr_be16(w, 51);
	wr_be16(w, 2 + 4 + 1 + 4 + 32);
	wr_be16(w, 4 + 1 + 4 + 32);
	wr_be16(w, 0x2a2a);
	wr_be16(w, 1);
	wr_u8(w, 0);
	wr_be16(w, 29);
	wr_be16(w, 32);
	for (int i = 0; i < 32; i++)
		wr_u8(w, (uint8_t)(0x40 + i));
}

static size_t make_message(const struct parts *p, uint8_t *out, size_t cap)
{
	struct wr w = wr_of(out, cap);
	size_t at, n;

	wr_u8(&w, 1);
	wr_be24(&w, 0);
	wr_be16(&w, 0x0303);
	for (int i = 0; i < 32; i++)
		wr_u8(&w, (uint8_t)i);
	wr_u8(&w, 32);
	for (int i = 0; i < 32; i++)
		wr_u8(&w, (uint8_t)(0x80 + i));
	wr_be16(&w, 4);
	wr_be16(&w, 0x1301);
	wr_be16(&w, 0xc02f);
	wr_u8(&w, 1);
	wr_u8(&w, 0);
	at = w.len;
	if (!p->no_extensions) {
		wr_be16(&w, 0);
		if (p->sni)
			put_sni(&w, p->sni);
		if (p->twice_sni)
			put_sni(&w, p->sni);
		put_alpn(&w, p->alpn);
		put_u16s(&w, 10, p->groups, false);
		put_u16s(&w, 43, p->versions, true);
		put_shares(&w);
		wr_be16(&w, 0x5a5a);
		wr_be16(&w, (uint16_t)p->pad);
		memset(wr_room(&w, p->pad), 0, p->pad);
		n = w.len - at - 2;
		out[at] = (uint8_t)(n >> 8);
		out[at + 1] = (uint8_t)n;
	}
	assert_int_equal(w.err, 0);
	n = w.len - 4;
	out[2] = (uint8_t)(n >> 8);
	out[3] = (uint8_t)n;
	return w.len;
}

static const struct parts usual = {
	.sni = "www.Example.com",
	.alpn = {"h2", "http/1.1"},
	.groups = {0x2a2a, 29, 23},
	.versions = {0x0304, 0x0303},
	.pad = 40,
};

/* Records of at most `piece` bytes around a message. */
static size_t make_records(const uint8_t *msg, size_t len, size_t piece, uint8_t *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i += piece) {
		size_t part = MIN(piece, len - i);

		out[n++] = 22;
		out[n++] = 3;
		out[n++] = 1;
		out[n++] = (uint8_t)(part >> 8);
		out[n++] = (uint8_t)part;
		memcpy(out + n, msg + i, part);
		n += part;
	}
	return n;
}

static void check_usual(const struct tls_hello *h)
{
	struct tls_bytes list = h->alpn, name;

	assert_int_equal(h->version, 0x0303);
	assert_int_equal(h->random[31], 31);
	assert_int_equal(h->session_id.len, 32);
	assert_int_equal(h->session_id.p[0], 0x80);
	assert_int_equal(h->sni.len, 15);
	assert_memory_equal(h->sni.p, "www.Example.com", 15);
	assert_true(tls_hello_next_alpn(&list, &name));
	assert_memory_equal(name.p, "h2", 2);
	assert_true(tls_hello_next_alpn(&list, &name));
	assert_memory_equal(name.p, "http/1.1", 8);
	assert_false(tls_hello_next_alpn(&list, &name));
	assert_true(tls_hello_is_13(h));
	assert_true(tls_hello_lists(h->groups, 29));
	assert_false(tls_hello_lists(h->groups, 24));
	assert_true(tls_hello_lists(h->ciphers, 0xc02f));
	assert_int_equal(tls_hello_share(h, 29).len, 32);
	assert_int_equal(tls_hello_share(h, 29).p[0], 0x40);
	assert_null(tls_hello_share(h, 23).p);
	assert_int_equal(tls_hello_extension(h, 0x5a5a).len, 40);
	assert_null(tls_hello_extension(h, 35).p);
	assert_false(h->psk || h->early_data || h->ech);
}

static void a_message_gives_its_parts(void **state)
{
	uint8_t msg[1000];
	size_t len = make_message(&usual, msg, sizeof(msg));
	struct tls_hello h;
	struct rd r;

	msg[len] = 0xff; /* what follows is not ours */
	r = rd_of(msg, len + 1);
	assert_int_equal(tls_hello_parse(&r, &h), 0);
	assert_int_equal(r.pos, len);
	assert_int_equal(h.raw.len, len);
	check_usual(&h);
}

static void a_hello_without_extensions_is_fine(void **state)
{
	struct parts p = {.no_extensions = true};
	uint8_t msg[200];
	size_t len = make_message(&p, msg, sizeof(msg));
	struct tls_hello h;
	struct rd r = rd_of(msg, len);

	assert_int_equal(tls_hello_parse(&r, &h), 0);
	assert_null(h.sni.p);
	assert_false(tls_hello_is_13(&h));
}

static void records_of_any_size_give_the_same(void **state)
{
	static uint8_t msg[1000], wire[8000], buf[TLS_HELLO_MAX];
	size_t len = make_message(&usual, msg, sizeof(msg));
	static const size_t pieces[] = {1, 3, 5, 100, 1000};

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		size_t n = make_records(msg, len, pieces[i], wire);
		struct tls_hello h;
		struct rd r = rd_of(wire, n + 7);

		assert_int_equal(tls_hello_read(&r, buf, &h), 0);
		assert_int_equal(r.pos, n);
		check_usual(&h);
	}
}

static void every_prefix_asks_for_more(void **state)
{
	static uint8_t msg[1000], wire[8000], buf[TLS_HELLO_MAX];
	size_t len = make_message(&usual, msg, sizeof(msg));
	struct tls_hello h;
	struct rd r;

	for (size_t i = 0; i < len; i++) {
		r = rd_of(msg, i);
		assert_int_equal(tls_hello_parse(&r, &h), -ERR_MORE);
		assert_int_equal(r.pos, 0);
	}
	for (size_t piece = 7; piece < 2000; piece *= 11) {
		size_t n = make_records(msg, len, piece, wire);

		for (size_t i = 0; i < n; i++) {
			r = rd_of(wire, i);
			assert_int_equal(tls_hello_read(&r, buf, &h), -ERR_MORE);
			assert_int_equal(r.pos, 0);
		}
	}
}

static void what_is_not_a_hello_is_malformed_at_once(void **state)
{
	static uint8_t buf[TLS_HELLO_MAX];
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{"G", 1},		       /* GET */
		{"\x17\x03", 2},	       /* application data */
		{"\x16\x02", 2},	       /* version 2 */
		{"\x16\x03\x05", 3},	       /* version of the future */
		{"\x16\x03\x01\0\0", 5},       /* empty record */
		{"\x16\x03\x01\x40\x01", 5},   /* too long */
		{"\x16\x03\x01\0\x20\x02", 6}, /* a ServerHello */
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct rd r = rd_of(bad[i].bytes, bad[i].len);
		struct tls_hello h;

		assert_int_equal(tls_hello_read(&r, buf, &h), -ERR_MALFORMED);
	}
}

static void a_hello_that_claims_to_be_huge_is_too_big(void **state)
{
	static uint8_t buf[TLS_HELLO_MAX];
	struct rd r = rd_of("\x16\x03\x01\x3f\xff\x01\x01\0\0", 9);
	struct tls_hello h;

	assert_int_equal(tls_hello_read(&r, buf, &h), -ERR_TOO_BIG);
}

/* Lengths that do not fit into each other are lies, not reasons to wait. */
static void wrong_inner_lengths_are_malformed(void **state)
{
	uint8_t msg[1000];
	size_t len = make_message(&usual, msg, sizeof(msg));
	/* session id, ciphers, compression, all extensions; SNI's extension, list, type, name */
	static const size_t at[] = {38, 72, 77, 80, 84, 86, 87, 89};
	struct tls_hello h;
	struct rd r;

	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		for (int d = -1; d <= 1; d += 2) {
			msg[at[i]] = (uint8_t)(msg[at[i]] + d);
			r = rd_of(msg, len);
			assert_int_equal(tls_hello_parse(&r, &h), -ERR_MALFORMED);
			msg[at[i]] = (uint8_t)(msg[at[i]] - d);
		}
	}
}

static void an_extension_that_comes_twice_is_malformed(void **state)
{
	struct parts p = usual;
	uint8_t msg[1000];
	struct tls_hello h;
	struct rd r;

	p.twice_sni = true;
	r = rd_of(msg, make_message(&p, msg, sizeof(msg)));
	assert_int_equal(tls_hello_parse(&r, &h), -ERR_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_gives_its_parts),
		cmocka_unit_test(a_hello_without_extensions_is_fine),
		cmocka_unit_test(records_of_any_size_give_the_same),
		cmocka_unit_test(every_prefix_asks_for_more),
		cmocka_unit_test(what_is_not_a_hello_is_malformed_at_once),
		cmocka_unit_test(a_hello_that_claims_to_be_huge_is_too_big),
		cmocka_unit_test(wrong_inner_lengths_are_malformed),
		cmocka_unit_test(an_extension_that_comes_twice_is_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
