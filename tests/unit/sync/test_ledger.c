#include "state.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/wait.h>

static void assert_entry(const struct ledger_batch *b, uint32_t i, int64_t user, uint64_t up,
			 uint64_t down)
{
	assert_true(i < b->n);
	assert_int_equal(b->entries[i].user, user);
	assert_int_equal(b->entries[i].up, up);
	assert_int_equal(b->entries[i].down, down);
}

static void assert_only_batch(struct state *s, int64_t user, uint64_t up, uint64_t down)
{
	struct ledger_batch b = state_batch(s, 0);

	assert_int_equal(state_waiting(s), 1);
	assert_int_equal(b.n, 1);
	assert_entry(&b, 0, user, up, down);
	ledger_batch_done(&b);
}

static void ack_all(struct state *s)
{
	struct ledger_batch heads[64];
	int n = ledger_batches(s->l, s->node, heads, ARRAY_LEN(heads));

	for (int i = 0; i < n; i++)
		assert_int_equal(ledger_ack(s->l, heads[i].seq), 0);
}

static void tr2_freezing_takes_who_has_more_than_the_threshold(void **state)
{
	struct ledger_batch b;
	struct state s;

	state_init(&s);
	state_user(&s, 3, 1000, 25);
	state_user(&s, 1, 1024, 0);
	state_user(&s, 2, 1024, 1);
	state_user(&s, 4, 0, 0);
	assert_int_equal(state_freeze(&s, 1024, 0), 1);
	b = state_batch(&s, 0);
	assert_int_equal(b.n, 2);
	assert_entry(&b, 0, 2, 1024, 1);
	assert_entry(&b, 1, 3, 1000, 25);
	assert_int_equal(b.total.up, 2024);
	ledger_batch_done(&b);
	assert_int_equal(state_totals(&s).pending.up, 1024); /* user 1 stays pending */
	assert_int_equal(state_freeze(&s, 1024, 0), 0);
	assert_int_equal(state_freeze(&s, 0, 0), 1);
	assert_int_equal(state_totals(&s).pending.up, 0);
	state_done(&s);
}

static void only_what_is_new_is_frozen_again(void **state)
{
	struct state s;
	uint32_t slot;

	state_init(&s);
	slot = state_user(&s, 1, 100, 200);
	assert_int_equal(state_freeze(&s, 0, 0), 1);
	ack_all(&s);
	assert_int_equal(state_freeze(&s, 0, 0), 0);
	state_add(&s, slot, 1, 2);
	assert_int_equal(state_freeze(&s, 0, 0), 1);
	assert_only_batch(&s, 1, 1, 2);
	state_done(&s);
}

static void tr2_no_freeze_while_more_than_ten_batches_wait(void **state)
{
	struct ledger_freeze last = {.always = true};
	struct ledger_batch b;
	struct state s;
	uint32_t slot;

	state_init(&s);
	slot = state_user(&s, 1, 0, 0);
	for (int i = 1; i <= 20; i++) {
		state_add(&s, slot, 1, 0);
		assert_int_equal(state_freeze(&s, 0, 0), i <= 11);
	}
	assert_int_equal(state_waiting(&s), 11);
	b = state_batch(&s, 0);
	assert_int_equal(ledger_ack(s.l, b.seq), 0);
	ledger_batch_done(&b);
	assert_int_equal(state_freeze(&s, 0, 0), 1);
	b = state_batch(&s, 10);
	assert_entry(&b, 0, 1, 9, 0); /* nothing was lost meanwhile */
	ledger_batch_done(&b);
	state_add(&s, slot, 5, 0); /* TR10: the last freeze before the end does not count them */
	assert_int_equal(ledger_freeze(s.l, s.node, &last), 1);
	state_done(&s);
}

static void tr3_batches_have_their_own_ids_and_at_most_so_many_users(void **state)
{
	struct ledger_batch b[3];
	struct state s;

	state_init(&s);
	for (int i = 1; i <= 7; i++)
		state_user(&s, i, (uint64_t)i, 0);
	assert_int_equal(state_freeze(&s, 0, 3), 3);
	for (int i = 0; i < 3; i++)
		b[i] = state_batch(&s, i);
	assert_int_equal(b[0].n, 3);
	assert_int_equal(b[2].n, 1);
	assert_entry(&b[0], 0, 1, 1, 0);
	assert_entry(&b[2], 0, 7, 7, 0);
	assert_memory_not_equal(b[0].report_id, b[1].report_id, LEDGER_ID_LEN);
	assert_memory_not_equal(b[1].report_id, b[2].report_id, LEDGER_ID_LEN);
	for (int i = 0; i < 3; i++)
		ledger_batch_done(&b[i]);
	state_done(&s);
}

static void tr3_a_batch_is_the_same_after_a_restart(void **state)
{
	struct ledger_batch a, b;
	struct state s;
	uint32_t slot;

	state_init(&s);
	slot = state_user(&s, 5, 11, 22);
	state_freeze(&s, 0, 0);
	a = state_batch(&s, 0);
	state_add(&s, slot, 1, 1); /* new traffic accumulates apart */
	state_close(&s);
	state_open(&s, 2);
	b = state_batch(&s, 0);
	assert_memory_equal(a.report_id, b.report_id, LEDGER_ID_LEN);
	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.entries, b.entries, a.n * sizeof(*a.entries));
	ledger_batch_done(&a);
	ledger_batch_done(&b);
	state_done(&s);
}

static void tr8_a_restart_neither_loses_nor_doubles(void **state)
{
	struct state s;
	uint32_t slot;

	state_init(&s);
	slot = state_user(&s, 5, 100, 200);
	state_freeze(&s, 0, 0);
	ack_all(&s);
	state_add(&s, slot, 7, 8);
	for (unsigned workers = 1; workers <= 9;
	     workers += 4) { /* however many workers come next */
		state_close(&s);
		state_open(&s, workers);
		assert_int_equal(state_totals(&s).carried.up, 7);
		assert_int_equal(state_totals(&s).carried.down, 8);
		assert_int_equal(state_files(&s, "counters-", NULL), 1);
	}
	/* a user's old and new bytes are one entry, the threshold does not hold the old ones back
	 */
	state_user(&s, 5, 1000, 0);
	assert_int_equal(state_freeze(&s, 1 << 20, 0), 1);
	assert_only_batch(&s, 5, 1007, 8);
	assert_int_equal(state_totals(&s).carried.up, 0);
	state_done(&s);
}

static void tr8_a_batch_in_flight_at_a_crash_is_known_as_such(void **state)
{
	struct ledger_batch b;
	struct state s;

	state_init(&s);
	state_user(&s, 5, 1, 1);
	state_freeze(&s, 0, 0);
	b = state_batch(&s, 0);
	assert_false(b.in_flight);
	assert_int_equal(ledger_sending(s.l, b.seq), 0);
	ledger_batch_done(&b);
	state_close(&s);
	state_open(&s, 2);
	b = state_batch(&s, 0);
	assert_true(b.in_flight);
	assert_false(b.doubt);
	/* Sent again, and refused for good: this time.  What became of the first is still unknown.
	 */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ledger_sending(s.l, b.seq), 0);
		assert_int_equal(ledger_failed(s.l, b.seq), 0);
	}
	ledger_batch_done(&b);
	b = state_batch(&s, 0);
	assert_false(b.in_flight);
	assert_true(b.doubt);
	ledger_batch_done(&b);
	state_done(&s);
}

static void after_a_definitive_failure_there_is_no_doubt(void **state)
{
	struct ledger_batch b;
	struct state s;

	state_init(&s);
	state_user(&s, 5, 1, 1);
	state_freeze(&s, 0, 0);
	b = state_batch(&s, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ledger_sending(s.l, b.seq), 0);
		assert_int_equal(i == 1 ? ledger_refused(s.l, b.seq) : ledger_failed(s.l, b.seq),
				 i == 1);
	}
	ledger_batch_done(&b);
	b = state_batch(&s, 0);
	assert_false(b.in_flight);
	assert_false(b.doubt);
	ledger_batch_done(&b);
	state_done(&s);
}

static void tr7_refusals_are_counted_in_a_row(void **state)
{
	struct ledger_batch b;
	struct state s;

	state_init(&s);
	state_user(&s, 5, 1, 1);
	state_freeze(&s, 0, 0);
	b = state_batch(&s, 0);
	assert_int_equal(ledger_refused(s.l, b.seq), 1);
	assert_int_equal(ledger_refused(s.l, b.seq), 2);
	assert_int_equal(ledger_failed(s.l, b.seq), 0);
	assert_int_equal(ledger_refused(s.l, b.seq), 1);
	assert_int_equal(ledger_refused(s.l, b.seq + 1), -ENOENT);
	ledger_batch_done(&b);
	state_done(&s);
}

static void tr7_a_split_keeps_every_byte_under_new_ids_in_place(void **state)
{
	struct ledger_batch whole, b;
	struct state s;
	uint32_t slot = 0;

	state_init(&s);
	for (int i = 1; i <= 5; i++)
		slot = state_user(&s, i, (uint64_t)i, (uint64_t)i * 10);
	state_freeze(&s, 0, 0);
	state_add(&s, slot, 77, 0);
	state_freeze(&s, 0, 0);
	whole = state_batch(&s, 0);
	assert_int_equal(ledger_split(s.l, whole.seq), 0);
	assert_int_equal(state_waiting(&s), 3);
	assert_int_equal(state_totals(&s).frozen.up, 15 + 77);
	b = state_batch(&s, 0);
	assert_int_equal(b.n, 2);
	assert_entry(&b, 0, 1, 1, 10);
	assert_memory_not_equal(b.report_id, whole.report_id, LEDGER_ID_LEN);
	ledger_batch_done(&b);
	b = state_batch(&s, 1);
	assert_int_equal(b.n, 3);
	assert_entry(&b, 0, 3, 3, 30);
	ledger_batch_done(&b);
	b = state_batch(&s, 2); /* the younger one still comes last */
	assert_entry(&b, 0, 5, 77, 0);
	assert_int_equal(ledger_split(s.l, b.seq), -EINVAL);
	ledger_batch_done(&b);
	ledger_batch_done(&whole);
	state_done(&s);
}

static void tr7_what_is_buried_is_kept_as_a_dead_letter(void **state)
{
	struct ledger_totals t;
	struct ledger_batch b;
	struct state s;

	state_init(&s);
	state_user(&s, 1, 3, 4);
	state_freeze(&s, 0, 0);
	b = state_batch(&s, 0);
	assert_int_equal(ledger_bury(s.l, b.seq, "refused three times"), 0);
	assert_int_equal(ledger_bury(s.l, b.seq, "again"), -ENOENT);
	ledger_batch_done(&b);
	t = state_totals(&s);
	assert_int_equal(t.batches, 0);
	assert_int_equal(t.dead_letters, 1);
	assert_int_equal(t.dead.up, 3);
	assert_int_equal(t.dead.down, 4);
	state_done(&s);
}

static void tr9_who_goes_is_reported_whatever_the_amount(void **state)
{
	struct counters *c;
	struct state s;
	uint32_t slot;

	state_init(&s);
	c = ledger_counters(s.l);
	slot = state_user(&s, 1, 10, 0);
	assert_int_equal(ledger_settle(s.l, &slot, 1), 0);
	counters_release(c, slot);
	assert_int_equal(state_totals(&s).carried.up, 10);
	assert_int_equal(state_freeze(&s, 1 << 20, 0), 1);
	assert_only_batch(&s, 1, 10, 0);
	state_done(&s);
}

static bool is_odd(void *arg, int64_t user)
{
	return user % 2;
}

static void pruning_drops_who_is_gone_and_loses_nothing_of_the_others(void **state)
{
	struct ledger_entry *v;
	struct state s;
	uint32_t slot;

	state_init(&s);
	for (int i = 0; i < 12; i++) {
		slot = state_user(&s, 1 + i % 4, 10, (uint64_t)i);
		assert_int_equal(ledger_settle(s.l, &slot, 1), 0);
		counters_release(ledger_counters(s.l), slot);
	}
	state_user(&s, 2, 5, 5); /* counts still: not pruned */
	assert_int_equal(ledger_prune(s.l, s.node, is_odd, NULL), 0);
	assert_int_equal(ledger_prune(s.l, s.node + 1, is_odd, NULL), 0);
	assert_int_equal(ledger_unreported(s.l, s.node, &v), 3);
	assert_int_equal(v[0].user, 1);
	assert_int_equal(v[0].up, 30);
	assert_int_equal(v[0].down, 0 + 4 + 8);
	assert_int_equal(v[1].user, 2);
	assert_int_equal(v[1].up, 5);
	assert_int_equal(v[2].user, 3);
	assert_int_equal(v[2].down, 2 + 6 + 10);
	free(v);
	state_close(&s);
	state_open(&s, 2);
	assert_int_equal(state_totals(&s).carried.up, 65);
	state_done(&s);
}

static void tr9_the_next_owner_of_a_slot_inherits_nothing(void **state)
{
	struct ledger_batch b;
	struct state s;
	uint32_t slot, next;

	state_init(&s);
	slot = state_user(&s, 1, 10, 20);
	assert_int_equal(ledger_settle(s.l, &slot, 1), 0);
	counters_release(ledger_counters(s.l), slot);
	next = state_user(&s, 2, 5, 6);
	assert_int_equal(next, slot);
	assert_int_equal(state_freeze(&s, 0, 0), 1);
	b = state_batch(&s, 0);
	assert_int_equal(b.n, 2);
	assert_entry(&b, 0, 1, 10, 20);
	assert_entry(&b, 1, 2, 5, 6);
	ledger_batch_done(&b);
	/* nor across a restart */
	state_add(&s, next, 1, 0);
	state_close(&s);
	state_open(&s, 2);
	assert_int_equal(state_totals(&s).carried.up, 1);
	state_done(&s);
}

static void a_user_in_two_slots_is_one_entry(void **state)
{
	struct state s;

	state_init(&s);
	state_user(&s, 1, 10, 0); /* the old credential, still connected */
	state_user(&s, 1, 5, 1);
	assert_int_equal(state_freeze(&s, 14, 0), 1);
	assert_only_batch(&s, 1, 15, 1);
	state_done(&s);
}

static void tr12_numbers_beyond_63_bits_are_split(void **state)
{
	uint64_t max = INT64_MAX;
	struct ledger_batch b;
	struct state s;
	uint32_t slot;

	state_init(&s);
	slot = state_user(&s, 1, UINT64_MAX, 7);
	for (int i = 0; i < 3; i++)
		assert_int_equal(state_freeze(&s, 0, 0), 1);
	assert_int_equal(state_freeze(&s, 0, 0), 0);
	b = state_batch(&s, 0);
	assert_entry(&b, 0, 1, max, 7);
	ledger_batch_done(&b);
	b = state_batch(&s, 1);
	assert_entry(&b, 0, 1, max, 0);
	ledger_batch_done(&b);
	b = state_batch(&s, 2);
	assert_entry(&b, 0, 1, 1, 0);
	ledger_batch_done(&b);
	ack_all(&s);

	/* the same for what is carried: 2^64 - 1 again, from zero on (the counter wraps) */
	state_add(&s, slot, UINT64_MAX, 0);
	assert_int_equal(ledger_settle(s.l, &slot, 1), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(state_freeze(&s, 0, 0), 1);
	assert_int_equal(state_freeze(&s, 0, 0), 0);
	b = state_batch(&s, 2);
	assert_entry(&b, 0, 1, 1, 0);
	ledger_batch_done(&b);
	state_done(&s);
}

static void what_is_unreported_is_everything_not_acknowledged(void **state)
{
	struct ledger_entry *v;
	struct state s;
	uint32_t slot;

	state_init(&s);
	slot = state_user(&s, 1, 100, 1);
	state_user(&s, 2, 7, 0);
	assert_int_equal(state_freeze(&s, 0, 1), 2);
	state_add(&s, slot, 10, 1);
	assert_int_equal(ledger_settle(s.l, &slot, 1), 0);
	counters_release(ledger_counters(s.l), slot);
	state_user(&s, 1, 1, 1);
	assert_int_equal(ledger_unreported(s.l, s.node, &v), 2);
	assert_int_equal(v[0].user, 1);
	assert_int_equal(v[0].up, 111);
	assert_int_equal(v[0].down, 3);
	assert_int_equal(v[1].up, 7);
	free(v);
	ack_all(&s);
	assert_int_equal(ledger_unreported(s.l, s.node, &v), 1);
	assert_int_equal(v[0].up, 11);
	free(v);
	state_done(&s);
}

static void nodes_are_kept_apart(void **state)
{
	struct ledger_freeze how = {0};
	uint32_t other, again;
	struct state s;
	uint32_t slot;

	state_init(&s);
	assert_int_equal(ledger_node(s.l, NODE_URL, 7, "vless", &other), 0);
	assert_int_equal(ledger_node(s.l, NODE_URL, 7, "trojan", &again), 0);
	assert_int_equal(again, s.node);
	assert_int_not_equal(other, s.node);
	state_user(&s, 1, 10, 0);
	assert_int_equal(counters_alloc(ledger_counters(s.l), other, 1, &slot), 0);
	state_add(&s, slot, 1, 0);
	assert_int_equal(ledger_freeze(s.l, other, &how), 1);
	assert_int_equal(state_waiting(&s), 0);
	assert_int_equal(state_totals(&s).pending.up, 10);
	state_close(&s);
	state_open(&s, 2);
	assert_int_equal(ledger_node(s.l, NODE_URL, 7, "vless", &again), 0);
	assert_int_equal(again, other);
	assert_int_equal(state_totals(&s).carried.up, 10);
	state_done(&s);
}

static void without_a_directory_everything_is_in_memory(void **state)
{
	struct state s = {0};

	assert_int_equal(ledger_open(NULL, 2, &s.l, NULL), 0);
	assert_int_equal(ledger_node(s.l, NODE_URL, 7, "trojan", &s.node), 0);
	state_user(&s, 1, 10, 0);
	assert_int_equal(state_freeze(&s, 0, 0), 1);
	assert_only_batch(&s, 1, 10, 0);
	assert_int_equal(ledger_adopt(s.l), 0);
	assert_int_equal(ledger_sync_counters(s.l), 0);
	ledger_close(s.l);
}

/* ---- what other processes leave ---------------------------------------------------------- */

/* What was in memory goes to a folder that has nodes, batches and carried bytes of its own. */
static void a_ledger_in_memory_moves_into_its_folder(void **state)
{
	uint32_t other, moved_other, slot, old, unknown;
	struct state s, m = {0};
	struct ledger_batch heads[8], b;
	int64_t sent;

	state_init(&s);
	assert_int_equal(ledger_node(s.l, "https://elsewhere.test", 1, "vless", &other), 0);
	state_user(&s, 1, 100, 0);
	assert_int_equal(state_freeze(&s, 0, 0), 1);
	state_user(&s, 2, 7, 9); /* pending in a file whose process goes */
	state_close(&s);

	/* The next process finds no room; it learns of the nodes in another order. */
	assert_int_equal(ledger_open(NULL, 2, &m.l, NULL), 0);
	assert_true(ledger_in_memory(m.l));
	assert_int_equal(ledger_node(m.l, "https://new.test", 5, "vless", &unknown), 0);
	assert_int_equal(ledger_node(m.l, "https://elsewhere.test", 1, "vless", &moved_other), 0);
	assert_int_equal(ledger_node(m.l, NODE_URL, 7, "trojan", &m.node), 0);
	assert_int_not_equal(m.node, s.node);
	slot = state_user(&m, 1, 1000, 0);
	assert_int_equal(state_freeze(&m, 0, 0), 1);
	assert_int_equal(ledger_batches(m.l, m.node, heads, 8), 1);
	sent = heads[0].seq;
	assert_int_equal(ledger_sending(m.l, sent), 0);
	old = state_user(&m, 3, 30, 0);
	assert_int_equal(ledger_settle(m.l, &old, 1), 0);
	state_add(&m, slot, 5, 5);

	assert_int_equal(ledger_move_in(m.l, "/nowhere/at/all"), -ENOENT);
	assert_true(ledger_in_memory(m.l));
	assert_int_equal(ledger_move_in(m.l, s.dir), 0);
	assert_false(ledger_in_memory(m.l));
	assert_int_equal(ledger_node(m.l, NODE_URL, 7, "trojan", &s.node), 0);
	assert_int_equal(s.node, m.node);
	/* What was there first goes first; what was on its way is still known by its number. */
	assert_int_equal(ledger_batches(m.l, m.node, heads, 8), 2);
	assert_int_equal(heads[0].total.up, 100);
	assert_int_equal(heads[1].seq, sent);
	assert_true(heads[1].in_flight);
	assert_int_equal(ledger_ack(m.l, heads[0].seq), 0);
	assert_int_equal(ledger_ack(m.l, sent), 0);
	/* Users 1 (pending), 2 (of the process before) and 3 (settled). */
	assert_int_equal(state_freeze(&m, 0, 0), 1);
	b = state_batch(&m, 0);
	assert_int_equal(b.n, 3);
	assert_entry(&b, 0, 1, 5, 5);
	assert_entry(&b, 1, 2, 7, 9);
	assert_entry(&b, 2, 3, 30, 0);
	ledger_batch_done(&b);
	assert_int_equal(state_freeze(&m, 0, 0), 0);
	state_add(&m, slot, 1, 0);
	assert_int_equal(state_freeze(&m, 0, 0), 1);
	ledger_close(m.l);

	/* The next process has it all, and its numbers. */
	state_open(&s, 2);
	assert_int_equal(s.node, m.node);
	assert_int_equal(ledger_node(s.l, "https://elsewhere.test", 1, "vless", &other), 0);
	assert_int_equal(other, moved_other);
	assert_int_equal(state_waiting(&s), 2);
	assert_int_equal(state_totals(&s).frozen.up, 5 + 7 + 30 + 1);
	state_done(&s);
}

static void a_process_that_drains_is_adopted_when_it_has_ended(void **state)
{
	struct ledger *next;
	struct state s;
	uint32_t slot;

	state_init(&s);
	slot = state_user(&s, 1, 10, 0);
	/* the new binary: opens the same state while the old one still counts */
	assert_int_equal(ledger_open(s.dir, 4, &next, NULL), 0);
	assert_int_equal(ledger_adopt(next), 0);
	state_add(&s, slot, 5, 0);
	assert_int_equal(state_files(&s, "counters-", NULL), 2);
	state_close(&s);
	assert_int_equal(ledger_adopt(next), 1);
	assert_int_equal(ledger_adopt(next), 0);
	assert_int_equal(state_files(&s, "counters-", NULL), 1);
	s.l = next;
	assert_int_equal(state_totals(&s).carried.up, 15);
	state_done(&s);
}

static void a_foreign_counters_file_is_put_aside(void **state)
{
	static const uint8_t epoch[COUNTERS_EPOCH_LEN] = "not of this db!";
	char why[LEDGER_WHY_MAX], path[512];
	struct counters *c;
	struct state s;
	uint32_t slot;

	state_init(&s);
	state_close(&s);
	snprintf(path, sizeof(path), "%s/counters-00112233445566778899aabbccddeeff", s.dir);
	assert_int_equal(counters_create(path, epoch, 1, &c), 0);
	assert_int_equal(counters_alloc(c, 1, 1, &slot), 0);
	counters_add(c, 0, slot, TRAFFIC_UP, 1000);
	counters_free(c);
	assert_int_equal(ledger_open(s.dir, 2, &s.l, why), 0);
	assert_non_null(strstr(why, "foreign"));
	assert_int_equal(state_files(&s, "foreign-counters-", NULL), 1);
	assert_int_equal(state_totals(&s).carried.up, 0);
	state_done(&s);
}

static void a_damaged_counters_file_is_put_aside(void **state)
{
	char why[LEDGER_WHY_MAX], path[512];
	struct state s;
	int fd;

	state_init(&s);
	state_user(&s, 1, 10, 0);
	state_close(&s);
	assert_int_equal(state_files(&s, "counters-", path), 1);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "garbage", 7, 8), 7);
	close(fd);
	assert_int_equal(ledger_open(s.dir, 2, &s.l, why), 0);
	assert_non_null(strstr(why, "damaged"));
	assert_int_equal(state_files(&s, "damaged-counters-", NULL), 1);
	state_done(&s);
}

static void copy_file(const char *from, const char *to)
{
	char buf[65536];
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(write(out, buf, (size_t)n), n);
	close(in);
	close(out);
}

/* A power loss takes the counters back to what was on disk; the database is ahead of them. */
static void counters_behind_the_database_bill_nothing_twice(void **state)
{
	char path[512], old[512];
	struct state s;
	uint32_t a, b;

	state_init(&s);
	a = state_user(&s, 1, 100, 0);
	b = state_user(&s, 2, 50, 0);
	assert_int_equal(state_files(&s, "counters-", path), 1);
	snprintf(old, sizeof(old), "%s/old", s.dir);
	copy_file(path, old); /* on disk: users 1 and 2 */
	state_add(&s, a, 900, 0);
	assert_int_equal(state_freeze(&s, 0, 0), 1); /* reports 1000 and 50 */
	assert_int_equal(ledger_settle(s.l, &b, 1), 0);
	counters_release(ledger_counters(s.l), b);
	assert_int_equal(state_user(&s, 3, 25, 0), b);
	ack_all(&s);
	state_close(&s);
	copy_file(old, path);
	state_open(&s, 2);
	assert_int_equal(state_totals(&s).carried.up, 0);
	assert_int_equal(state_freeze(&s, 0, 0), 0);
	state_done(&s);
}

/* The columns may reach the disk before the page that says whose they are by then. */
static void bytes_of_the_next_owner_are_not_charged_to_the_last(void **state)
{
	char path[512];
	struct counters_owner stale = {.life = 0, .user = 1};
	struct state s;
	uint32_t slot;
	int fd;

	state_init(&s);
	stale.node = s.node;
	slot = state_user(&s, 1, 10, 0);
	assert_int_equal(ledger_settle(s.l, &slot, 1), 0);
	counters_release(ledger_counters(s.l), slot);
	state_user(&s, 2, 500, 0);
	assert_int_equal(state_files(&s, "counters-", path), 1);
	state_close(&s);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, &stale, sizeof(stale), 65536), sizeof(stale));
	close(fd);
	state_open(&s, 2);
	assert_int_equal(state_totals(&s).carried.up, 10); /* what was settled, and no more */
	state_done(&s);
}

/* ---- a database that fails --------------------------------------------------------------- */

static void a_broken_database_is_an_error_and_stays_untouched(void **state)
{
	char why[LEDGER_WHY_MAX] = "", path[512];
	struct ledger *l;
	struct state s;
	FILE *f;

	state_init(&s);
	state_close(&s);
	snprintf(path, sizeof(path), "%s/ledger.db", s.dir);
	f = fopen(path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("this is no database. ", f);
	fclose(f);
	assert_int_equal(ledger_open(s.dir, 2, &l, why), -ERR_DATABASE);
	assert_true(strlen(why) > 0);
	assert_int_equal(ledger_open("/nonexistent/dir", 2, &l, why), -ENOENT);
	state_done(&s);
}

static void a_newer_schema_is_refused(void **state)
{
	char why[LEDGER_WHY_MAX], path[512];
	struct ledger *l;
	struct state s;
	sqlite3 *db;

	state_init(&s);
	state_close(&s);
	snprintf(path, sizeof(path), "%s/ledger.db", s.dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL);
	sqlite3_close(db);
	assert_int_equal(ledger_open(s.dir, 2, &l, why), -ERR_DATABASE);
	assert_non_null(strstr(why, "newer"));
	state_done(&s);
}

static void a_step_that_fails_changes_nothing(void **state)
{
	struct ledger_freeze how = {0};
	char path[512];
	struct state s;
	uint32_t slot;
	sqlite3 *db;

	state_init(&s);
	slot = state_user(&s, 1, 10, 0);
	snprintf(path, sizeof(path), "%s/ledger.db", s.dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				      "CREATE TRIGGER no BEFORE INSERT ON batch BEGIN"
				      " SELECT RAISE(ABORT, 'no'); END;"
				      "CREATE TRIGGER nor BEFORE INSERT ON reported BEGIN"
				      " SELECT RAISE(ABORT, 'nor'); END;",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(ledger_freeze(s.l, s.node, &how), -ERR_DATABASE);
	assert_true(strlen(ledger_error(s.l)) > 0);
	assert_int_equal(ledger_settle(s.l, &slot, 1), -ERR_DATABASE);
	assert_int_equal(state_totals(&s).pending.up, 10);
	assert_int_equal(state_totals(&s).carried.up, 0);
	sqlite3_exec(db, "DROP TRIGGER no; DROP TRIGGER nor;", NULL, NULL, NULL);
	sqlite3_close(db);
	assert_int_equal(state_freeze(&s, 0, 0), 1);
	assert_only_batch(&s, 1, 10, 0);
	state_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tr2_freezing_takes_who_has_more_than_the_threshold),
		cmocka_unit_test(only_what_is_new_is_frozen_again),
		cmocka_unit_test(tr2_no_freeze_while_more_than_ten_batches_wait),
		cmocka_unit_test(tr3_batches_have_their_own_ids_and_at_most_so_many_users),
		cmocka_unit_test(tr3_a_batch_is_the_same_after_a_restart),
		cmocka_unit_test(tr8_a_restart_neither_loses_nor_doubles),
		cmocka_unit_test(tr8_a_batch_in_flight_at_a_crash_is_known_as_such),
		cmocka_unit_test(after_a_definitive_failure_there_is_no_doubt),
		cmocka_unit_test(tr7_refusals_are_counted_in_a_row),
		cmocka_unit_test(tr7_a_split_keeps_every_byte_under_new_ids_in_place),
		cmocka_unit_test(tr7_what_is_buried_is_kept_as_a_dead_letter),
		cmocka_unit_test(pruning_drops_who_is_gone_and_loses_nothing_of_the_others),
		cmocka_unit_test(tr9_who_goes_is_reported_whatever_the_amount),
		cmocka_unit_test(tr9_the_next_owner_of_a_slot_inherits_nothing),
		cmocka_unit_test(a_user_in_two_slots_is_one_entry),
		cmocka_unit_test(tr12_numbers_beyond_63_bits_are_split),
		cmocka_unit_test(what_is_unreported_is_everything_not_acknowledged),
		cmocka_unit_test(nodes_are_kept_apart),
		cmocka_unit_test(without_a_directory_everything_is_in_memory),
		cmocka_unit_test(a_ledger_in_memory_moves_into_its_folder),
		cmocka_unit_test(a_process_that_drains_is_adopted_when_it_has_ended),
		cmocka_unit_test(a_foreign_counters_file_is_put_aside),
		cmocka_unit_test(a_damaged_counters_file_is_put_aside),
		cmocka_unit_test(counters_behind_the_database_bill_nothing_twice),
		cmocka_unit_test(bytes_of_the_next_owner_are_not_charged_to_the_last),
		cmocka_unit_test(a_broken_database_is_an_error_and_stays_untouched),
		cmocka_unit_test(a_newer_schema_is_refused),
		cmocka_unit_test(a_step_that_fails_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
