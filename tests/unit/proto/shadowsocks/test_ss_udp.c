/* A UDP port: whose packets they are, where they come out, where answers go, and what strangers see. */
#include "crypto/random.h"
#include "event/loop.h"
#include "net/sock.h"
#include "proto/shadowsocks/crowd.h"
#include "proto/shadowsocks/ss_cipher.h"
#include "proto/shadowsocks/ss_packet.h"
#include "proto/shadowsocks/ss_sessions.h"
#include "proto/shadowsocks/ss_udp.h"
#include "ss_house.h"
#include "stream/udp.h"

#include <pthread.h>
#include <unistd.h>

#define TARGET "192.0.2.7:5353"

struct port {
	struct ss_house house;
	struct loop *loop;
	struct ss_udp_service service;
	struct ss_udp *udp;
	struct addr at;
	struct dest to;
	struct dgram *assoc[16]; /* in the order in which they were opened */
	int64_t user[16];
	struct dest first[16];
	int n;
};

static void opened(void *arg, struct dgram *client, const struct stream_request *request,
		   const struct addr *peer)
{
	struct port *p = arg;

	assert_true(p->n < 16);
	p->user[p->n] = user_id(request->user);
	p->first[p->n] = request->dest;
	p->assoc[p->n++] = client;
}

static int bound(struct addr *at)
{
	int fd;

	assert_int_equal(addr_parse(at, "127.0.0.1:0"), 0);
	assert_int_equal(sock_new(AF_INET, SOCK_DGRAM, &fd), 0);
	assert_int_equal(bind(fd, &at->sa, at->len), 0);
	assert_int_equal(sock_local(fd, at), 0);
	return fd;
}

static void port_open(struct port *p, const char *method)
{
	int fd;

	memset(p, 0, sizeof(*p));
	p->loop = loop_new(LOOP_EPOLL, 0);
	assert_non_null(p->loop);
	ss_house_open(&p->house, method);
	assert_int_equal(replay_new_counted(SS_REPLAY_MIN, &p->house.conf.replay), 0);
	p->service = (struct ss_udp_service){
		.method = p->house.conf.method,
		.psk = p->house.conf.named ? p->house.conf.psk : NULL,
		.finder = p->house.finder,
		.replay = p->house.conf.replay,
		.users = &p->house.in.users,
	};
	fd = bound(&p->at);
	dest_set_addr(&p->to, &p->at);
	assert_int_equal(ss_udp_new(p->loop, fd, AF_INET, &p->service, opened, p, &p->udp), 0);
}

static void port_close(struct port *p)
{
	ss_udp_close(p->udp);
	for (int i = 0; i < p->n; i++)
		dgram_free(p->assoc[i]);
	loop_turn(p->loop, 0);
	loop_free(p->loop);
	ss_house_close(&p->house);
}

static void turns(struct port *p)
{
	for (int i = 0; i < 4; i++)
		loop_turn(p->loop, 0); /* loopback delivers at once */
}

static struct ss_udp_count counted(const struct port *p)
{
	struct ss_udp_count c;

	ss_udp_count(p->udp, &c);
	return c;
}

/* ---- with our own client ------------------------------------------------------------------ */

static struct dgram *client(struct port *p, const char *who)
{
	struct ss_client_conf conf;
	struct dgram *udp, *d;

	ss_house_client(&p->house, who, &conf);
	assert_int_equal(udp_dgram_new(p->loop, AF_INET, NULL, &udp), 0);
	d = ss_client_udp(udp, &p->to, &conf);
	assert_non_null(d);
	return d;
}

static void say(struct dgram *d, const void *text, size_t len, const char *dest)
{
	struct packet pk = {.buf = buf_new(loop_pool(d->loop))};

	memcpy(pk.buf->data + pk.buf->end, text, len);
	pk.buf->end += (uint32_t)len;
	assert_int_equal(dest_parse(&pk.dest, dest), 0);
	assert_int_equal(dgram_send(d, &pk, 1), 1);
}

static void hear(struct dgram *d, const void *text, size_t len, const char *dest)
{
	struct packet pk;
	struct dest want;

	assert_int_equal(dgram_recv(d, &pk, 1), 1);
	assert_int_equal(dest_parse(&want, dest), 0);
	assert_true(dest_equal(&pk.dest, &want));
	assert_int_equal(buf_len(pk.buf), len);
	assert_memory_equal(buf_head(pk.buf), text, len);
	buf_free(pk.buf);
}

static void nothing(struct dgram *d)
{
	struct packet pk;

	assert_int_equal(dgram_recv(d, &pk, 1), -EAGAIN);
}

static void packets_go_to_the_target_and_answers_come_back_from_anywhere(void **state)
{
	static uint8_t big[1400];

	random_bytes(big, sizeof(big));
	for (size_t m = 0; ss_method_at(m); m++) {
		struct port p;
		struct dgram *c;

		port_open(&p, ss_method_at(m)->name);
		c = client(&p, SS_ALICE);
		say(c, "one", 3, TARGET);
		say(c, big, sizeof(big), "name.example:443");
		say(c, "", 0, "[2001:db8::1]:1");
		turns(&p);
		assert_int_equal(p.n, 1);
		assert_int_equal(p.user[0], 1);
		hear(p.assoc[0], "one", 3, TARGET);
		hear(p.assoc[0], big, sizeof(big), "name.example:443");
		hear(p.assoc[0], "", 0, "[2001:db8::1]:1");
		nothing(p.assoc[0]);
		say(p.assoc[0], "two", 3, TARGET);
		say(p.assoc[0], big, sizeof(big), "198.51.100.9:53");
		turns(&p);
		hear(c, "two", 3, TARGET);
		hear(c, big, sizeof(big), "198.51.100.9:53");
		nothing(c);
		assert_int_equal(counted(&p).refused, 0);
		dgram_free(c);
		port_close(&p);
	}
}

static void each_user_and_each_client_has_an_association_of_its_own(void **state)
{
	for (size_t m = 0; ss_method_at(m); m++) {
		struct dgram *c[3];
		struct port p;
		int n;

		port_open(&p, ss_method_at(m)->name);
		n = ss_house_has_bob(&p.house) ? 3 : 2;
		for (int i = 0; i < n; i++) {
			c[i] = client(&p, i == 2 ? SS_BOB : SS_ALICE);
			say(c[i], "x", 1, TARGET);
			turns(&p);
		}
		assert_int_equal(p.n, n);
		for (int i = 0; i < n; i++) {
			char text[2] = {(char)('a' + i)};

			assert_int_equal(p.user[i], i == 2 ? 2 : 1);
			hear(p.assoc[i], "x", 1, TARGET);
			say(p.assoc[i], text, 1, TARGET);
		}
		turns(&p);
		for (int i = 0; i < n; i++) {
			char text[2] = {(char)('a' + i)};

			hear(c[i], text, 1, TARGET);
			nothing(c[i]);
			dgram_free(c[i]);
		}
		port_close(&p);
	}
}

static void a_socket_that_closes_ends_its_associations(void **state)
{
	struct packet pk;
	struct dgram *c;
	struct port p;

	port_open(&p, "aes-128-gcm");
	c = client(&p, SS_ALICE);
	say(c, "x", 1, TARGET);
	turns(&p);
	ss_udp_close(p.udp);
	p.udp = NULL;
	assert_int_equal(dgram_recv(p.assoc[0], &pk, 1), 0);
	dgram_free(c);
	port_close(&p);
}

static void another_server_key_ends_what_was_opened_under_the_old_one(void **state)
{
	static const uint8_t other[SS_KEY_MAX] = {1};
	struct ss_udp_service s;
	struct packet pk;
	struct dgram *c;
	struct port p;

	port_open(&p, "2022-blake3-aes-128-gcm");
	c = client(&p, SS_ALICE);
	say(c, "x", 1, TARGET);
	turns(&p);
	hear(p.assoc[0], "x", 1, TARGET);
	s = p.service;
	ss_udp_use(p.udp, &s, opened, &p);
	nothing(p.assoc[0]);
	s.psk = other;
	ss_udp_use(p.udp, &s, opened, &p);
	assert_int_equal(dgram_recv(p.assoc[0], &pk, 1), 0);
	say(c, "y", 1, TARGET);
	turns(&p);
	assert_int_equal(p.n, 1);
	dgram_free(c);
	port_close(&p);
}

/* What waits is bounded, and what is beyond is lost. */
static void an_association_that_nobody_reads_holds_so_much_and_no_more(void **state)
{
	struct packet pk;
	struct dgram *c;
	struct port p;
	int n = 0;

	port_open(&p, "aes-128-gcm");
	c = client(&p, SS_ALICE);
	for (int i = 0; i < 150; i++) {
		say(c, "x", 1, TARGET);
		if (i % 10 == 9)
			turns(&p);
	}
	turns(&p);
	assert_int_equal(counted(&p).dropped, 150 - 64);
	while (dgram_recv(p.assoc[0], &pk, 1) == 1) {
		buf_free(pk.buf);
		n++;
	}
	assert_int_equal(n, 64);
	dgram_free(c);
	port_close(&p);
}

/* ---- with packets made by hand ------------------------------------------------------------ */

struct raw {
	int fd;
	struct addr at;
};

static void raw_open(struct raw *r)
{
	r->fd = bound(&r->at);
}

static void raw_send(struct port *p, struct raw *r, const void *bytes, size_t len)
{
	assert_int_equal(sendto(r->fd, bytes, len, 0, &p->at.sa, p->at.len), len);
	turns(p);
}

static bool raw_answered(struct raw *r)
{
	uint8_t any[2048];

	return recv(r->fd, any, sizeof(any), MSG_DONTWAIT) >= 0;
}

struct by_hand {
	const char *who, *named; /* whose key; whom the identity header names */
	uint64_t session, packet;
	int64_t late;		 /* seconds */
	const char *text, *dest; /* NULL: TARGET */
};

/* A packet, whatever the method. */
static size_t make(struct port *p, const struct by_hand *h, uint8_t out[512])
{
	struct ss_client_conf conf, other;
	uint8_t sub[SS_KEY_MAX], name[1][SS_IDENTITY_LEN];
	struct buf *b = buf_new(loop_pool(p->loop));
	const struct ss_method *m = p->house.conf.method;
	struct aead_key k = {0};
	struct ss_packet_out o;
	struct dest d;
	size_t len;

	ss_house_client(&p->house, h->who, &conf);
	ss_house_client(&p->house, h->named ? h->named : h->who, &other);
	memcpy(b->data + b->end, h->text, strlen(h->text));
	b->end += (uint32_t)strlen(h->text);
	assert_int_equal(dest_parse(&d, h->dest ? h->dest : TARGET), 0);
	if (m->class == SS_AEAD) {
		random_bytes(sub, sizeof(sub));
		assert_int_equal(ss_packet_seal(m, conf.key, sub, b, &d), 0);
	} else {
		o = (struct ss_packet_out){
			.method = m,
			.session = &k,
			.header_key = conf.nipsk ? conf.ipsk[0] : conf.key,
			.ipsk = conf.ipsk,
			.name = (const uint8_t(*)[SS_IDENTITY_LEN])name,
			.nipsk = conf.nipsk,
			.separate.packet = h->packet,
			.time = (uint64_t)(loop_wall(p->loop) - h->late),
		};
		memcpy(o.separate.session, &h->session, SS_SESSION_LEN);
		ss_identity_hash(m, other.key, name[0]);
		assert_int_equal(ss_subkey(m, conf.key, o.separate.session, 8, sub), 0);
		aead_key_set(&k, (enum aead_alg)m->alg, sub);
		assert_int_equal(ss_packet_seal_2022(&o, b, &d), 0);
		aead_key_clear(&k);
	}
	len = buf_len(b);
	memcpy(out, buf_head(b), len);
	buf_free(b);
	return len;
}

static void strangers_get_silence_and_leave_nothing(void **state)
{
	for (size_t m = 0; m < ARRAY_LEN(ss_sealed_methods); m++) {
		uint8_t noise[2000], good[512];
		struct by_hand h = {.who = SS_ALICE, .session = 7, .text = "hello"};
		struct raw stranger;
		struct port p;
		size_t len;

		port_open(&p, ss_sealed_methods[m]);
		raw_open(&stranger);
		for (size_t n = 0; n <= sizeof(noise); n += n < 300 ? 1 : 97) {
			random_bytes(noise, sizeof(noise));
			raw_send(&p, &stranger, noise, n);
		}
		len = make(&p, &h, good);
		for (size_t bit = 0; bit < 8 * len; bit += 1 + bit % 3) {
			good[bit / 8] ^= (uint8_t)(1 << bit % 8);
			raw_send(&p, &stranger, good, len);
			good[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t n = 0; n < len; n++)
			raw_send(&p, &stranger, good, n);
		assert_int_equal(p.n, 0);
		assert_int_equal(counted(&p).associations, 0);
		assert_int_equal(counted(&p).refused, counted(&p).packets);
		assert_false(raw_answered(&stranger));
		raw_send(&p, &stranger, good, len); /* untouched, it is a client's */
		assert_int_equal(p.n, 1);
		close(stranger.fd);
		port_close(&p);
	}
}

/* It holds for methods without integrity, too, as far as they can tell: what makes no sense. */
/* Behind a plugin all come from one address: strangers would use up everybody's searches. */
static void behind_a_plugin_a_strangers_failures_are_not_everybodys(void **state)
{
	static const uint8_t said[] = {1, 192, 0, 2, 1, 0, 53, 'x'};
	uint8_t packet[128] = {0};
	struct crowd_users crowd;
	struct raw stranger, r;
	struct port p;
	size_t len;

	port_open(&p, "aes-128-gcm");
	crowd_init(&crowd, "aes-128-gcm", 20000); /* five failures empty one source's bucket */
	p.house.in.users = crowd.table;
	p.service.hidden = true;
	ss_udp_use(p.udp, &p.service, opened, &p);
	raw_open(&stranger);
	raw_open(&r);
	for (int i = 0; i < 6; i++)
		raw_send(&p, &stranger, packet, sizeof(packet));
	assert_int_equal(counted(&p).refused, 6);
	len = crowd_seal(&crowd, 7, said, sizeof(said), packet);
	raw_send(&p, &r, packet, len);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.user[0], 8);
	close(stranger.fd);
	close(r.fd);
	port_close(&p);
	crowd_done(&crowd);
}

static void without_integrity_what_makes_no_sense_is_refused(void **state)
{
	for (size_t i = 0; ss_method_at(i); i++) {
		static const uint8_t senses[][7] = {
			{0, 192, 0, 2, 7, 0, 53}, /* no type of address */
			{3, 0, 1, 1, 1, 1, 1},	  /* no name */
			{1, 192, 0, 2, 7, 0, 0},  /* no port */
			{1, 192, 0, 2, 7, 0},	  /* cut off */
		};
		const struct ss_method *m = ss_method_at(i);
		struct ss_client_conf conf;
		struct raw stranger;
		struct port p;

		if (!ss_method_insecure(m))
			continue;
		port_open(&p, m->name);
		raw_open(&stranger);
		ss_house_client(&p.house, SS_ALICE, &conf);
		for (size_t n = 0; n < m->salt_len; n++)
			raw_send(&p, &stranger, conf.key, n);
		for (size_t n = 0; n < ARRAY_LEN(senses); n++) {
			uint8_t bytes[SS_SALT_MAX + 7] = {0}, *text = bytes + m->salt_len;
			struct stream_cipher *c = NULL;
			size_t len = n == 3 ? 6 : 7;

			memcpy(text, senses[n], 7);
			if (m->class == SS_STREAM) {
				c = ss_cipher_make(m, conf.key, bytes, true);
				assert_non_null(c);
				assert_int_equal(stream_cipher_run(c, text, len, text), 0);
			}
			stream_cipher_free(c);
			raw_send(&p, &stranger, bytes, m->salt_len + len);
		}
		assert_int_equal(p.n, 0);
		assert_int_equal(counted(&p).packets, m->salt_len + ARRAY_LEN(senses));
		assert_int_equal(counted(&p).refused, counted(&p).packets);
		assert_int_equal(counted(&p).associations, 0);
		assert_false(raw_answered(&stranger));
		close(stranger.fd);
		port_close(&p);
	}
}

static void a_recording_is_refused_from_wherever_it_comes(void **state)
{
	for (size_t m = 0; m < ARRAY_LEN(ss_sealed_methods); m++) {
		struct by_hand h = {.who = SS_ALICE, .session = 7, .text = "hello"};
		struct raw owner, thief;
		uint8_t bytes[512];
		struct port p;
		size_t len;

		port_open(&p, ss_sealed_methods[m]);
		raw_open(&owner);
		raw_open(&thief);
		len = make(&p, &h, bytes);
		raw_send(&p, &owner, bytes, len);
		assert_int_equal(p.n, 1);
		hear(p.assoc[0], "hello", 5, TARGET);
		raw_send(&p, &owner, bytes, len);
		raw_send(&p, &thief, bytes, len);
		assert_int_equal(p.n, 1);
		nothing(p.assoc[0]);
		say(p.assoc[0], "answer", 6, TARGET);
		turns(&p);
		assert_true(raw_answered(&owner));
		assert_false(raw_answered(&thief));
		/* nor once the association has ended */
		dgram_free(p.assoc[0]);
		p.n = 0;
		raw_send(&p, &thief, bytes, len);
		assert_int_equal(p.n, 0);
		assert_int_equal(counted(&p).refused, 3);
		close(owner.fd);
		close(thief.fd);
		port_close(&p);
	}
}

static void an_answer_that_is_thrown_back_is_no_request(void **state)
{
	for (size_t m = 0; m < ARRAY_LEN(ss_sealed_methods); m++) {
		struct by_hand h = {.who = SS_ALICE, .session = 7, .text = "hello"};
		struct raw owner, thief;
		uint8_t bytes[512];
		ssize_t len;
		struct port p;

		port_open(&p, ss_sealed_methods[m]);
		raw_open(&owner);
		raw_open(&thief);
		raw_send(&p, &owner, bytes, make(&p, &h, bytes));
		hear(p.assoc[0], "hello", 5, TARGET);
		say(p.assoc[0], "answer", 6, TARGET);
		turns(&p);
		len = recv(owner.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		assert_true(len > 0);
		raw_send(&p, &owner, bytes, (size_t)len);
		raw_send(&p, &thief, bytes, (size_t)len);
		assert_int_equal(p.n, 1);
		assert_int_equal(counted(&p).refused, 2);
		nothing(p.assoc[0]);
		assert_false(raw_answered(&thief));
		close(owner.fd);
		close(thief.fd);
		port_close(&p);
	}
}

static void a_2022_session_goes_on_from_another_address(void **state)
{
	for (size_t m = 0; m < ARRAY_LEN(ss_sealed_methods); m++) {
		struct by_hand h = {.who = SS_ALICE, .session = 7, .text = "hello"};
		struct raw here, there;
		uint8_t bytes[512];
		struct port p;

		port_open(&p, ss_sealed_methods[m]);
		if (p.house.conf.method->class == SS_2022) {
			raw_open(&here);
			raw_open(&there);
			raw_send(&p, &here, bytes, make(&p, &h, bytes));
			h.packet = 1;
			raw_send(&p, &there, bytes, make(&p, &h, bytes));
			assert_int_equal(p.n, 1);
			hear(p.assoc[0], "hello", 5, TARGET);
			hear(p.assoc[0], "hello", 5, TARGET);
			say(p.assoc[0], "answer", 6, TARGET);
			turns(&p);
			assert_true(raw_answered(&there));
			assert_false(raw_answered(&here));
			close(here.fd);
			close(there.fd);
		}
		port_close(&p);
	}
}

/* Two sockets as two workers have them. */
static void a_2022_session_that_moves_to_another_worker_stays_what_it_is(void **state)
{
	static const char *const methods[] = {"2022-blake3-aes-128-gcm",
					      "2022-blake3-chacha20-poly1305"};

	for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
		struct by_hand h = {.who = SS_ALICE, .session = 7, .text = "one"};
		uint8_t first[512], bytes[512];
		struct ss_sessions *sessions;
		struct raw here, there;
		struct addr second;
		struct ss_udp *other;
		struct port p;
		size_t len;

		port_open(&p, methods[m]);
		assert_int_equal(ss_sessions_new(&sessions), 0);
		p.service.sessions = sessions;
		ss_udp_use(p.udp, &p.service, opened, &p);
		assert_int_equal(
			ss_udp_new(p.loop, bound(&second), AF_INET, &p.service, opened, &p, &other),
			0);
		raw_open(&here);
		raw_open(&there);
		len = make(&p, &h, first);
		raw_send(&p, &here, first, len);
		p.at = second;
		raw_send(&p, &there, first, len); /* a recording, played back elsewhere */
		h = (struct by_hand){.who = SS_ALICE, .session = 7, .packet = 1, .text = "two"};
		raw_send(&p, &there, bytes, make(&p, &h, bytes));
		assert_int_equal(p.n, 1);
		hear(p.assoc[0], "one", 3, TARGET);
		hear(p.assoc[0], "two", 3, TARGET);
		nothing(p.assoc[0]);
		say(p.assoc[0], "answer", 6, TARGET);
		turns(&p);
		assert_true(raw_answered(&there));
		assert_false(raw_answered(&here));
		if (ss_house_has_bob(&p.house)) { /* whose session it is not */
			h = (struct by_hand){SS_BOB, .session = 7, .packet = 2, .text = "bob"};
			raw_send(&p, &there, bytes, make(&p, &h, bytes));
			nothing(p.assoc[0]);
			assert_int_equal(p.n, 1);
		}
		/* its worker has gone: the other one begins anew */
		ss_udp_close(p.udp);
		p.udp = other;
		h = (struct by_hand){.who = SS_ALICE, .session = 7, .packet = 3, .text = "on"};
		raw_send(&p, &there, bytes, make(&p, &h, bytes));
		assert_int_equal(p.n, 2);
		hear(p.assoc[1], "on", 2, TARGET);
		close(here.fd);
		close(there.fd);
		ss_udp_close(p.udp);
		p.udp = NULL;
		ss_sessions_free(sessions);
		port_close(&p);
	}
}

/* ---- workers that are threads ------------------------------------------------------------- */

enum { WORKERS = 3, SESSIONS = 200, ROUNDS = 50 };

struct one_worker {
	pthread_t thread;
	struct ss_sessions *all;
	struct loop *loop;
	struct ss_member *me;
	uint32_t got;
};

static void take(void *arg, const struct ss_handed *h)
{
	struct one_worker *w = arg;

	assert_int_equal(h->len, 4);
	w->got++;
}

static void *work(void *arg)
{
	struct one_worker *w = arg;

	for (uint64_t i = 0; i < SESSIONS * ROUNDS; i++) {
		struct ss_separate sep = {.packet = i};
		uint64_t id = i % SESSIONS;
		uint8_t name[SS_KEY_MAX] = {0};
		struct addr none = {0};

		memcpy(sep.session, &id, sizeof(id));
		if (ss_sessions_claim(w->me, sep.session) == -EALREADY)
			ss_sessions_hand(w->all, &sep, name, &none, &none, "abcd", 4);
		else if (i % 3 == 0)
			ss_sessions_release(w->me, sep.session);
		if (i % 16 == 0)
			loop_turn(w->loop, 0);
	}
	return NULL;
}

static void sessions_pass_between_workers_while_all_are_at_work(void **state)
{
	struct one_worker w[WORKERS] = {0};
	struct ss_sessions *all;
	uint32_t got = 0;

	assert_int_equal(ss_sessions_new(&all), 0);
	for (int i = 0; i < WORKERS; i++) {
		w[i].all = all;
		w[i].loop = loop_new(LOOP_EPOLL, 0);
		w[i].me = ss_sessions_join(all, w[i].loop, take, &w[i]);
	}
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(w[i].thread, NULL);
	for (int i = 0; i < WORKERS; i++) {
		while (loop_turn(w[i].loop, 0) > 0)
			;
		got += w[i].got;
		ss_sessions_leave(w[i].me);
	}
	assert_true(got > 0);
	for (int i = 0; i < WORKERS; i++)
		loop_free(w[i].loop);
	ss_sessions_free(all);
}

static void a_2022_session_that_ended_early_opens_again_with_its_next_packet(void **state)
{
	struct by_hand h = {.who = SS_ALICE, .session = 7, .packet = 5, .text = "hello"};
	uint8_t bytes[512];
	struct raw r;
	struct port p;

	port_open(&p, "2022-blake3-aes-256-gcm");
	raw_open(&r);
	raw_send(&p, &r, bytes, make(&p, &h, bytes));
	dgram_free(p.assoc[0]);
	p.n = 0;
	h.packet = 6;
	raw_send(&p, &r, bytes, make(&p, &h, bytes));
	assert_int_equal(p.n, 1);
	assert_int_equal(p.user[0], 1);
	hear(p.assoc[0], "hello", 5, TARGET);
	close(r.fd);
	port_close(&p);
}

/* One that lives on, and was first, keeps nobody from being forgotten. */
static void ended_2022_sessions_are_remembered_up_to_so_many(void **state)
{
	struct by_hand h = {.who = SS_ALICE, .text = "hello"};
	uint8_t bytes[512];
	struct raw r;
	struct port p;

	port_open(&p, "2022-blake3-aes-128-gcm");
	raw_open(&r);
	raw_send(&p, &r, bytes, make(&p, &h, bytes));
	for (h.session = 1; h.session <= 4096 + 100; h.session++) {
		raw_send(&p, &r, bytes, make(&p, &h, bytes));
		assert_int_equal(p.n, 2);
		dgram_free(p.assoc[--p.n]);
	}
	assert_int_equal(counted(&p).associations, 1 + 4096);
	h.packet = 1;
	h.session = 0; /* still what it was */
	raw_send(&p, &r, bytes, make(&p, &h, bytes));
	assert_int_equal(p.n, 1);
	h.session = 200; /* remembered, and now somebody's again */
	raw_send(&p, &r, bytes, make(&p, &h, bytes));
	assert_int_equal(p.n, 2);
	h.packet = 0;
	raw_send(&p, &r, bytes, make(&p, &h, bytes));
	assert_int_equal(counted(&p).refused, 1);
	for (h.session = 5000; h.session < 5000 + 4100; h.session++) {
		raw_send(&p, &r, bytes, make(&p, &h, bytes));
		dgram_free(p.assoc[--p.n]);
	}
	assert_int_equal(counted(&p).associations, 2 + 4096);
	close(r.fd);
	port_close(&p);
}

/* As many as there are of them: packets whose address makes no sense have no owner from the start. */
static void sessions_that_never_had_an_owner_are_bounded_too(void **state)
{
	struct by_hand h = {.who = SS_ALICE, .text = "hello", .dest = "192.0.2.7:0"};
	uint8_t bytes[512];
	struct raw r;
	struct port p;

	port_open(&p, "2022-blake3-aes-128-gcm");
	raw_open(&r);
	for (h.session = 1; h.session <= 4096 + 100; h.session++)
		raw_send(&p, &r, bytes, make(&p, &h, bytes));
	assert_int_equal(p.n, 0);
	assert_int_equal(counted(&p).associations, 4096);
	close(r.fd);
	port_close(&p);
}

static void a_2022_clock_may_be_half_a_minute_off(void **state)
{
	for (size_t m = 0; m < ARRAY_LEN(ss_sealed_methods); m++) {
		struct by_hand h = {.who = SS_ALICE, .session = 7, .text = "hello"};
		uint8_t bytes[512];
		struct raw r;
		struct port p;

		port_open(&p, ss_sealed_methods[m]);
		raw_open(&r);
		if (p.house.conf.method->class == SS_2022) {
			for (h.late = -40; h.late <= 40; h.late += 5) {
				int before = p.n;

				h.session++;
				raw_send(&p, &r, bytes, make(&p, &h, bytes));
				assert_int_equal(p.n - before, h.late >= -30 && h.late <= 30);
			}
		}
		close(r.fd);
		port_close(&p);
	}
}

static void a_session_stays_with_the_user_who_opened_it(void **state)
{
	struct by_hand h = {.who = SS_ALICE, .session = 7, .text = "hello"};
	uint8_t bytes[512];
	struct raw r;
	struct port p;

	port_open(&p, "2022-blake3-aes-128-gcm");
	raw_open(&r);
	raw_send(&p, &r, bytes, make(&p, &h, bytes));
	h = (struct by_hand){.who = SS_BOB, .session = 7, .packet = 1, .text = "bob"};
	raw_send(&p, &r, bytes, make(&p, &h, bytes));
	h = (struct by_hand){SS_ALICE, .named = SS_BOB, .session = 7, .packet = 2, .text = "ab"};
	raw_send(&p, &r, bytes, make(&p, &h, bytes));
	h = (struct by_hand){SS_BOB, .named = SS_ALICE, .session = 7, .packet = 3, .text = "ba"};
	raw_send(&p, &r, bytes, make(&p, &h, bytes));
	assert_int_equal(p.n, 1);
	assert_int_equal(counted(&p).refused, 3);
	hear(p.assoc[0], "hello", 5, TARGET);
	nothing(p.assoc[0]);
	close(r.fd);
	port_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_go_to_the_target_and_answers_come_back_from_anywhere),
		cmocka_unit_test(each_user_and_each_client_has_an_association_of_its_own),
		cmocka_unit_test(a_socket_that_closes_ends_its_associations),
		cmocka_unit_test(another_server_key_ends_what_was_opened_under_the_old_one),
		cmocka_unit_test(an_association_that_nobody_reads_holds_so_much_and_no_more),
		cmocka_unit_test(strangers_get_silence_and_leave_nothing),
		cmocka_unit_test(behind_a_plugin_a_strangers_failures_are_not_everybodys),
		cmocka_unit_test(without_integrity_what_makes_no_sense_is_refused),
		cmocka_unit_test(a_recording_is_refused_from_wherever_it_comes),
		cmocka_unit_test(an_answer_that_is_thrown_back_is_no_request),
		cmocka_unit_test(a_2022_session_goes_on_from_another_address),
		cmocka_unit_test(a_2022_session_that_moves_to_another_worker_stays_what_it_is),
		cmocka_unit_test(sessions_pass_between_workers_while_all_are_at_work),
		cmocka_unit_test(a_2022_session_that_ended_early_opens_again_with_its_next_packet),
		cmocka_unit_test(ended_2022_sessions_are_remembered_up_to_so_many),
		cmocka_unit_test(sessions_that_never_had_an_owner_are_bounded_too),
		cmocka_unit_test(a_2022_clock_may_be_half_a_minute_off),
		cmocka_unit_test(a_session_stays_with_the_user_who_opened_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
