/* Ports on real workers, with VLESS as the protocol: it needs no keys. */
#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/sock.h"
#include "node/port.h"
#include "proto/proto.h"

#define UUID "b831381d-6324-4d53-ad4f-8cda48b30811"

struct bed {
	struct loop *control;
	struct counters *counters;
	struct workers workers;
	struct ports *ports;
	struct addr target;
	int target_fd, closed, freed;
	int udp_err, failed, failed_with; /* what udp_start() says; what came of it */
	int udp_fd;			  /* the first that it said so of */
	_Atomic int settled;		  /* ports that their worker has begun with */
};

static struct stream *serve(struct port_service *s, struct stream *lower,
			    const struct proto_inbound *in)
{
	return proto_find("vless")->server(lower, in);
}

static struct bed *the_bed;

static void gone(struct port_service *s)
{
	the_bed->freed++;
	free(s);
}

static int no_udp(struct port_service *s, int fd, struct session_inbound *in)
{
	if (!the_bed->udp_fd)
		the_bed->udp_fd = fd;
	return the_bed->udp_err;
}

static void note_settled(struct port_service *s, struct session_inbound *in)
{
	the_bed->settled++;
}

static void no_udp_stop(struct port_service *s)
{
}

static void note_failed(struct port_service *s, int err)
{
	assert_int_equal(the_bed->closed, 0);
	the_bed->failed++;
	the_bed->failed_with = err;
}

static int derive(void *arg, const char *credential, size_t len, uint8_t *key, uint8_t *secret)
{
	return proto_find("vless")->user_key(credential, len, key);
}

static void open_bed(struct bed *b, unsigned nworkers)
{
	static const uint8_t epoch[COUNTERS_EPOCH_LEN];
	struct direct_conf direct = {.allow_private = true};
	struct port_world world;

	*b = (struct bed){0};
	the_bed = b;
	b->control = loop_new(LOOP_EPOLL, 0);
	assert_int_equal(counters_create(NULL, epoch, nworkers, &b->counters), 0);
	assert_int_equal(workers_start(&b->workers, b->control, nworkers, b->counters), 0);
	world = (struct port_world){.workers = &b->workers,
				    .counters = b->counters,
				    .ledger_node = 3,
				    .direct = &direct};
	assert_int_equal(ports_new(&world, &b->ports), 0);
	assert_int_equal(addr_parse(&b->target, "127.0.0.1:0"), 0);
	assert_int_equal(listener_bind(&b->target, &(struct listener_conf){0}, &b->target_fd), 0);
	assert_int_equal(sock_local(b->target_fd, &b->target), 0);
}

static void close_bed(struct bed *b)
{
	ports_free(b->ports);
	workers_stop(&b->workers);
	counters_free(b->counters);
	close(b->target_fd);
	loop_free(b->control);
}

static int open_port_after(struct bed *b, const struct port *old, uint16_t number, int64_t id,
			   struct port **out)
{
	struct port_service *s = calloc(1, sizeof(*s));
	struct addr at;
	const struct user_entry user = {
		.id = id, .credential = UUID, .credential_len = sizeof(UUID) - 1};
	struct port_conf conf = {
		.service = s,
		.tcp = &at,
		.ntcp = 1,
		.times = {.handshake = 5 * NSEC_SEC,
			  .dial = 5 * NSEC_SEC,
			  .relay = {.idle = 60 * NSEC_SEC}},
		.users = {.key_len = 16, .derive = derive},
		.entries = &user,
		.nentries = 1,
		.inherit = old,
	};
	int err;

	assert_int_equal(addr_parse_ip(&at, "127.0.0.1", number), 0);
	*s = (struct port_service){.server = serve, .settle_in = note_settled, .free = gone};
	if (b->udp_err) {
		s->udp_start = no_udp;
		s->udp_stop = no_udp_stop;
		s->failed = note_failed;
		conf.udp = &at;
		conf.nudp = 1;
	}
	err = port_open(b->ports, &conf, out);
	if (err)
		free(s);
	return err;
}

static int open_port(struct bed *b, uint16_t number, int64_t id, struct port **out)
{
	return open_port_after(b, NULL, number, id, out);
}

static void note(void *arg)
{
	((struct bed *)arg)->closed++;
}

static void wait_closed(struct bed *b, int n)
{
	for (int i = 0; i < 5000 && b->closed < n; i++)
		loop_turn(b->control, NSEC_MS);
	assert_int_equal(b->closed, n);
}

static void close_port(struct bed *b, struct port *p, nsec_t grace)
{
	int before = b->closed;

	port_close(p, grace, note, b);
	wait_closed(b, before + 1);
}

static int dial(uint16_t port)
{
	struct addr at;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(addr_parse_ip(&at, "127.0.0.1", port), 0);
	if (connect(fd, &at.sa, at.len) == 0)
		return fd;
	close(fd);
	return -1;
}

/* A user's connection to the target through `port`; the far end goes into *far. */
static int tunnel(struct bed *b, uint16_t port, int *far)
{
	uint8_t head[26] = {0,	  0xb8, 0x31, 0x38, 0x1d, 0x63, 0x24, 0x4d, 0x53, 0xad,
			    0x4f, 0x8c, 0xda, 0x48, 0xb3, 0x08, 0x11, 0,    1};
	int fd = dial(port);

	assert_true(fd >= 0);
	memcpy(head + 19, &b->target.in.sin_port, 2);
	head[21] = 1;
	memcpy(head + 22, &b->target.in.sin_addr, 4);
	assert_int_equal(write(fd, head, sizeof(head)), sizeof(head));
	assert_int_equal(poll(&(struct pollfd){.fd = b->target_fd, .events = POLLIN}, 1, 5000), 1);
	*far = accept(b->target_fd, NULL, NULL);
	assert_true(*far >= 0);
	return fd;
}

static bool ends(int fd)
{
	char rest[256];
	ssize_t n = 1;

	while (n > 0) {
		if (poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 5000) != 1)
			return false;
		n = read(fd, rest, sizeof(rest));
	}
	return true;
}

static void what_moves_through_a_port_is_counted_in_its_slot(void **state)
{
	struct bed b;
	struct port *p;
	struct traffic t;
	struct counters_owner owner;
	uint32_t slot;
	char buf[8];
	int fd, far;

	open_bed(&b, 2);
	assert_int_equal(open_port(&b, 0, 77, &p), 0);
	assert_true(port_bound(p) > 0);
	fd = tunnel(&b, port_bound(p), &far);
	assert_int_equal(write(fd, "hello", 5), 5);
	assert_int_equal(recv(far, buf, 5, MSG_WAITALL), 5);
	assert_int_equal(write(far, "bye", 3), 3);
	assert_int_equal(recv(fd, buf, 5, MSG_WAITALL), 5); /* two of them are VLESS's */
	port_traffic(p, &t);
	assert_int_equal(t.up, 5);
	assert_int_equal(t.down, 3);
	user_fixed_slots(port_users(p), &slot);
	counters_owner(b.counters, slot, &owner);
	assert_int_equal(owner.user, 77);
	assert_int_equal(owner.node, 3);
	assert_int_equal(port_sessions(p), 1);
	close_port(&b, p, 0);
	assert_true(ends(fd));
	port_free(p, true);
	assert_int_equal(b.freed, 1);
	close(fd);
	close(far);
	close_bed(&b);
}

static void a_port_that_is_taken_opens_nothing(void **state)
{
	struct bed b;
	struct port *p, *q = NULL;

	open_bed(&b, 2);
	assert_int_equal(open_port(&b, 0, 1, &p), 0);
	assert_int_equal(open_port(&b, port_bound(p), 2, &q), -EADDRINUSE);
	assert_null(q);
	close_port(&b, p, 0);
	port_free(p, true);
	close_bed(&b);
}

static int bound_udp(uint16_t port)
{
	struct addr at;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(addr_parse_ip(&at, "127.0.0.1", port), 0);
	if (bind(fd, &at.sa, at.len) == 0)
		return fd;
	close(fd);
	return -1;
}

/* As behind a plugin that carries one of the two. */
static void a_number_of_its_own_is_not_that_of_the_public_side(void **state)
{
	static const struct port_service service = {
		.server = serve, .udp_start = no_udp, .udp_stop = no_udp_stop, .free = gone};
	struct bed b;
	struct addr at[2];

	for (int udp_is_public = 0; udp_is_public < 2; udp_is_public++) {
		struct port_service *s = calloc(1, sizeof(*s));
		struct port_conf conf = {.service = s,
					 .tcp = &at[udp_is_public],
					 .udp = &at[!udp_is_public],
					 .ntcp = 1,
					 .nudp = 1,
					 .users = {.key_len = 16, .derive = derive}};
		struct port *p;
		uint16_t number;
		int fd, err;

		open_bed(&b, 1);
		b.udp_err = -ENOMEM; /* nobody speaks UDP here */
		*s = service;
		/* What is free for UDP may be another program's with TCP. */
		err = -EADDRINUSE;
		for (int i = 0; i < 20 && err == -EADDRINUSE; i++) {
			fd = bound_udp(0);
			assert_int_equal(sock_local(fd, &at[0]), 0);
			close(fd);
			assert_int_equal(addr_parse_ip(&at[1], "127.0.0.1", 0), 0);
			err = port_open(b.ports, &conf, &p);
		}
		assert_int_equal(err, 0);
		number = addr_port(&at[0]);
		assert_int_not_equal(port_bound(p), number);
		assert_int_not_equal(port_bound(p), 0);
		if (!udp_is_public) { /* the plugin's */
			fd = bound_udp(number);
			assert_true(fd >= 0);
			close(fd);
		}
		close_port(&b, p, 0);
		port_free(p, true);
		close_bed(&b);
	}
}

static void a_slot_that_changed_hands_begins_at_zero(void **state)
{
	struct bed b;
	struct port *p;
	struct traffic t;
	char buf[8];
	int fd, far;

	open_bed(&b, 1);
	assert_int_equal(open_port(&b, 0, 1, &p), 0);
	fd = tunnel(&b, port_bound(p), &far);
	assert_int_equal(write(fd, "hello", 5), 5);
	assert_int_equal(recv(far, buf, 5, MSG_WAITALL), 5);
	close_port(&b, p, 0);
	port_free(p, true);
	close(fd);
	close(far);
	assert_int_equal(open_port(&b, 0, 2, &p), 0);
	port_traffic(p, &t);
	assert_int_equal(t.up, 0);
	close_port(&b, p, 0);
	port_free(p, true);
	close_bed(&b);
}

static void within_the_grace_a_connection_goes_on_and_then_closed_comes(void **state)
{
	struct bed b;
	struct port *p;
	char buf[8];
	int fd, far;

	open_bed(&b, 1);
	assert_int_equal(open_port(&b, 0, 1, &p), 0);
	fd = tunnel(&b, port_bound(p), &far);
	port_close(p, 60 * NSEC_SEC, note, &b);
	for (int i = 0; i < 100; i++)
		loop_turn(b.control, NSEC_MS);
	assert_int_equal(b.closed, 0);
	assert_int_equal(dial(port_bound(p)), -1);
	assert_int_equal(write(fd, "hello", 5), 5);
	assert_int_equal(recv(far, buf, 5, MSG_WAITALL), 5);
	close(fd);
	close(far);
	wait_closed(&b, 1);
	port_free(p, true);
	close_bed(&b);
}

static void asked_again_without_grace_it_ends_at_once(void **state)
{
	struct bed b;
	struct port *p;
	int fd, far;

	open_bed(&b, 1);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(open_port(&b, 0, 1, &p), 0);
		fd = tunnel(&b, port_bound(p), &far);
		port_close(p, 60 * NSEC_SEC, note, &b);
		if (i % 2) /* the two cross each other on the way */
			close(fd);
		port_close(p, 0, note, &b);
		wait_closed(&b, i + 1);
		port_free(p, true);
		if (i % 2 == 0) {
			assert_true(ends(fd));
			close(fd);
		}
		close(far);
	}
	close_bed(&b);
}

static void closed_before_its_worker_has_seen_it(void **state)
{
	struct bed b;
	struct port *p;

	open_bed(&b, 2);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(open_port(&b, 0, 1, &p), 0);
		close_port(&b, p, 0);
		port_free(p, true);
	}
	assert_int_equal(b.freed, 200);
	close_bed(&b);
}

static void a_successor_listens_on_and_nobody_finds_the_port_closed(void **state)
{
	struct bed b;
	struct port *old, *p;
	int fd, far;
	uint16_t number;

	open_bed(&b, 2);
	assert_int_equal(open_port(&b, 0, 1, &old), 0);
	number = port_bound(old);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(open_port_after(&b, old, number, i + 2, &p), 0);
		port_close(old, 0, note, &b);
		fd = dial(number);
		assert_true(fd >= 0);
		close(fd);
		wait_closed(&b, i + 1);
		port_free(old, true);
		old = p;
	}
	fd = tunnel(&b, number, &far);
	close_port(&b, old, 0);
	port_free(old, true);
	assert_true(ends(fd));
	close(fd);
	close(far);
	assert_int_equal(dial(number), -1);
	close_bed(&b);
}

/* The number that TCP was given may be another program's with UDP. */
static void open_free_port(struct bed *b, struct port **out)
{
	int err = -EADDRINUSE;

	for (int i = 0; i < 20 && err == -EADDRINUSE; i++)
		err = open_port(b, 0, 1, out);
	assert_int_equal(err, 0);
}

static void a_socket_that_its_worker_cannot_take_is_told_of_once(void **state)
{
	struct bed b;
	struct port *p;
	int fd;

	open_bed(&b, 2);
	b.udp_err = -ENOMEM;
	open_free_port(&b, &p);
	for (int i = 0; i < 5000 && !b.failed; i++)
		loop_turn(b.control, NSEC_MS);
	assert_int_equal(b.failed, 1);
	assert_int_equal(b.failed_with, -ENOMEM);
	fd = dial(port_bound(p)); /* the other one goes on */
	assert_true(fd >= 0);
	close(fd);
	close_port(&b, p, 0);
	port_free(p, true);
	for (int i = 0; i < 50; i++) { /* closed at once, it still tells before */
		b.closed = b.failed = 0;
		open_free_port(&b, &p);
		close_port(&b, p, 0);
		assert_int_equal(b.failed, 1);
		port_free(p, true);
	}
	close_bed(&b);
}

/* Until it is, it may be about to duplicate that socket for a successor. */
static void a_socket_that_its_worker_cannot_take_stays_open_until_control_is_told(void **state)
{
	struct bed b;
	struct port *p, *next;

	open_bed(&b, 1);
	b.udp_err = -ENOMEM;
	open_free_port(&b, &p);
	open_free_port(&b, &next);
	for (int i = 0; i < 10000 && b.settled < 2; i++) /* then it has done with the first */
		poll(NULL, 0, 1);
	assert_int_equal(b.settled, 2);
	assert_int_equal(b.failed, 0);
	assert_true(fcntl(b.udp_fd, F_GETFD) >= 0);
	for (int i = 0; i < 5000 && b.failed < 2; i++)
		loop_turn(b.control, NSEC_MS);
	assert_int_equal(b.failed, 2);
	assert_int_equal(fcntl(b.udp_fd, F_GETFD), -1);
	close_port(&b, p, 0);
	port_free(p, true);
	close_port(&b, next, 0);
	port_free(next, true);
	close_bed(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_moves_through_a_port_is_counted_in_its_slot),
		cmocka_unit_test(a_port_that_is_taken_opens_nothing),
		cmocka_unit_test(a_number_of_its_own_is_not_that_of_the_public_side),
		cmocka_unit_test(a_slot_that_changed_hands_begins_at_zero),
		cmocka_unit_test(within_the_grace_a_connection_goes_on_and_then_closed_comes),
		cmocka_unit_test(asked_again_without_grace_it_ends_at_once),
		cmocka_unit_test(a_successor_listens_on_and_nobody_finds_the_port_closed),
		cmocka_unit_test(closed_before_its_worker_has_seen_it),
		cmocka_unit_test(a_socket_that_its_worker_cannot_take_is_told_of_once),
		cmocka_unit_test(
			a_socket_that_its_worker_cannot_take_stays_open_until_control_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
