/* The server side of header-only protocols: what is served, what a stranger leaves behind. */
#include "unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "proto/header.h"
#include "proto/trojan/trojan.h"
#include "proto/vless/vless.h"
#include "stream/pair.h"
#include "stream/relay.h"
#include "stream/tcp.h"

#include "hostile.h"
#include "people.h"
#include "watcher.h"

static const char *const protocols[] = {"vless", "trojan"};

static struct dest dest_of(const char *text)
{
	struct dest d;

	assert_int_equal(dest_parse(&d, text), 0);
	return d;
}

static bool is_vless(const struct proto *p)
{
	return !strcmp(p->name, "vless");
}

/* A request of `name` for `to`. */
static size_t request(const struct proto *proto, const char *name, uint8_t cmd, const char *to,
		      uint8_t *out)
{
	struct wr w = wr_of(out, 1024);

	if (is_vless(proto)) {
		struct vless_request req = {.cmd = cmd, .dest = dest_of(to)};

		assert_int_equal(vless_id_of_text(name, strlen(name), req.id), 0);
		vless_request_emit(&w, &req);
	} else {
		struct trojan_request req = {.cmd = cmd, .dest = dest_of(to)};

		assert_int_equal(trojan_key_of_password(name, strlen(name), req.key), 0);
		trojan_request_emit(&w, &req);
	}
	assert_int_equal(w.err, 0);
	return w.len;
}

/* A server layer over one end of a pair; the other end is the peer. */
struct gate {
	struct loop *l;
	struct people people;
	struct stream *s, *far;
};

static void gate_again(struct gate *g)
{
	struct stream *near;

	stream_free(g->s);
	stream_free(g->far);
	assert_int_equal(pair_new(g->l, 65536, &near, &g->far), 0);
	g->s = g->people.proto->server(near, &g->people.in);
	assert_non_null(g->s);
}

static void gate_open(struct gate *g, const char *proto)
{
	*g = (struct gate){.l = loop_new(LOOP_VIRTUAL, 1)};
	people_init(&g->people, proto, g->l, "alice bob");
	gate_again(g);
}

static void gate_close(struct gate *g)
{
	stream_free(g->s);
	stream_free(g->far);
	loop_turn(g->l, 0);
	assert_int_equal(loop_pool(g->l)->nused, 0);
	loop_free(g->l);
	people_done(&g->people);
}

#define FOR_EACH_PROTOCOL(g)                                                     \
	for (size_t p_ = 0; p_ < ARRAY_LEN(protocols); p_++)                     \
		for (bool once_ = (gate_open(&(g), protocols[p_]), true); once_; \
		     once_ = (gate_close(&(g)), false))

static void send_bytes(struct stream *s, const void *bytes, size_t len)
{
	struct bufq q;

	if (len == 0)
		return;
	bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
	assert_int_equal(bufq_append(&q, bytes, len), 0);
	assert_int_equal(stream_push(s, &q), len);
}

static void expect_bytes(struct stream *s, const void *bytes, size_t len)
{
	uint8_t got[2048];
	size_t n = 0;
	struct bufq q;

	assert_true(len < sizeof(got));
	bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
	while (stream_pull(s, &q, sizeof(got)) > 0)
		;
	assert_int_equal(bufq_len(&q), len);
	n = bufq_take(&q, got, len);
	assert_memory_equal(got, bytes, n);
}

static ssize_t pull_none(struct stream *s)
{
	struct bufq q;
	ssize_t n;

	bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
	n = stream_pull(s, &q, 1);
	assert_true(bufq_empty(&q));
	return n;
}

/* ---- who is served --------------------------------------------------------------------------- */

static void a_request_in_two_pieces_is_served_and_nothing_behind_it_is_lost(void **state)
{
	uint8_t req[1024];
	struct gate g;

	FOR_EACH_PROTOCOL(g)
	{
		size_t len = request(g.people.proto, "alice", 1, "www.example.com:443", req);
		union stream_value v;

		for (size_t cut = 0; cut <= len; cut++) {
			gate_again(&g);
			send_bytes(g.far, req, cut);
			assert_int_equal(stream_open(g.s), cut < len ? -EAGAIN : 0);
			assert_int_equal(stream_query(g.s, STREAM_REQUEST, &v),
					 cut < len ? -ENOTSUP : 0);
			send_bytes(g.far, req + cut, len - cut);
			send_bytes(g.far, "payload", 7);
			assert_int_equal(stream_open(g.s), 0);
			assert_int_equal(stream_open(g.s), 0);
			assert_int_equal(stream_query(g.s, STREAM_REQUEST, &v), 0);
			assert_ptr_equal(v.request->user, people_find(&g.people, "alice"));
			assert_int_equal(v.request->network, NETWORK_TCP);
			assert_null(v.request->udp);
			assert_string_equal(dest_format(&v.request->dest, (char[DEST_TEXT_MAX]){0}),
					    "www.example.com:443");
			expect_bytes(g.s, "payload", 7);
		}
	}
}

static void the_answer_is_vless_s_alone_and_the_peeler_s_to_send(void **state)
{
	uint8_t req[1024];
	struct gate g;

	FOR_EACH_PROTOCOL(g)
	{
		size_t len = request(g.people.proto, "alice", 1, "192.0.2.1:80", req);
		struct stream *lower;
		struct bufq first;

		send_bytes(g.far, req, len);
		send_bytes(g.far, "payload", 7);
		assert_int_equal(stream_open(g.s), 0);
		assert_int_equal(pull_none(g.far), -EAGAIN);
		bufq_init(&first, loop_pool(g.l), 64);
		lower = stream_peel(g.s, &first);
		assert_non_null(lower);
		g.s = lower;
		assert_int_equal(pull_none(g.far), -EAGAIN);
		assert_int_equal(bufq_len(&first), is_vless(g.people.proto) ? 2 : 0);
		bufq_done(&first);
		expect_bytes(lower, "payload", 7);
	}
}

static void bytes_un_read_into_the_layer_outlive_it(void **state)
{
	uint8_t req[1024];
	struct gate g;

	FOR_EACH_PROTOCOL(g)
	{
		size_t len = request(g.people.proto, "bob", 1, "192.0.2.1:80", req);
		struct bufq q;

		send_bytes(g.far, req, len);
		send_bytes(g.far, "looked at, not yet", 18);
		assert_int_equal(stream_open(g.s), 0);
		bufq_init(&q, loop_pool(g.l), SIZE_MAX);
		assert_int_equal(stream_pull(g.s, &q, 9), 9);
		stream_unread(g.s, &q);
		g.s = stream_peel(g.s, &q);
		bufq_done(&q);
		expect_bytes(g.s, "looked at, not yet", 18);
	}
}

static void the_routing_bytes_of_a_vless_id_do_not_name_the_user(void **state)
{
	uint8_t req[1024];
	struct gate g;
	size_t len;

	gate_open(&g, "vless");
	len = request(g.people.proto, "alice", 1, "192.0.2.1:80", req);
	req[1 + 6] ^= 0xff;
	req[1 + 7] ^= 0x5a;
	send_bytes(g.far, req, len);
	assert_int_equal(stream_open(g.s), 0);
	gate_again(&g);
	req[1 + 8] ^= 1;
	send_bytes(g.far, req, len);
	assert_int_equal(stream_open(g.s), -ERR_AUTH);
	gate_close(&g);
}

static void a_user_who_has_been_taken_out_is_a_stranger(void **state)
{
	uint8_t req[1024];
	struct gate g;

	FOR_EACH_PROTOCOL(g)
	{
		size_t len = request(g.people.proto, "bob", 1, "192.0.2.1:80", req);

		people_set(&g.people, "alice");
		send_bytes(g.far, req, len);
		assert_int_equal(stream_open(g.s), -ERR_AUTH);
	}
}

/* ---- who is not ------------------------------------------------------------------------------ */

/* The layer has failed: what the peer sent is there again, whole. */
static void gives_all_back(struct gate *g, const uint8_t *sent, size_t len)
{
	struct bufq first;

	bufq_init(&first, loop_pool(g->l), 64);
	g->s = stream_peel(g->s, &first);
	assert_non_null(g->s);
	assert_true(bufq_empty(&first));
	assert_int_equal(pull_none(g->far), -EAGAIN); /* and not a byte was answered */
	expect_bytes(g->s, sent, len);
}

static void fill_random(struct gate *g, uint8_t *out, size_t len)
{
	loop_random(g->l, out, len);
	if (len > 0 && out[0] == 0)
		out[0] = 1;
}

static void a_stranger_s_bytes_come_back_whole_whatever_their_number(void **state)
{
	uint8_t sent[512];
	struct gate g;

	FOR_EACH_PROTOCOL(g)
	{
		for (size_t len = 1; len <= 200; len++) {
			gate_again(&g);
			fill_random(&g, sent, len);
			if (len % 3 == 0 && is_vless(g.people.proto))
				sent[0] = 0; /* the right version */
			send_bytes(g.far, sent, len);
			if (stream_open(g.s) == -EAGAIN)
				stream_shut(g.far); /* a prefix could still become a user's */
			assert_int_equal(stream_open(g.s), -ERR_AUTH);
			assert_int_equal(stream_open(g.s), -ERR_AUTH);
			gives_all_back(&g, sent, len);
		}
	}
}

static void without_a_fallback_a_prefix_waits_for_the_rest(void **state)
{
	uint8_t req[1024];
	struct gate g;

	FOR_EACH_PROTOCOL(g)
	{
		size_t prefix = is_vless(g.people.proto) ? VLESS_PREFIX : TROJAN_PREFIX;

		request(g.people.proto, "nobody", 1, "192.0.2.1:80", req);
		send_bytes(g.far, req, prefix - 1);
		assert_int_equal(stream_open(g.s), -EAGAIN);
		send_bytes(g.far, req + prefix - 1, 1);
		assert_int_equal(stream_open(g.s), -ERR_AUTH);
		gives_all_back(&g, req, prefix);
	}
}

static void with_a_fallback_the_first_pull_decides_unless_it_names_a_user(void **state)
{
	uint8_t req[1024];
	struct gate g;

	FOR_EACH_PROTOCOL(g)
	{
		size_t prefix = is_vless(g.people.proto) ? VLESS_PREFIX : TROJAN_PREFIX;
		size_t len = request(g.people.proto, "alice", 1, "192.0.2.1:80", req);

		g.people.in.first_pull_decides = true;
		for (size_t cut = 1; cut < len; cut++) {
			gate_again(&g);
			send_bytes(g.far, req, cut);
			if (cut < prefix) {
				assert_int_equal(stream_open(g.s), -ERR_AUTH);
				gives_all_back(&g, req, cut);
				continue;
			}
			assert_int_equal(stream_open(g.s), -EAGAIN);
			send_bytes(g.far, req + cut, len - cut);
			assert_int_equal(stream_open(g.s), 0);
		}
	}
}

static void a_wrong_version_is_known_by_its_byte(void **state)
{
	struct gate g;

	gate_open(&g, "vless");
	send_bytes(g.far, "\1", 1);
	assert_int_equal(stream_open(g.s), -ERR_AUTH);
	gives_all_back(&g, (const uint8_t *)"\1", 1);
	gate_close(&g);
}

static void a_wrong_digit_of_a_password_is_known_by_its_byte(void **state)
{
	struct gate g;

	gate_open(&g, "trojan");
	send_bytes(g.far, "GET ", 4);
	assert_int_equal(stream_open(g.s), -ERR_AUTH);
	gives_all_back(&g, (const uint8_t *)"GET ", 4);
	gate_close(&g);
}

static void behind_a_vless_user_s_id_a_flaw_is_a_stranger_s(void **state)
{
	struct vless_request vision = {.cmd = VLESS_TCP, .flow = VLESS_FLOW_VISION};
	struct wr w;
	uint8_t req[1024];
	struct gate g;
	size_t len;

	gate_open(&g, "vless");
	len = request(g.people.proto, "alice", 1, "192.0.2.1:80", req);
	req[18] = 9; /* the command */
	send_bytes(g.far, req, len);
	assert_int_equal(stream_open(g.s), -ERR_AUTH);
	gives_all_back(&g, req, len);

	gate_again(&g);
	len = request(g.people.proto, "alice", 1, "192.0.2.1:80", req);
	req[17] = 2; /* addons that are none */
	memset(req + 18, 0xff, 2);
	send_bytes(g.far, req, len);
	assert_int_equal(stream_open(g.s), -ERR_AUTH);
	gives_all_back(&g, req, len);

	gate_again(&g);
	w = wr_of(req, sizeof(req));
	vision.dest = dest_of("192.0.2.1:80");
	assert_int_equal(vless_id_of_text("alice", 5, vision.id), 0);
	vless_request_emit(&w, &vision);
	send_bytes(g.far, req, w.len);
	assert_int_equal(stream_open(g.s), -ERR_UNSUPPORTED); /* not agreed on: closed */
	gives_all_back(&g, req, w.len);
	gate_close(&g);
}

static void behind_a_trojan_user_s_password_a_flaw_is_a_stranger_s(void **state)
{
	static const struct {
		size_t at;
		uint8_t byte;
	} rows[] = {{56, 'x'}, {57, 'x'}, {58, 2}, {59, 9}, {66, 'x'}, {67, 'x'}};
	uint8_t req[1024];
	struct gate g;
	size_t len;

	gate_open(&g, "trojan");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		len = request(g.people.proto, "alice", 1, "192.0.2.1:80", req);
		assert_int_equal(len, 68);
		req[rows[i].at] = rows[i].byte;
		gate_again(&g);
		send_bytes(g.far, req, len);
		assert_int_equal(stream_open(g.s), -ERR_AUTH);
		gives_all_back(&g, req, len);
	}
	gate_close(&g);
}

static void an_end_is_a_stranger_s_once_he_has_said_something(void **state)
{
	uint8_t req[1024];
	struct gate g;

	FOR_EACH_PROTOCOL(g)
	{
		size_t len = request(g.people.proto, "alice", 1, "192.0.2.1:80", req);

		for (size_t cut = 0; cut < len; cut++) {
			gate_again(&g);
			send_bytes(g.far, req, cut);
			stream_shut(g.far);
			assert_int_equal(stream_open(g.s), cut == 0 ? -ERR_TRUNCATED : -ERR_AUTH);
			gives_all_back(&g, req, cut);
		}
	}
}

static void a_reset_is_said_as_it_is(void **state)
{
	struct gate g;

	FOR_EACH_PROTOCOL(g)
	{
		pair_reset(g.far, -ECONNRESET);
		assert_int_equal(stream_open(g.s), -ECONNRESET);
	}
}

static void the_longest_request_is_served_and_no_byte_more_is_waited_for(void **state)
{
	uint8_t req[1024] = {0}, plain[1024];
	char name[300];
	struct gate g;
	size_t len;

	memset(name, 'n', 255);
	memcpy(name + 255, ":443", 5);
	gate_open(&g, "vless");
	assert_int_equal(vless_id_of_text("alice", 5, req + 1), 0);
	req[17] = 255; /* addons: a field of 252 bytes that nobody knows */
	req[18] = 3 << 3 | 2;
	req[19] = 252;
	req[20] = 1;
	len = request(g.people.proto, "alice", 1, name, plain);
	memcpy(req + 18 + 255, plain + 18, len - 18);
	send_bytes(g.far, req, len + 255);
	assert_int_equal(len + 255, VLESS_REQ_MAX);
	assert_int_equal(stream_open(g.s), 0);
	assert_int_equal(pull_none(g.s), -EAGAIN);
	gate_close(&g);
}

/* A socket can be written to all the time; waiting for a request must not mean asking all the time.
 */
static void who_waits_for_the_request_sleeps(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct watcher x = {0};
	struct people people;
	struct stream *s;
	int fd[2];

	people_init(&people, "vless", l, "alice");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	s = people.proto->server(tcp_stream_new(l, fd[0], NULL), &people.in);
	waiter_init(&x.w, watcher_wake);
	assert_int_equal(stream_open(s), -EAGAIN);
	stream_want(s, STREAM_RD | STREAM_WR, &x.w);
	for (int i = 0; i < 3; i++)
		loop_turn(l, 5 * NSEC_MS);
	assert_int_equal(x.wakes, 0);
	assert_int_equal(send(fd[1], "\0", 1, 0), 1);
	loop_turn(l, NSEC_SEC);
	assert_int_equal(x.wakes, 1);
	close(fd[1]);
	stream_free(s);
	loop_free(l);
	people_done(&people);
}

/* ---- both roles, over streams that misbehave ------------------------------------------------- */

/* Opens a server layer, peels it, and relays it to the talker behind. */
struct served {
	struct people people;
	struct talker client, target;
	struct stream *s, *inner;
	struct waiter w;
	struct relay relay;
	struct bufq first;
	bool relaying, done;
	int err;
};

static const struct relay_conf relay_conf = {0};

static void served_wake(struct waiter *w)
{
	struct served *t = container_of(w, struct served, w);
	struct stream *lower;
	int err;

	if (t->relaying) {
		t->done = t->relay.ended;
		return;
	}
	err = stream_open(t->s);
	if (err == -EAGAIN) {
		stream_want(t->s, STREAM_RD | STREAM_WR, w);
		return;
	}
	t->err = err;
	t->done = err != 0;
	if (err)
		return;
	lower = stream_peel(t->s, &t->first);
	assert_non_null(lower);
	t->s = lower;
	t->relaying = true;
	relay_start(&t->relay, &(struct relay_plan){.a = lower,
						    .b = t->inner,
						    .first = &t->first,
						    .conf = &relay_conf,
						    .done = &t->w});
}

static void served_start(struct loop *l, struct served *t, const char *proto, struct stream *near)
{
	struct stream *end;

	people_init(&t->people, proto, l, "alice");
	assert_int_equal(pair_new(l, 100, &t->inner, &end), 0);
	bufq_init(&t->first, loop_pool(l), 16);
	waiter_init(&t->w, served_wake);
	t->s = t->people.proto->server(near, &t->people.in);
	talker_start(&t->target, end, 400, 2, 1);
	loop_queue(l, &t->w);
}

static struct stream *client_over(struct stream *lower, const char *proto)
{
	struct dest to = dest_of("target.example:443");
	uint8_t key[USER_KEY_MAX];

	assert_int_equal(proto_find(proto)->user_key("alice", 5, key), 0);
	if (!strcmp(proto, "vless")) {
		assert_int_equal(vless_id_of_text("alice", 5, key), 0);
		return vless_client_new(lower, key, &to);
	}
	return trojan_client_new(lower, key, &to);
}

static struct stream *dribbled(struct stream *s)
{
	uint64_t seed;

	loop_random(s->loop, &seed, sizeof(seed));
	return dribble_new(s, &DRIBBLE(seed));
}

static void start(struct loop *l, struct served *t, const char *proto)
{
	struct stream *x, *y;

	assert_int_equal(pair_new(l, 70, &x, &y), 0);
	served_start(l, t, proto, dribbled(y));
	talker_start(&t->client, client_over(dribbled(x), proto), 300, 1, 2);
}

static void start_vless(struct loop *l, void *state)
{
	start(l, state, "vless");
}

static void start_trojan(struct loop *l, void *state)
{
	start(l, state, "trojan");
}

static bool done(void *state)
{
	struct served *t = state;

	return t->done && talker_done(&t->client) && talker_done(&t->target);
}

static void stop(void *state)
{
	struct served *t = state;

	if (t->relaying)
		relay_stop(&t->relay);
	waiter_cancel(&t->w);
	stream_free(t->s);
	stream_free(t->inner);
	bufq_done(&t->first);
	talker_stop(&t->client);
	talker_stop(&t->target);
	people_done(&t->people);
}

static void check(void *state)
{
	struct served *t = state;

	assert_int_equal(t->err, 0);
	assert_int_equal(t->relay.result, 0);
	assert_int_equal(t->client.err, 0);
	assert_int_equal(t->target.err, 0);
	assert_int_equal(t->client.received, 400);
	assert_int_equal(t->target.received, 300);
}

static void a_served_request_survives_a_dribble_and_a_kill_at_each_turn(void **state)
{
	struct scenario vless = {start_vless, done, stop, check, sizeof(struct served)};
	struct scenario trojan = {start_trojan, done, stop, check, sizeof(struct served)};

	for (uint64_t seed = 1; seed <= 2; seed++) {
		assert_true(kill_at_each_turn(&vless, seed) > 20);
		assert_true(kill_at_each_turn(&trojan, seed) > 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_in_two_pieces_is_served_and_nothing_behind_it_is_lost),
		cmocka_unit_test(the_answer_is_vless_s_alone_and_the_peeler_s_to_send),
		cmocka_unit_test(bytes_un_read_into_the_layer_outlive_it),
		cmocka_unit_test(the_routing_bytes_of_a_vless_id_do_not_name_the_user),
		cmocka_unit_test(a_user_who_has_been_taken_out_is_a_stranger),
		cmocka_unit_test(a_stranger_s_bytes_come_back_whole_whatever_their_number),
		cmocka_unit_test(without_a_fallback_a_prefix_waits_for_the_rest),
		cmocka_unit_test(with_a_fallback_the_first_pull_decides_unless_it_names_a_user),
		cmocka_unit_test(a_wrong_version_is_known_by_its_byte),
		cmocka_unit_test(a_wrong_digit_of_a_password_is_known_by_its_byte),
		cmocka_unit_test(behind_a_vless_user_s_id_a_flaw_is_a_stranger_s),
		cmocka_unit_test(behind_a_trojan_user_s_password_a_flaw_is_a_stranger_s),
		cmocka_unit_test(an_end_is_a_stranger_s_once_he_has_said_something),
		cmocka_unit_test(a_reset_is_said_as_it_is),
		cmocka_unit_test(the_longest_request_is_served_and_no_byte_more_is_waited_for),
		cmocka_unit_test(who_waits_for_the_request_sleeps),
		cmocka_unit_test(a_served_request_survives_a_dribble_and_a_kill_at_each_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
