#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "panel/edit.h"
#include "panel/roster.h"
#include "panel/store.h"

static char folder[64], path[96];
static struct store *s;

static struct store *open_store(void)
{
	struct store *out;
	struct fault why;

	assert_int_equal(store_open(path, &out, &why), 0);
	return out;
}

static int setup(void **state)
{
	snprintf(folder, sizeof(folder), "/tmp/weir-store-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/panel.db", folder);
	s = open_store();
	return 0;
}

static int teardown(void **state)
{
	char other[112];

	store_close(s);
	unlink(path);
	snprintf(other, sizeof(other), "%s-wal", path);
	unlink(other);
	snprintf(other, sizeof(other), "%s-shm", path);
	unlink(other);
	return rmdir(folder);
}

static int64_t add_user(const char *credential, int64_t quota)
{
	struct panel_user u;

	panel_user_init(&u);
	if (credential)
		snprintf(u.credential, sizeof(u.credential), "%s", credential);
	u.quota = quota;
	assert_int_equal(store_user_add(s, &u), 0);
	return u.id;
}

static int64_t add_node(void)
{
	json_t *from = json_pack("{s:s, s:i}", "type", "vless", "port", 443);
	struct panel_node n;
	struct fault why;
	int64_t id;

	assert_int_equal(edit_node_add(s, from, &n, &why), 0);
	json_decref(from);
	id = n.id;
	panel_node_done(&n);
	return id;
}

static struct push_result push(int64_t node, const char *key, int64_t user, int64_t up,
			       int64_t down)
{
	struct push_entry e = {user, up, down};
	struct push_report report = {&e, 1};
	struct push_result r;

	assert_int_equal(store_push(s, node, key, &report, 1000, &r), 0);
	return r;
}

static struct panel_user user_at(int64_t id)
{
	struct panel_user u;

	assert_int_equal(store_user_get(s, id, &u), 0);
	return u;
}

static int64_t users_gen(void)
{
	struct store_gen gen;

	assert_int_equal(store_gen(s, &gen), 0);
	return gen.users;
}

static void what_is_stored_comes_back_after_reopening(void **state)
{
	struct panel_user u, back;

	panel_user_init(&u);
	snprintf(u.name, sizeof(u.name), "Ann");
	u.speed_mbps = 0.25;
	u.device_limit = 2;
	u.conn_limit = 3;
	u.quota = INT64_MAX;
	u.expire = 4102444800;
	assert_int_equal(store_user_add(s, &u), 0);
	store_close(s);
	s = open_store();
	back = user_at(u.id);
	assert_string_equal(back.credential, u.credential);
	assert_string_equal(back.name, "Ann");
	assert_true(back.speed_mbps == 0.25 && back.device_limit == 2 && back.conn_limit == 3);
	assert_true(back.quota == INT64_MAX && back.expire == 4102444800 && back.enabled);
	assert_true(back.created == u.created);
}

static void nobody_else_may_read_the_file(void **state)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_file_from_the_future_is_refused(void **state)
{
	sqlite3 *db;
	struct store *other;
	struct fault why;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(store_open(path, &other, &why), -ERR_UNSUPPORTED);
	assert_non_null(strstr(why.text, "99"));
}

static void what_is_no_database_is_refused(void **state)
{
	struct store *other;
	struct fault why;
	FILE *f;
	char name[96];

	snprintf(name, sizeof(name), "%s/not", folder);
	f = fopen(name, "w");
	assert_non_null(f);
	fputs("this is not a database, and long enough to see that it is not one, one way or the "
	      "other, "
	      "whatever is looked at first in its header",
	      f);
	fclose(f);
	assert_true(store_open(name, &other, &why) < 0);
	assert_true(strlen(why.text) > 0);
	unlink(name);
	snprintf(name, sizeof(name), "%s/no/such/folder", folder);
	assert_int_equal(store_open(name, &other, &why), -ENOENT);
}

static void credentials_and_ids_are_taken_once(void **state)
{
	struct panel_user u;
	int64_t id = add_user("secret", 0);

	panel_user_init(&u);
	snprintf(u.credential, sizeof(u.credential), "secret");
	assert_int_equal(store_user_add(s, &u), -EEXIST);
	snprintf(u.credential, sizeof(u.credential), "other");
	u.id = id;
	assert_int_equal(store_user_add(s, &u), -EEXIST);
}

static void an_id_is_never_given_again(void **state)
{
	int64_t id = add_user(NULL, 0);

	assert_int_equal(store_user_del(s, id), 0);
	assert_int_equal(store_user_del(s, id), -ENOENT);
	assert_true(add_user(NULL, 0) > id);
}

static void a_push_adds_to_users_pairs_and_nodes(void **state)
{
	int64_t node = add_node(), user = add_user(NULL, 0);
	struct push_entry entries[] = {{user, 5, 6}, {user + 100, 7, 8}};
	struct push_report report = {entries, 2};
	struct push_result r;
	struct panel_node n;

	push(node, NULL, user, 1, 2);
	assert_int_equal(store_push(s, node, NULL, &report, 1000, &r), 0);
	assert_true(r.applied == 1 && r.ignored == 1 && !r.repeated);
	assert_true(user_at(user).up == 6 && user_at(user).down == 8);
	assert_int_equal(store_node_get(s, node, &n), 0);
	assert_true(n.up == 6 && n.down == 8 && n.ignored == 1);
	panel_node_done(&n);
	assert_int_equal(store_push(s, node + 1, NULL, &report, 1000, &r), -ENOENT);
	assert_true(user_at(user).up == 6);
}

static int pair_sum(const struct traffic_row *row, void *arg)
{
	int64_t *sum = arg;

	sum[0] += row->up;
	sum[1] += row->down;
	sum[2]++;
	return 0;
}

static void totals_by_node_add_up_to_the_users(void **state)
{
	int64_t a = add_node(), b = add_node(), user = add_user(NULL, 0), sum[3] = {0};

	push(a, NULL, user, 1, 2);
	push(b, NULL, user, 10, 20);
	push(b, NULL, user, 100, 200);
	assert_int_equal(store_traffic(s, user, pair_sum, sum), 0);
	assert_true(sum[0] == 111 && sum[1] == 222 && sum[2] == 2);
	assert_int_equal(edit_traffic_reset(s, user), 0);
	sum[0] = sum[1] = sum[2] = 0;
	assert_int_equal(store_traffic(s, user, pair_sum, sum), 0);
	assert_true(sum[2] == 0 && user_at(user).up == 0);
	assert_int_equal(edit_traffic_reset(s, user + 1), -ENOENT);
}

static void totals_saturate(void **state)
{
	int64_t node = add_node(), user = add_user(NULL, 0), sum[3] = {0};
	struct panel_node n;

	push(node, NULL, user, INT64_MAX - 1, INT64_MAX);
	push(node, NULL, user, 1, 1);
	push(node, NULL, user, 1, INT64_MAX);
	assert_true(user_at(user).up == INT64_MAX && user_at(user).down == INT64_MAX);
	assert_int_equal(store_traffic(s, user, pair_sum, sum), 0);
	assert_true(sum[0] == INT64_MAX && sum[1] == INT64_MAX);
	assert_int_equal(store_node_get(s, node, &n), 0);
	assert_true(n.up == INT64_MAX && n.down == INT64_MAX);
	panel_node_done(&n);
}

static void a_key_is_applied_once_for_each_node(void **state)
{
	int64_t a = add_node(), b = add_node(), user = add_user(NULL, 0);
	struct push_result r;

	r = push(a, "k1", user, 1, 1);
	assert_false(r.repeated);
	r = push(a, "k1", user, 1, 1);
	assert_true(r.repeated && r.applied == 1 && r.ignored == 0);
	r = push(b, "k1", user, 1, 1);
	assert_false(r.repeated);
	r = push(a, "k2", user, 1, 1);
	assert_false(r.repeated);
	assert_true(user_at(user).up == 3);
	store_close(s);
	s = open_store();
	assert_true(push(a, "k1", user, 1, 1).repeated);
	assert_true(user_at(user).up == 3);
}

struct racer {
	struct store *store;
	int64_t node, user;
	int applied;
};

static void *race(void *arg)
{
	struct racer *me = arg;
	struct push_entry e = {me->user, 1, 1};
	struct push_report report = {&e, 1};
	struct push_result r;
	char key[16];

	for (int i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), "key-%d", i);
		if (store_push(me->store, me->node, key, &report, 1000, &r) == 0)
			me->applied += !r.repeated;
	}
	return NULL;
}

static void of_repeats_at_the_same_time_one_is_applied(void **state)
{
	int64_t node = add_node(), user = add_user(NULL, 0);
	struct racer racers[4];
	pthread_t threads[4];
	int applied = 0;

	for (int i = 0; i < 4; i++) {
		racers[i] = (struct racer){open_store(), node, user, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		applied += racers[i].applied;
		store_close(racers[i].store);
	}
	assert_int_equal(applied, 50);
	assert_true(user_at(user).up == 50);
}

static void keys_are_forgotten_by_age_but_never_the_newest(void **state)
{
	int64_t node = add_node(), user = add_user(NULL, 0), week = 7 * 86400;
	char key[16];

	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		push(node, key, user, 0, 0);
	}
	assert_int_equal(store_keys_prune(s, 1000 + week, 5, 100), 0);
	assert_true(push(node, "k0", user, 0, 0).repeated);
	assert_int_equal(store_keys_prune(s, 1001 + week, 5, 100), 0);
	assert_true(push(node, "k15", user, 0, 0).repeated);
	assert_false(push(node, "k14", user, 0, 0).repeated);
	/* However young: never more than the most. */
	assert_int_equal(store_keys_prune(s, 1000, 2, 3), 0);
	assert_false(push(node, "k15", user, 0, 0).repeated);
}

static void the_generation_moves_with_what_nodes_see(void **state)
{
	int64_t node = add_node(), user, gen = users_gen();
	struct panel_user u;
	struct store *other = open_store();

	user = add_user(NULL, 100);
	assert_true(users_gen() > gen);
	gen = users_gen();
	push(node, NULL, user, 40, 40);
	assert_true(users_gen() == gen); /* traffic alone is nothing new to nodes */
	push(node, NULL, user, 20, 0);
	assert_true(users_gen() > gen); /* quota reached */
	gen = users_gen();
	push(node, NULL, user, 20, 0);
	assert_true(users_gen() == gen);
	assert_int_equal(store_user_get(other, user, &u), 0);
	u.quota = 0;
	assert_int_equal(store_user_set(other, &u), 0);
	assert_true(users_gen() > gen); /* by another process, too */
	gen = users_gen();
	assert_int_equal(store_user_del(other, user), 0);
	assert_true(users_gen() > gen);
	store_close(other);
}

static void a_list_of_users_is_added_as_a_whole(void **state)
{
	json_t *list = json_loads("[{\"uuid\":\"a\"},{\"uuid\":\"b\"},{\"uuid\":\"a\"}]", 0, NULL);
	json_t *made = json_array();
	struct panel_user u;
	struct fault why;

	assert_int_equal(edit_users_add(s, list, made, &why), -EINVAL);
	assert_non_null(strstr(why.text, "[2]"));
	assert_int_equal(store_user_get(s, 1, &u), -ENOENT);
	json_decref(list);
	json_decref(made);
}

static void a_refused_change_changes_nothing(void **state)
{
	int64_t id = add_user("kept", 5);
	json_t *from = json_loads("{\"quota\":7,\"device_limit\":-1}", 0, NULL);
	struct panel_user u;
	struct fault why;

	assert_int_equal(edit_user_change(s, id, from, &u, &why), -EINVAL);
	assert_true(user_at(id).quota == 5);
	assert_int_equal(edit_user_change(s, id + 1, from, &u, &why), -ENOENT);
	json_decref(from);
}

static void the_roster_lists_who_may_be_served_and_notices_the_clock(void **state)
{
	struct roster r;
	struct panel_user u;
	char first[72];
	int64_t a = add_user("a", 0), b = add_user("b", 0);

	u = user_at(b);
	u.expire = 2000;
	u.device_limit = 1;
	assert_int_equal(store_user_set(s, &u), 0);
	roster_init(&r, s);
	assert_int_equal(roster_users(&r, 2000), 0);
	assert_int_equal(r.n_users, 2);
	assert_false(roster_user(&r, a)->limited);
	assert_true(roster_user(&r, b)->limited);
	assert_null(roster_user(&r, b + 1));
	assert_non_null(strstr(r.body.body, "\"b\""));
	snprintf(first, sizeof(first), "%s", r.body.etag);
	assert_int_equal(roster_users(&r, 2001), 0);
	assert_null(strstr(r.body.body, "\"b\""));
	assert_string_not_equal(r.body.etag, first);
	/* The clock was wrong and is set back. */
	assert_int_equal(roster_users(&r, 1999), 0);
	assert_string_equal(r.body.etag, first);
	roster_done(&r);
}

static void notes_are_kept(void **state)
{
	char out[8];

	assert_int_equal(store_note_get(s, "x", out, sizeof(out)), -ENOENT);
	assert_int_equal(store_note_set(s, "x", "one"), 0);
	assert_int_equal(store_note_set(s, "x", "two and more"), 0);
	assert_int_equal(store_note_get(s, "x", out, sizeof(out)), 0);
	assert_string_equal(out, "two and");
}

/* What another process may lock of the file: asked from a child, for one's own locks never bar. */
static bool another_process_may_lock(void)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd, status;
	pid_t child = fork();

	if (child == 0) {
		fd = open(path, O_RDWR);
		_exit(fd >= 0 && fcntl(fd, F_GETLK, &whole) == 0 && whole.l_type == F_UNLCK);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status) == 1;
}

static void opening_it_again_keeps_the_locks_of_who_has_it_open(void **state)
{
	struct store *second;

	add_user("a", 0);
	assert_false(another_process_may_lock());
	second = open_store();
	assert_false(another_process_may_lock());
	store_close(second);
	assert_false(another_process_may_lock());
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_stored_comes_back_after_reopening),
		CASE(nobody_else_may_read_the_file),
		CASE(a_file_from_the_future_is_refused),
		CASE(what_is_no_database_is_refused),
		CASE(credentials_and_ids_are_taken_once),
		CASE(an_id_is_never_given_again),
		CASE(a_push_adds_to_users_pairs_and_nodes),
		CASE(totals_by_node_add_up_to_the_users),
		CASE(totals_saturate),
		CASE(a_key_is_applied_once_for_each_node),
		CASE(of_repeats_at_the_same_time_one_is_applied),
		CASE(keys_are_forgotten_by_age_but_never_the_newest),
		CASE(the_generation_moves_with_what_nodes_see),
		CASE(a_list_of_users_is_added_as_a_whole),
		CASE(a_refused_change_changes_nothing),
		CASE(the_roster_lists_who_may_be_served_and_notices_the_clock),
		CASE(notes_are_kept),
		CASE(opening_it_again_keeps_the_locks_of_who_has_it_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
