/* VMess streams, both ends: what is served, what a stranger sees, what a bad network does. */
#include "unit.h"

#include "crypto/random.h"
#include "packets.h"
#include "proto/vmess/vmess_layer.h"
#include "proto/vmess/vmess_seal.h"

#include "far_end.h"
#include "vmess_house.h"
#define GATE_HOUSE struct vmess_house
#include "gate.h"

static struct stream *gate_server(struct gate *g, struct stream *near)
{
	return vmess_proto.server(near, &g->house.people.in);
}

static void gate_open(struct gate *g)
{
	*g = (struct gate){.l = loop_new(LOOP_VIRTUAL, 1)};
	vmess_house_open(&g->house, g->l, "alice bob");
	gate_again(g);
}

static void gate_close(struct gate *g)
{
	gate_take_down(g);
	vmess_house_close(&g->house);
	loop_free(g->l);
}

#define FOR_EACH_WAY(way)                                                                        \
	for (const struct vmess_way *way = vmess_ways; way < vmess_ways + ARRAY_LEN(vmess_ways); \
	     way++)

/* What a client of `who` sends for `to` with these texts, in chunks of their own. */
static size_t record(struct gate *g, const char *who, struct vmess_way way, const char *to,
		     const char *one, const char *two, uint8_t out[4096])
{
	struct vmess_client_conf conf = vmess_house_client(who, way);
	struct stream *near, *far;
	struct dest dest;
	size_t len;

	assert_int_equal(dest_parse(&dest, to), 0);
	assert_int_equal(pair_new(g->l, 65536, &near, &far), 0);
	near = vmess_client_new(near, &conf, &dest);
	assert_non_null(near);
	assert_int_equal(stream_open(near), 0);
	put_bytes(near, one, strlen(one));
	if (*two)
		put_bytes(near, two, strlen(two));
	len = get_bytes(far, out, 4096, NULL);
	stream_free(near);
	stream_free(far);
	return len;
}

/* ---- served ------------------------------------------------------------------------------ */

static void a_request_tells_user_and_destination_and_carries_its_first_bytes(void **state)
{
	static const char *const to[] = {"192.0.2.1:80", "[2001:db8::1]:443", "a.example:65535"};
	uint8_t wire[4096];
	struct gate g;

	gate_open(&g);
	FOR_EACH_WAY(way)
	{
		for (int i = 0; i < 12; i++) {
			size_t len = record(&g, i % 2 ? "bob" : "alice", *way, to[i % 3], "first",
					    i < 6 ? "second" : "", wire);

			gate_again(&g);
			put_bytes(g.far, wire, len);
			assert_int_equal(stream_open(g.s), 0);
			assert_request(&g, i % 2 ? 2 : 1, to[i % 3]);
			assert_text(g.s, i < 6 ? "firstsecond" : "first");
		}
	}
	gate_close(&g);
}

static void the_answer_and_its_head_are_one_write(void **state)
{
	uint8_t wire[4096], got[65536];
	struct gate g;

	gate_open(&g);
	FOR_EACH_WAY(way)
	{
		size_t len = record(&g, "alice", *way, "a.example:1", "x", "", wire);

		gate_again(&g);
		put_bytes(g.far, wire, len);
		assert_int_equal(stream_open(g.s), 0);
		assert_int_equal(get_bytes(g.far, got, sizeof(got), NULL), 0);
		put_bytes(g.s, "answer", 6);
		assert_true(get_bytes(g.far, got, sizeof(got), NULL) >= VMESS_SEALED_ANSWER + 6);
		/* and what was needed until then is gone */
		assert_null(sealed_of(g.s)->head);
	}
	gate_close(&g);
}

struct troupe {
	struct duo duo;
	struct vmess_house house;
};

static struct vmess_way duo_way;

static void duo_start(struct loop *l, void *state)
{
	struct vmess_client_conf conf = vmess_house_client("alice", duo_way);
	struct troupe *t = state;
	struct stream *x, *y;
	struct dest dest;

	vmess_house_open(&t->house, l, "alice bob");
	assert_int_equal(dest_parse(&dest, "target.example:443"), 0);
	duo_pair(l, &t->duo, &x, &y);
	duo_talk(&t->duo, vmess_client_new(x, &conf, &dest),
		 vmess_proto.server(y, &t->house.people.in));
}

static void duo_stop(void *state)
{
	struct troupe *t = state;

	talkers_stop(&t->duo);
	vmess_house_close(&t->house);
}

static const struct scenario duo_scene = {duo_start, talkers_done, duo_stop, duo_check,
					  sizeof(struct troupe)};

static void every_byte_arrives_over_the_worst_of_networks_killed_at_each_turn(void **state)
{
	duo_dribbles = true;
	duo_up = 400;
	duo_down = 500;
	FOR_EACH_WAY(way)
	{
		duo_way = *way;
		kill_at_each_turn(&duo_scene, (uint64_t)(way - vmess_ways) + 1);
	}
}

static void bulk_arrives_whole_both_ways(void **state)
{
	FOR_EACH_WAY(way)
	{
		struct troupe t = {0};

		duo_way = *way;
		duo_bulk(&duo_scene, &t);
	}
}

/* sing-box ends with the stream below; Xray says so in a chunk first. */
static void an_end_between_chunks_is_orderly_and_inside_one_it_is_a_cut(void **state)
{
	uint8_t wire[4096];
	struct gate g;

	gate_open(&g);
	FOR_EACH_WAY(way)
	{
		size_t len = record(&g, "alice", *way, "a.example:1", "hello", "", wire);

		if (way->cipher != VMESS_NONE || way->option) /* else there are no chunks */
			assert_ends(&g, wire, len, "m");
	}
	gate_close(&g);
}

/* ---- packets ----------------------------------------------------------------------------- */

static void send_packet(struct dgram *d, const char *text, const char *dest)
{
	struct packet p = {.buf = buf_new(loop_pool(d->loop))};

	memcpy(buf_head(p.buf), text, strlen(text));
	p.buf->end += (uint32_t)strlen(text);
	assert_int_equal(dest_parse(&p.dest, dest), 0);
	assert_int_equal(dgram_send(d, &p, 1), 1);
}

static void assert_packet(struct dgram *d, const char *text, const char *dest)
{
	char from[DEST_TEXT_MAX];
	struct packet p;

	assert_int_equal(dgram_recv(d, &p, 1), 1);
	assert_int_equal(buf_len(p.buf), strlen(text));
	assert_memory_equal(buf_head(p.buf), text, strlen(text));
	assert_string_equal(dest_format(&p.dest, from), dest);
	buf_free(p.buf);
}

/* Those of one read are not put together. */
static void packets_stay_packets_there_and_back(void **state)
{
	struct gate g;

	gate_open(&g);
	FOR_EACH_WAY(way)
	{
		for (int plain = 0; plain < 2; plain++) {
			struct vmess_client_conf conf = vmess_house_client("bob", *way);
			struct dgram *client, *server;
			const struct stream_request *r;
			struct far_end far;
			struct dest to;

			assert_int_equal(dest_parse(&to, "192.0.2.1:53"), 0);
			gate_again(&g);
			client = vmess_client_udp(g.far, &conf, &to, plain);
			g.far = NULL;
			send_packet(client, "one", "192.0.2.1:53");
			send_packet(client, "and two", "192.0.2.1:53");
			assert_int_equal(stream_open(g.s), 0);
			r = request_of(&g);
			assert_int_equal(r->mux != NULL, !plain);
			assert_int_equal(user_id(r->user), 2);
			assert_int_equal(r->dest.type, plain ? DEST_IP4 : DEST_NONE);
			far_end_start(&far, g.s);
			g.s = NULL;
			settle_now(g.l);
			server = far.d;
			assert_packet(server, "one", "192.0.2.1:53");
			assert_packet(server, "and two", "192.0.2.1:53");
			send_packet(server, "answer", "192.0.2.1:53");
			/* what has no place in a chunk is dropped */
			send_packet(server, "other", plain ? "192.0.2.9:53" : "192.0.2.1:53");
			send_packet(server, "last", "192.0.2.1:53");
			settle_now(g.l);
			assert_packet(client, "answer", "192.0.2.1:53");
			if (!plain)
				assert_packet(client, "other", "192.0.2.1:53");
			assert_packet(client, "last", "192.0.2.1:53");
			dgram_free(client);
			dgram_free(server);
			mux_free(far.mux);
		}
	}
	gate_close(&g);
}

/* ---- strangers --------------------------------------------------------------------------- */

static size_t head_of(struct gate *g, const uint8_t *wire)
{
	uint8_t key[VMESS_KEY_LEN];
	size_t len;

	assert_int_equal(vmess_proto.user_key("alice", 5, key), 0);
	assert_int_equal(vmess_head_open(key, wire, &len), 0);
	return VMESS_HEAD + len + AEAD_TAG;
}

static void nothing_is_lost_when_memory_runs_out(void **state)
{
	static const char text[] = "the first chunkand the second";
	uint8_t wire[4096];
	struct gate g;

	gate_open(&g);
	FOR_EACH_WAY(way)
	{
		for (int at_once = 0; at_once < 2; at_once++) {
			size_t len = record(&g, "alice", *way, "a.example:1", "the first chunk",
					    "and the second", wire);
			size_t n = at_once ? len : head_of(&g, wire);
			struct bufq q;

			assert_int_equal(knock(&g, wire, n), 0);
			put_bytes(g.far, wire + n, len - n);
			assert_comes_when_memory_is_scarce(g.s, text, sizeof(text) - 1);
			bufq_init(&q, loop_pool(g.l), SIZE_MAX);
			assert_int_equal(stream_pull(g.s, &q, 100), -EAGAIN);
		}
	}
	gate_close(&g);
}

/* Without a cipher a chunk may be longer than what memory is handed out in. */
static void a_chunk_without_cipher_comes_whole_or_not_at_all(void **state)
{
	const size_t len = BUF_PAYLOAD + 1000;
	struct buf_pool pool;
	struct vmess_dir d = {.next = (uint16_t)len, .met = true};
	struct bufq in, out;
	uint8_t *text = calloc(1, len), *got = calloc(1, len);

	buf_pool_init(&pool, 0, 0);
	bufq_init(&in, &pool, SIZE_MAX);
	bufq_init(&out, &pool, SIZE_MAX);
	random_bytes(text, len);
	assert_int_equal(bufq_append(&in, text, len), 0);
	pool.max = pool.nused + 1;
	assert_int_equal(vmess_chunk_open(&d, &in, &out), -ENOMEM);
	assert_int_equal(bufq_len(&out), 0);
	pool.max = 0;
	assert_int_equal(vmess_chunk_open(&d, &in, &out), len);
	assert_int_equal(bufq_take(&out, got, len), len);
	assert_memory_equal(got, text, len);
	bufq_done(&in);
	buf_pool_done(&pool);
	free(text);
	free(got);
}

/* A direction of this way that ends, or seems to, as often as told, before and behind a word. */
static size_t talk(struct vmess_way way, bool may_wait, int before, int behind, ssize_t *last)
{
	const struct vmess_request req = {.cipher = way.cipher, .option = way.option};
	static const uint8_t key[VMESS_KEY_LEN] = {1}, iv[VMESS_KEY_LEN] = {2};
	struct vmess_dir from = {0}, to = {0};
	struct buf_pool pool;
	struct bufq wire, src, got;
	size_t n;

	buf_pool_init(&pool, 0, 0);
	bufq_init(&wire, &pool, SIZE_MAX);
	bufq_init(&src, &pool, SIZE_MAX);
	bufq_init(&got, &pool, SIZE_MAX);
	assert_int_equal(vmess_dir_set(&from, &req, key, iv), 0);
	assert_int_equal(vmess_dir_set(&to, &req, key, iv), 0);
	to.may_wait = may_wait;
	while (before-- > 0)
		assert_int_equal(vmess_seal_end(&from, &wire), 0);
	assert_int_equal(bufq_append(&src, "word", 4), 0);
	assert_int_equal(vmess_seal(&from, &src, 4, &wire), 4);
	while (behind-- > 0)
		assert_int_equal(vmess_seal_end(&from, &wire), 0);
	do {
		*last = vmess_chunk_open(&to, &wire, &got);
	} while (*last > 0);
	n = bufq_len(&got);
	bufq_done(&wire);
	bufq_done(&src);
	bufq_done(&got);
	vmess_dir_clear(&from);
	vmess_dir_clear(&to);
	buf_pool_done(&pool);
	return n;
}

/* Xray's client says so when its application is silent for 100 ms. */
static void an_empty_chunk_is_no_end_of_a_request_while_it_is_the_first(void **state)
{
	ssize_t last;

	FOR_EACH_WAY(way)
	{
		if (way->cipher == VMESS_NONE && !way->option)
			continue; /* no chunks */
		assert_int_equal(talk(*way, true, 1, 0, &last), 4);
		assert_int_equal(last, -ERR_MORE);
		assert_int_equal(talk(*way, true, 1, 1, &last), 4);
		assert_int_equal(last, 0);
		assert_int_equal(talk(*way, true, 0, 1, &last), 4);
		assert_int_equal(last, 0);
		assert_int_equal(talk(*way, true, 2, 0, &last), 0);
		assert_int_equal(last, 0);
		assert_int_equal(talk(*way, false, 1, 0, &last), 0);
		assert_int_equal(last, 0);
	}
}

static void every_prefix_of_a_request_waits_for_the_rest(void **state)
{
	uint8_t wire[4096];
	struct gate g;

	gate_open(&g);
	FOR_EACH_WAY(way)
	{
		size_t len = record(&g, "alice", *way, "a.example:1", "hello", "", wire);
		size_t head = head_of(&g, wire);

		for (size_t n = 0; n < len; n++)
			assert_int_equal(knock(&g, wire, n), n < head ? -EAGAIN : 0);
		assert_int_equal(knock(&g, wire, len), 0);
	}
	gate_close(&g);
}

/* A flipped bit either makes it nobody's, or leaves it waiting for bytes that will not come: the
 * session's deadline is the same for both.  Only a padding is nobody's business, and a body that has no
 * cipher. */
static void one_wrong_bit_anywhere_and_nobody_is_there(void **state)
{
	const struct vmess_way ways[] = {{VMESS_AES_128_GCM, VMESS_CHUNKS | VMESS_SEALED_LENGTH},
					 {VMESS_CHACHA20_POLY1305, VMESS_CHUNKS | VMESS_MASK}};
	uint8_t wire[4096];
	struct gate g;

	gate_open(&g);
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		size_t len = record(&g, "alice", ways[i], "a.example:1", "hello", "again", wire);
		size_t head = head_of(&g, wire);

		for (size_t bit = 0; bit < len * 8; bit++) {
			int err;

			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
			err = knock(&g, wire, len);
			if (bit / 8 < head || ways[i].option & VMESS_SEALED_LENGTH)
				assert_int_equal(err, -ERR_AUTH);
			else /* a length may now ask for more */
				assert_true(err == -ERR_AUTH || err == 0);
			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_int_equal(knock(&g, wire, len), 0);
	}
	gate_close(&g);
}

static void a_recording_played_back_is_a_strangers(void **state)
{
	uint8_t wire[4096];
	struct gate g;
	size_t len;

	gate_open(&g);
	g.house.port.replay = g.house.replay;
	len = record(&g, "alice", vmess_ways[0], "a.example:1", "hello", "", wire);
	/* a wrong one first: who has not shown the key uses nothing up */
	wire[60] ^= 1;
	assert_int_equal(knock(&g, wire, len), -ERR_AUTH);
	wire[60] ^= 1;
	assert_int_equal(knock(&g, wire, len), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(knock(&g, wire, len), -ERR_AUTH);
	gate_close(&g);
}

static void a_stranger_of_any_length_is_nobody_and_gets_no_word(void **state)
{
	uint8_t wire[2000];
	struct gate g;

	gate_open(&g);
	for (size_t n = 1; n <= sizeof(wire); n += 1 + n / 40) {
		random_bytes(wire, n);
		assert_int_equal(knock(&g, wire, n), n < VMESS_ID_LEN ? -EAGAIN : -ERR_AUTH);
		stream_shut(g.far);
		assert_int_equal(stream_open(g.s), -ERR_AUTH);
	}
	gate_close(&g);
}

/* Whatever was found out about them before. */
static void what_a_stranger_sent_comes_back_whole_for_a_fallback(void **state)
{
	uint8_t wire[4096], got[65536];
	struct stream *lower;
	struct bufq first;
	struct gate g;

	gate_open(&g);
	g.house.people.in.first_pull_decides = true;
	bufq_init(&first, loop_pool(g.l), 64);
	for (int i = 0; i < 4; i++) {
		size_t len =
			record(&g, "alice", vmess_ways[1], "a.example:1", "hello", "again", wire);
		const size_t wrong[] = {3, 50, 100, len - 1};

		wire[wrong[i]] ^= 1;
		if (i == 3) /* its padding is nobody's: the text before it */
			wire[head_of(&g, wire) + 19] ^= 1;
		assert_int_equal(knock(&g, wire, len), -ERR_AUTH);
		lower = stream_peel(g.s, &first);
		assert_non_null(lower);
		g.s = lower;
		assert_int_equal(get_bytes(g.s, got, sizeof(got), NULL), len);
		assert_memory_equal(got, wire, len);
		assert_true(bufq_empty(&first));
	}
	assert_int_equal(knock(&g, (const uint8_t *)"GET / HTTP", 10), -ERR_AUTH);
	gate_close(&g);
}

/* At the deadline, of who is silent or has stopped halfway. */
static void what_is_no_request_yet_comes_back_whole_for_a_fallback(void **state)
{
	uint8_t wire[4096], got[65536];
	struct stream *lower;
	struct bufq first;
	struct gate g;
	size_t head;

	gate_open(&g);
	g.house.people.in.first_pull_decides = true;
	bufq_init(&first, loop_pool(g.l), 64);
	record(&g, "alice", vmess_ways[1], "a.example:1", "hello", "", wire);
	head = head_of(&g, wire);
	for (size_t n = 0; n < head; n += n < VMESS_ID_LEN ? VMESS_ID_LEN : 1) {
		assert_int_equal(knock(&g, wire, n), -EAGAIN);
		lower = stream_peel(g.s, &first);
		assert_non_null(lower);
		g.s = lower;
		assert_int_equal(get_bytes(g.s, got, sizeof(got), NULL), n);
		assert_memory_equal(got, wire, n);
		assert_true(bufq_empty(&first));
	}
	/* who has been let in stays */
	assert_int_equal(knock(&g, wire, head), 0);
	assert_null(stream_peel(g.s, &first));
	gate_close(&g);
}

/* He was there when his auth id came, and is not when the rest does. */
static void who_is_removed_while_he_asks_is_nobody(void **state)
{
	uint8_t wire[4096], got[65536];
	struct stream *lower;
	struct bufq first;
	struct gate g;
	size_t len;

	gate_open(&g);
	g.house.people.in.first_pull_decides = true;
	bufq_init(&first, loop_pool(g.l), 64);
	len = record(&g, "bob", vmess_ways[0], "a.example:1", "hello", "", wire);
	assert_int_equal(knock(&g, wire, 100), -EAGAIN);
	people_set(&g.house.people, "alice");
	assert_int_equal(user_registry_reap(g.house.people.reg, NULL, NULL), 0);
	put_bytes(g.far, wire + 100, len - 100);
	assert_int_equal(stream_open(g.s), -ERR_AUTH);
	/* and a fallback gets what he sent */
	lower = stream_peel(g.s, &first);
	assert_non_null(lower);
	g.s = lower;
	assert_int_equal(get_bytes(g.s, got, sizeof(got), NULL), len);
	assert_memory_equal(got, wire, len);
	gate_close(&g);
}

/* ---- clients ----------------------------------------------------------------------------- */

static void an_answer_to_somebody_else_is_none(void **state)
{
	struct vmess_client_conf conf = vmess_house_client("alice", vmess_ways[0]);
	uint8_t wire[VMESS_SEALED_ANSWER + 100];
	struct stream *near, *far;
	struct bufq q;
	struct dest dest;
	struct gate g;

	gate_open(&g);
	assert_int_equal(dest_parse(&dest, "a.example:1"), 0);
	assert_int_equal(pair_new(g.l, 65536, &near, &far), 0);
	near = vmess_client_new(near, &conf, &dest);
	assert_int_equal(stream_open(near), 0);
	put_bytes(near, "x", 1);
	random_bytes(wire, sizeof(wire));
	put_bytes(far, wire, sizeof(wire));
	bufq_init(&q, loop_pool(g.l), SIZE_MAX);
	assert_int_equal(stream_pull(near, &q, 100), -ERR_AUTH);
	assert_int_equal(stream_pull(near, &q, 100), -ERR_AUTH);
	stream_free(near);
	stream_free(far);
	gate_close(&g);
}

static void ciphers_have_the_names_of_links(void **state)
{
	struct vmess_client_conf c;

	assert_int_equal(vmess_client_conf_set(&c, "alice", "zero"), 0);
	assert_int_equal(c.cipher, VMESS_NONE);
	assert_int_equal(c.option, 0);
	assert_int_equal(vmess_client_conf_set(&c, "alice", "chacha20-poly1305"), 0);
	assert_int_equal(c.cipher, VMESS_CHACHA20_POLY1305);
	assert_int_equal(vmess_client_conf_set(&c, "alice", ""), 0);
	assert_true(c.option & VMESS_MASK);
	assert_int_equal(vmess_client_conf_set(&c, "alice", "aes-128-cfb"), -ERR_UNSUPPORTED);
	assert_int_equal(vmess_client_conf_set(&c, "", "auto"), -ERR_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_tells_user_and_destination_and_carries_its_first_bytes),
		cmocka_unit_test(the_answer_and_its_head_are_one_write),
		cmocka_unit_test(every_byte_arrives_over_the_worst_of_networks_killed_at_each_turn),
		cmocka_unit_test(bulk_arrives_whole_both_ways),
		cmocka_unit_test(an_end_between_chunks_is_orderly_and_inside_one_it_is_a_cut),
		cmocka_unit_test(nothing_is_lost_when_memory_runs_out),
		cmocka_unit_test(a_chunk_without_cipher_comes_whole_or_not_at_all),
		cmocka_unit_test(an_empty_chunk_is_no_end_of_a_request_while_it_is_the_first),
		cmocka_unit_test(packets_stay_packets_there_and_back),
		cmocka_unit_test(every_prefix_of_a_request_waits_for_the_rest),
		cmocka_unit_test(one_wrong_bit_anywhere_and_nobody_is_there),
		cmocka_unit_test(a_recording_played_back_is_a_strangers),
		cmocka_unit_test(a_stranger_of_any_length_is_nobody_and_gets_no_word),
		cmocka_unit_test(what_a_stranger_sent_comes_back_whole_for_a_fallback),
		cmocka_unit_test(what_is_no_request_yet_comes_back_whole_for_a_fallback),
		cmocka_unit_test(who_is_removed_while_he_asks_is_nobody),
		cmocka_unit_test(an_answer_to_somebody_else_is_none),
		cmocka_unit_test(ciphers_have_the_names_of_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
