#include "unit.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "net/mmsg.h"
#include "net/own_addr.h"
#include "net/sock.h"

static struct buf_pool pool;

static struct addr at(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, text), 0);
	return a;
}

static int udp(const char *text, struct addr *bound)
{
	struct addr a = at(text);
	int fd;

	assert_int_equal(sock_udp_open(&a, false, &fd), 0);
	assert_int_equal(sock_local(fd, bound), 0);
	return fd;
}

static struct buf *filled(size_t len, uint8_t with)
{
	struct buf *b = buf_new(&pool);

	memset(b->data + b->end, with, len);
	b->end += (uint32_t)len;
	return b;
}

/* Loopback may deliver a moment later when the machine is busy. */
static int receive(int fd, struct mmsg *m, int max, uint64_t *dropped)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 5000), 1);
	return mmsg_recv(fd, &pool, m, max, dropped);
}

static void packets_travel_in_batches_with_their_addresses(void **state)
{
	struct mmsg out[40], in[MMSG_BATCH];
	uint64_t dropped = 0;
	struct addr a, b;
	int from = udp("127.0.0.1:0", &a), to = udp("127.0.0.2:0", &b), sent, got = 0;

	buf_pool_init(&pool, 64, 0);
	assert_int_equal(mmsg_recv(to, &pool, in, MMSG_BATCH, &dropped), -EAGAIN);
	for (int i = 0; i < 40; i++)
		out[i] = (struct mmsg){.buf = filled((size_t)i * 30, (uint8_t)i), .peer = b};
	sent = mmsg_send(from, AF_INET, out, 40);
	assert_int_equal(sent, MMSG_BATCH);
	assert_int_equal(mmsg_send(from, AF_INET, out + sent, 40 - sent), 40 - sent);
	while (got < 40) {
		int n = receive(to, in, MMSG_BATCH, &dropped);

		assert_true(n > 0);
		for (int i = 0; i < n; i++, got++) {
			assert_int_equal(buf_len(in[i].buf), got * 30);
			if (got)
				assert_int_equal(buf_head(in[i].buf)[got * 30 - 1], got);
			assert_true(addr_equal(&in[i].peer, &a));
			assert_int_equal(in[i].local.len, 0);
			buf_free(in[i].buf);
		}
	}
	for (int i = 0; i < 40; i++)
		buf_free(out[i].buf);
	assert_int_equal(pool.nused, 0);
	assert_int_equal(dropped, 0);
	close(from);
	close(to);
	buf_pool_done(&pool);
}

static void a_packet_too_long_for_a_chunk_is_dropped_and_counted(void **state)
{
	static char big[BUF_PAYLOAD + 1];
	struct mmsg in[4];
	uint64_t dropped = 0;
	struct addr a, b;
	int from = udp("127.0.0.1:0", &a), to = udp("127.0.0.1:0", &b);

	buf_pool_init(&pool, 64, 0);
	for (size_t len = BUF_PAYLOAD; len <= BUF_PAYLOAD + 1; len++)
		assert_int_equal(sendto(from, big, len, 0, &b.sa, b.len), len);
	for (int got = 0; got + (int)dropped < 2;) {
		int n = receive(to, in, 4, &dropped);

		assert_true(n >= 0);
		for (int i = 0; i < n; i++, got++) {
			assert_int_equal(buf_len(in[i].buf), BUF_PAYLOAD);
			buf_free(in[i].buf);
		}
	}
	assert_int_equal(dropped, 1);
	close(from);
	close(to);
	buf_pool_done(&pool);
}

/* A wildcard socket, of one family or of both, asked at an address of the host that is not its
 * first.
 */
static void an_answer_comes_from_the_address_that_was_asked(void **state)
{
	static const char *const wildcard[] = {"0.0.0.0:0", "[::]:0"};

	buf_pool_init(&pool, 64, 0);
	for (int i = 0; i < 2; i++) {
		struct addr client, server, asked = at("127.0.0.77:0");
		int family = i ? AF_INET6 : AF_INET;
		int c = udp("127.0.0.1:0", &client), s = udp(wildcard[i], &server);
		struct mmsg in[4], back[4];
		uint64_t dropped = 0;

		assert_int_equal(mmsg_want_local(s, family), 0);
		addr_set_port(&asked, addr_port(&server));
		assert_int_equal(sendto(c, "q", 1, 0, &asked.sa, asked.len), 1);
		assert_int_equal(receive(s, in, 4, &dropped), 1);
		assert_true(addr_equal(&in[0].peer, &client));
		addr_set_port(&in[0].local, addr_port(&asked));
		assert_true(addr_equal(&in[0].local, &asked));
		assert_int_equal(mmsg_send(s, family, in, 1), 1);
		assert_int_equal(receive(c, back, 4, &dropped), 1);
		assert_true(addr_equal(&back[0].peer, &asked));
		/* A plain IPv4 peer works on both, too. */
		back[0].peer = client;
		back[0].local = (struct addr){0};
		assert_int_equal(mmsg_send(s, family, back, 1), 1);
		buf_free(in[0].buf);
		buf_free(back[0].buf);
		close(c);
		close(s);
	}
	buf_pool_done(&pool);
}

static void what_cannot_be_sent_says_so_and_what_has_no_room_too(void **state)
{
	struct addr a, six = at("[2001:db8::1]:1");
	int s = udp("127.0.0.1:0", &a);
	uint64_t dropped = 0;
	struct mmsg m;

	buf_pool_init(&pool, 0, 1);
	m = (struct mmsg){.buf = filled(1, 1), .peer = six};
	assert_true(mmsg_send(s, AF_INET, &m, 1) < 0);
	assert_int_equal(mmsg_recv(s, &pool, &(struct mmsg){0}, 1, &dropped), -ENOMEM);
	buf_free(m.buf);
	close(s);
	buf_pool_done(&pool);
}

static void the_host_knows_its_own_addresses(void **state)
{
	struct addr loopback = at("127.0.0.1:9"), mapped = at("[::ffff:127.0.0.1]:1");
	struct addr other = at("192.0.2.9:1"), list[2] = {other, other};
	struct own_addr o;

	own_addr_init(&o);
	assert_false(own_addr_has(&o, &loopback));
	assert_int_equal(own_addr_refresh(&o), 1);
	assert_int_equal(own_addr_refresh(&o), 0);
	assert_true(own_addr_has(&o, &loopback));
	assert_true(own_addr_has(&o, &mapped));
	assert_false(own_addr_has(&o, &other));
	assert_int_equal(own_addr_set(&o, list, 2), 1);
	assert_int_equal(own_addr_set(&o, list, 1), 0);
	assert_true(own_addr_has(&o, &other));
	assert_false(own_addr_has(&o, &loopback));
	assert_false(own_addr_has(&o, &(struct addr){0}));
	own_addr_done(&o);
}

static void *look(void *arg)
{
	struct addr a = at("192.0.2.1:1");
	long seen = 0;

	for (int i = 0; i < 200000; i++)
		seen += own_addr_has(arg, &a);
	return (void *)seen;
}

static void looking_needs_no_lock_while_the_set_changes(void **state)
{
	struct addr list[2] = {at("192.0.2.1:1"), at("192.0.2.2:1")};
	struct own_addr o;
	pthread_t t;
	void *seen;

	own_addr_init(&o);
	assert_int_equal(own_addr_set(&o, list, 1), 1);
	pthread_create(&t, NULL, look, &o);
	for (int i = 0; i < OWN_ADDR_KEPT; i++)
		assert_int_equal(own_addr_set(&o, list, i % 2 ? 1 : 2), 1);
	pthread_join(t, &seen);
	assert_int_equal((long)seen, 200000);
	own_addr_done(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_travel_in_batches_with_their_addresses),
		cmocka_unit_test(a_packet_too_long_for_a_chunk_is_dropped_and_counted),
		cmocka_unit_test(an_answer_comes_from_the_address_that_was_asked),
		cmocka_unit_test(what_cannot_be_sent_says_so_and_what_has_no_room_too),
		cmocka_unit_test(the_host_knows_its_own_addresses),
		cmocka_unit_test(looking_needs_no_lock_while_the_set_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
