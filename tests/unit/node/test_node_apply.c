/* What an apply leaves behind when memory runs out in the middle of it, what becomes of a port whose
 * cipher changes, and what stays whatever changes.
 */
#include "node/bed.h"
#include "node/node_impl.h"
#include "proto/shadowsocks/shadowsocks.h"
#include "proto/vless/vless.h"
#include "proto/vlessenc/vlessenc_conf.h"
#include "proto/vmess/vmess.h"

#include <dlfcn.h>
#include <stdatomic.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_CALLOC 0 /* a sanitizer brings its own */
#else
#define OWN_CALLOC 1
#endif

static _Thread_local int left_here; /* calls until one fails on this thread; 0: none will */
static _Thread_local bool is_control;
static atomic_int left_elsewhere;

#if OWN_CALLOC
static void *(*next_calloc)(size_t, size_t);

static bool fails(void)
{
	if (is_control)
		return left_here > 0 && --left_here == 0;
	return atomic_load(&left_elsewhere) > 0 && atomic_fetch_sub(&left_elsewhere, 1) == 1;
}

void *calloc(size_t n, size_t size)
{
	if (!next_calloc)
		*(void **)&next_calloc = dlsym(RTLD_NEXT, "calloc");
	return fails() ? NULL : next_calloc(n, size);
}
#endif

static void put_users(struct user_list *l, int64_t from, int64_t to)
{
	user_list_init(l);
	for (int64_t id = from; id <= to; id++) {
		struct user_entry e = {.id = id, .credential_len = 36};
		char text[40];

		snprintf(text, sizeof(text), "00000000-0000-4000-8000-%012d", (int)id);
		e.credential = text;
		assert_int_equal(user_list_add(l, &e), 0);
	}
}

static int apply_users(struct bed *b, const struct user_list *l)
{
	struct node_target *t = target_of(b);

	b->applied = 0;
	return t->ops->apply(t, b->info, l, note_applied, b);
}

static unsigned applies_until_it_fits(struct bed *b, const struct user_list *l)
{
	for (int n = 1; n < 1000; n++) {
		int err;

		left_here = n;
		err = apply_users(b, l);
		if (left_here > 0) { /* none was left to fail */
			left_here = 0;
			assert_int_equal(err, -EINPROGRESS);
			wait_for(b, &b->applied);
			return (unsigned)n - 1;
		}
		if (err == -EINPROGRESS) /* it could do without */
			wait_for(b, &b->applied);
	}
	fail();
	return 0;
}

/* A table that was made and never sent would leave its removed users for ever, which the registry's
 * end does not forgive.
 */
static void an_apply_that_finds_no_memory_can_be_repeated(void **state)
{
	struct user_list first, second;
	struct bed b;

	if (!OWN_CALLOC)
		skip();
	is_control = true;
	open_bed(&b, SECURITY_NONE);
	put_users(&first, 1, 20);
	put_users(&second, 11, 30);
	assert_int_equal(apply_users(&b, &first), -EINPROGRESS);
	wait_for(&b, &b.applied);
	for (int round = 0; round < 3; round++) {
		assert_true(applies_until_it_fits(&b, &second) > 0);
		assert_true(applies_until_it_fits(&b, &first) > 0);
		b.info = (node_info_put(b.info), node_info_new());
		b.info->type = NODE_VLESS;
		b.info->port = free_port();
		assert_true(applies_until_it_fits(&b, &second) > 0);
		assert_true(connects(&b));
	}
	user_list_done(&first);
	user_list_done(&second);
	close_bed(&b);
}

static void a_worker_without_memory_is_asked_until_it_serves(void **state)
{
	struct bed b;

	if (!OWN_CALLOC)
		skip();
	is_control = true;
	open_bed(&b, SECURITY_NONE);
	settle(&b);
	for (int n = 1; n <= 2; n++) { /* the generation's memory, and the listener's */
		atomic_store(&left_elsewhere, n);
		assert_int_equal(apply(&b), -EINPROGRESS);
		settle(&b);
		assert_int_equal(atomic_load(&left_elsewhere), 0);
		assert_int_not_equal(b.applied, 1);
		if (n == 1)
			assert_int_equal(node_state(b.node), NODE_NEW);
		loop_turn(b.control, NSEC_SEC);
		wait_for(&b, &b.applied);
		assert_int_equal(node_state(b.node), NODE_SERVING);
		assert_true(connects(&b));
		settle(&b); /* the visitor has left, and with him what he asked memory for */
		b.info = (node_info_put(b.info), node_info_new());
		b.info->type = NODE_VLESS;
		b.info->port = free_port();
	}
	close_bed(&b);
}

static void a_node_that_closes_meanwhile_does_not_try_on(void **state)
{
	struct bed b;

	if (!OWN_CALLOC)
		skip();
	is_control = true;
	open_bed(&b, SECURITY_NONE);
	serve(&b);
	b.info = (node_info_put(b.info), node_info_new());
	b.info->type = NODE_VLESS;
	b.info->port = free_port();
	atomic_store(&left_elsewhere, 1);
	assert_int_equal(target_of(&b)->ops->apply(target_of(&b), b.info, NULL, NULL, NULL),
			 -EINPROGRESS);
	settle(&b);
	assert_int_equal(atomic_load(&left_elsewhere), 0);
	close_bed(&b);
}

/* ---- another cipher on the same port ------------------------------------------------------ */

static bool has_udp(const struct bed *b)
{
	struct addr a;
	bool taken;
	int fd;

	assert_int_equal(addr_parse_ip(&a, "127.0.0.1", (uint16_t)b->info->port), 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_true(fd >= 0);
	taken = bind(fd, &a.sa, a.len) != 0;
	close(fd);
	return taken;
}

static void shout(const struct bed *b)
{
	uint8_t noise[64] = {1, 2, 3};
	struct addr a;
	int fd;

	assert_int_equal(addr_parse_ip(&a, "127.0.0.1", (uint16_t)b->info->port), 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_true(fd >= 0);
	for (size_t n = 0; n <= sizeof(noise); n++)
		sendto(fd, noise, n, 0, &a.sa, a.len);
	close(fd);
}

static void say_cipher(struct bed *b, const char *cipher)
{
	uint16_t port = (uint16_t)b->info->port;

	b->info = (node_info_put(b->info), node_info_new());
	b->info->type = NODE_SHADOWSOCKS;
	b->info->port = port;
	b->info->ss.cipher = cipher;
	b->info->ss.server_key = strstr(cipher, "2022") ? "AAECAwQFBgcICQoLDA0ODw==" : NULL;
}

static void open_ss_bed(struct bed *b)
{
	open_bed_with(b, SECURITY_NONE,
		      ",\"InsecureCiphers\":[\"none\",\"aes-192-cfb\",\"rc4-md5\"]");
}

static void every_cipher_has_udp_and_follows_every_other(void **state)
{
	static const char *const walk[] = {
		"aes-128-gcm", "none",	      "2022-blake3-aes-128-gcm",
		"aes-192-cfb", "aes-192-gcm", "2022-blake3-aes-128-gcm",
		"rc4-md5",     "none",	      "chacha20-ietf-poly1305",
	};
	struct bed b;

	open_ss_bed(&b);
	for (size_t i = 0; i < ARRAY_LEN(walk); i++) {
		say_cipher(&b, walk[i]);
		serve(&b);
		assert_true(has_udp(&b));
		shout(&b);
		settle(&b);
		assert_true(connects(&b));
	}
	close_bed(&b);
}

static void udp_that_somebody_has_leaves_the_node_as_it_is(void **state)
{
	uint16_t mine, theirs = free_port();
	struct addr a;
	struct bed b;
	int fd;

	open_ss_bed(&b);
	say_cipher(&b, "aes-128-gcm");
	serve(&b);
	assert_int_equal(addr_parse_ip(&a, "127.0.0.1", theirs), 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, &a.sa, a.len), 0);
	mine = (uint16_t)b.info->port;
	say_cipher(&b, "aes-128-gcm");
	b.info->port = theirs;
	assert_int_equal(apply(&b), -EADDRINUSE);
	b.info->port = mine;
	assert_true(has_udp(&b));
	assert_true(connects(&b));
	b.info->port = theirs;
	assert_false(connects(&b));
	close(fd);
	serve(&b);
	assert_true(has_udp(&b));
	close_bed(&b);
}

static void a_worker_without_memory_for_udp_is_asked_until_it_has_it(void **state)
{
	int failed = 0;

	if (!OWN_CALLOC)
		skip();
	is_control = true;
	for (int n = 1; n <= 8; n++) {
		struct bed b;

		open_ss_bed(&b);
		say_cipher(&b, "aes-128-gcm");
		serve(&b);
		settle(&b);
		say_cipher(&b, "aes-128-gcm");
		b.info->port = free_port();
		atomic_store(&left_elsewhere, n);
		assert_int_equal(apply(&b), -EINPROGRESS);
		settle(&b);
		failed += !b.applied;
		atomic_store(&left_elsewhere, 0);
		if (!b.applied)
			loop_turn(b.control, NSEC_SEC);
		wait_for(&b, &b.applied);
		assert_true(has_udp(&b));
		assert_true(connects(&b));
		settle(&b);
		close_bed(&b);
	}
	assert_true(failed >= 2); /* the generation's memory, and that of UDP */
}

/* ---- what is refused ----------------------------------------------------------------------- */

static void limit_devices(struct bed *b, int64_t devices)
{
	b->info->remote.set |= REMOTE_DEVICE_LIMIT;
	b->info->remote.device_limit = devices;
}

static uint32_t device_limit(const struct bed *b)
{
	const struct user *u = user_registry_find(b->node->users, 1);

	assert_non_null(u);
	return u->device_limit;
}

/* What ran runs on, and with it the limits of its users. */
static void a_refused_configuration_changes_no_limit(void **state)
{
	static const struct {
		const char *cipher;
		bool busy;
		int err; /* 0: it is served */
	} rows[] = {
		{"rot13", false, -ERR_UNSUPPORTED},
		{"aes-256-gcm", true, -EADDRINUSE},
		{"aes-256-gcm", false, 0},
	};
	struct user_list users;
	struct bed b;
	int fd = -1;

	open_ss_bed(&b);
	put_users(&users, 1, 2);
	say_cipher(&b, "aes-128-gcm");
	limit_devices(&b, 7);
	assert_int_equal(apply_users(&b, &users), -EINPROGRESS);
	wait_for(&b, &b.applied);
	assert_int_equal(device_limit(&b), 7);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr a;
		int err;

		say_cipher(&b, rows[i].cipher);
		b.info->port = free_port();
		limit_devices(&b, 1);
		assert_int_equal(addr_parse_ip(&a, "127.0.0.1", (uint16_t)b.info->port), 0);
		if (rows[i].busy)
			assert_int_equal(listener_bind(&a, &(struct listener_conf){0}, &fd), 0);
		err = apply_users(&b, &users);
		assert_int_equal(err, rows[i].err ? rows[i].err : -EINPROGRESS);
		if (!rows[i].err)
			wait_for(&b, &b.applied);
		assert_int_equal(device_limit(&b), rows[i].err ? 7 : 1);
		if (rows[i].busy)
			close(fd);
	}
	user_list_done(&users);
	close_bed(&b);
}

/* What could not be served says nothing about what the node is, nor about its limits. */
static void the_type_is_that_of_the_first_that_is_served(void **state)
{
	struct user_list users;
	struct bed b;

	open_ss_bed(&b);
	put_users(&users, 1, 2);
	say_cipher(&b, "rot13");
	limit_devices(&b, 1);
	assert_int_equal(apply_users(&b, &users), -ERR_UNSUPPORTED);
	b.info->type = NODE_TROJAN;
	b.info->network = NET_GRPC;
	assert_int_equal(apply_users(&b, &users), -ERR_UNSUPPORTED);
	b.info->network = NET_TCP;
	b.info->type = NODE_VMESS;
	limit_devices(&b, 5);
	assert_int_equal(apply_users(&b, &users), -EINPROGRESS);
	wait_for(&b, &b.applied);
	assert_true(connects(&b));
	assert_string_equal(b.node->proto->name, "vmess");
	assert_int_equal(device_limit(&b), 5);
	say_cipher(&b, "aes-128-gcm");
	assert_int_equal(apply_users(&b, &users), -ERR_CONFIG);
	assert_string_equal(b.node->proto->name, "vmess");
	assert_int_equal(device_limit(&b), 5);
	assert_true(connects(&b));
	user_list_done(&users);
	close_bed(&b);
}

/* ---- what the protocol keeps -------------------------------------------------------------- */

#define KEPT_MAX 4

/* What connections are judged by that came before: what they use of `in` as it is. */
static size_t used_by(const struct inbound *in, const void *out[KEPT_MAX])
{
	const struct vless_conf *vless = in->conf;
	const struct ss_conf *ss = in->conf;
	struct vmess_port *port;
	void *p;

	if (in->proto == &vless_proto) {
		out[0] = vless->encryption->tickets;
		return 1;
	}
	if (in->proto == &vmess_proto) { /* as each worker's part is made */
		assert_int_equal(in->proto->port_new(in->conf, in->memory, 1, &p), 0);
		port = p;
		out[0] = port->replay;
		in->proto->port_free(p);
		return 1;
	}
	if (in->proto != &shadowsocks_proto)
		return 0;
	out[0] = ss->replay;
	out[1] = ss->packets;
	out[2] = ss->sessions;
	out[3] = ss->known;
	return 4;
}

static void serve_with(struct bed *b, enum node_type type, const char *cipher)
{
	say_cipher(b, cipher);
	b->info->type = type;
	b->info->port = free_port();
	b->info->vless.decryption = "mlkem768x25519plus.native.600s.100-50-60."
				    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
	serve(b);
	settle(b);
}

/* What has come before a change of the configuration has come before; and nothing but that stays. */
static void what_a_protocol_remembers_outlives_its_configurations(void **state)
{
	static const struct {
		enum node_type type;
		size_t n;
	} rows[] = {{NODE_VLESS, 1}, {NODE_TROJAN, 0}, {NODE_VMESS, 1}, {NODE_SHADOWSOCKS, 4}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct proto *p = proto_find(node_type_name(rows[i].type));
		const void *first[KEPT_MAX], *then[KEPT_MAX];
		const void *memory;
		const struct node *n;
		struct bed b;

		open_ss_bed(&b);
		n = b.node;
		serve_with(&b, rows[i].type, "aes-128-gcm");
		memory = n->memory;
		assert_int_equal(memory != NULL, p->memory_new != NULL);
		assert_int_equal(n->in->conf != NULL, p->conf_free != NULL);
		assert_int_equal(used_by(n->in, first), rows[i].n);
		serve_with(&b, rows[i].type, "chacha20-ietf-poly1305");
		assert_ptr_equal(n->memory, memory);
		assert_ptr_equal(n->in->memory, memory);
		assert_int_equal(used_by(n->in, then), rows[i].n);
		for (size_t k = 0; k < rows[i].n; k++) {
			assert_non_null(first[k]);
			assert_ptr_equal(then[k], first[k]);
		}
		assert_ptr_equal(n->keyed, n->in);
		assert_int_equal(n->in->refs, 3); /* the node's two, and the one worker's */
		close_bed(&b);
	}
}

/* Salts of SIP004 and of SIP022 live differently long: each kind has its own place, whatever comes
 * between.
 */
static void each_kind_of_salts_stays_where_it_is(void **state)
{
	static const char *const walk[] = {"aes-128-gcm", "2022-blake3-aes-128-gcm"};
	const void *seen[2][KEPT_MAX], *now[KEPT_MAX];
	struct bed b;

	open_ss_bed(&b);
	for (size_t i = 0; i < 4; i++) {
		serve_with(&b, NODE_SHADOWSOCKS, walk[i % 2]);
		used_by(b.node->in, i < 2 ? seen[i] : now);
		if (i >= 2)
			assert_memory_equal(now, seen[i % 2], sizeof(now));
	}
	assert_ptr_not_equal(seen[0][0], seen[1][0]);
	assert_non_null(seen[0][1]);
	assert_null(seen[1][1]); /* packets of SIP022 are its sessions' */
	assert_ptr_equal(seen[0][2], seen[1][2]);
	assert_ptr_equal(seen[0][3], seen[1][3]);
	close_bed(&b);
}

static void no_node_remembers_for_another(void **state)
{
	static const enum node_type types[] = {NODE_VLESS, NODE_VMESS, NODE_SHADOWSOCKS};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const void *mine[KEPT_MAX], *theirs[KEPT_MAX];
		struct bed a, b;
		size_t n;

		open_ss_bed(&a);
		open_ss_bed(&b);
		serve_with(&a, types[i], "aes-128-gcm");
		serve_with(&b, types[i], "aes-128-gcm");
		n = used_by(a.node->in, mine);
		assert_true(n > 0);
		assert_int_equal(used_by(b.node->in, theirs), n);
		for (size_t k = 0; k < n; k++)
			assert_ptr_not_equal(mine[k], theirs[k]);
		close_bed(&a);
		close_bed(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_apply_that_finds_no_memory_can_be_repeated),
		cmocka_unit_test(a_worker_without_memory_is_asked_until_it_serves),
		cmocka_unit_test(a_node_that_closes_meanwhile_does_not_try_on),
		cmocka_unit_test(every_cipher_has_udp_and_follows_every_other),
		cmocka_unit_test(udp_that_somebody_has_leaves_the_node_as_it_is),
		cmocka_unit_test(a_worker_without_memory_for_udp_is_asked_until_it_has_it),
		cmocka_unit_test(a_refused_configuration_changes_no_limit),
		cmocka_unit_test(the_type_is_that_of_the_first_that_is_served),
		cmocka_unit_test(what_a_protocol_remembers_outlives_its_configurations),
		cmocka_unit_test(each_kind_of_salts_stays_where_it_is),
		cmocka_unit_test(no_node_remembers_for_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
