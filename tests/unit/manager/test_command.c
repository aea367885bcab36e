#include "unit.h"

#include "base/jout.h"
#include "manager/command.h"
#include "manager/profile.h"

static enum command_word word(const char *text, size_t len)
{
	struct command c;

	command_parse(text, len, &c);
	return c.word;
}

#define WORD(text) word(text, sizeof(text) - 1)

static void a_word_ends_at_a_colon_or_a_blank(void **state)
{
	assert_int_equal(WORD("ping"), COMMAND_PING);
	assert_int_equal(WORD(" \t\nping \n"), COMMAND_PING);
	assert_int_equal(WORD("ping\0"), COMMAND_PING);
	assert_int_equal(WORD("list"), COMMAND_LIST);
	assert_int_equal(WORD("add: {}"), COMMAND_ADD);
	assert_int_equal(WORD("add :{}"), COMMAND_ADD);
	assert_int_equal(WORD("remove:{}"), COMMAND_REMOVE);
	assert_int_equal(WORD("stat: {}"), COMMAND_STAT);
	assert_int_equal(WORD("ADD: {}"), COMMAND_UNKNOWN);
	assert_int_equal(WORD("add{}"), COMMAND_UNKNOWN);
	assert_int_equal(WORD("adder: {}"), COMMAND_UNKNOWN);
	assert_int_equal(WORD("ad"), COMMAND_UNKNOWN);
	assert_int_equal(WORD(""), COMMAND_UNKNOWN);
	assert_int_equal(WORD("\0"), COMMAND_UNKNOWN);
	assert_int_equal(WORD("   "), COMMAND_UNKNOWN);
	assert_int_equal(WORD("\xff\xfe"), COMMAND_UNKNOWN);
}

static void assert_quiet(const char *text, enum command_word word, bool quiet)
{
	struct command c;

	command_parse(text, strlen(text), &c);
	assert_int_equal(c.word, word);
	assert_int_equal(c.quiet, quiet);
}

static void who_wants_no_reports_says_so_behind_the_word(void **state)
{
	assert_quiet("list quiet", COMMAND_LIST, true);
	assert_quiet("ping  quiet\n", COMMAND_PING, true);
	assert_quiet("add quiet: {\"a\":1}", COMMAND_ADD, true);
	assert_quiet("add quiet{}", COMMAND_ADD, false);
	assert_quiet("add: {\"quiet\":1}", COMMAND_ADD, false);
	assert_quiet("add: {} quiet", COMMAND_ADD, false);
	assert_quiet("list quietly", COMMAND_LIST, false);
	assert_quiet("list", COMMAND_LIST, false);
	assert_quiet("quiet", COMMAND_UNKNOWN, false);
	assert_quiet("listquiet", COMMAND_UNKNOWN, false);
}

static int object_of(const char *text, struct arena *mem, const struct json_value **out)
{
	struct command c;

	command_parse(text, strlen(text), &c);
	return command_object(&c, mem, out);
}

static void what_stands_behind_the_object_is_not_looked_at(void **state)
{
	const struct json_value *v;
	struct arena mem;

	arena_init(&mem, 0);
	assert_int_equal(object_of("add: {\"a\":1} and so on }", &mem, &v), 0);
	assert_int_equal(v->len, 1);
	assert_int_equal(object_of("add: {\"a\":{\"b\":2}}", &mem, &v), 0);
	assert_int_equal(object_of("add", &mem, &v), -ERR_MORE);
	assert_int_equal(object_of("add: [1]", &mem, &v), -ERR_MORE);
	assert_int_equal(object_of("add: {a}", &mem, &v), -ERR_MALFORMED);
	arena_done(&mem);
}

static void every_beginning_of_a_command_asks_for_more(void **state)
{
	static const char text[] =
		"add: {\"server_port\":8001,\"password\":\"7cd308cc059\",\"x\":[1]}";
	const struct json_value *v;
	struct arena mem;
	struct command c;

	arena_init(&mem, 0);
	for (size_t n = 5; n < sizeof(text) - 1; n++) {
		command_parse(text, n, &c);
		assert_int_equal(command_object(&c, &mem, &v), -ERR_MORE);
	}
	arena_done(&mem);
}

struct seen {
	uint16_t port[8];
	uint64_t bytes[8];
	size_t n;
};

static void see(void *arg, uint16_t port, uint64_t bytes)
{
	struct seen *s = arg;

	s->port[s->n] = port;
	s->bytes[s->n++] = bytes;
}

static void a_report_is_read_leniently(void **state)
{
	const struct json_value *v;
	struct seen s = {0};
	struct arena mem;

	arena_init(&mem, 0);
	assert_int_equal(
		object_of("stat: {\"8001\":11370,\"8002\":\"17\",\"x\":1,\"0\":1,\"65536\":1,"
			  "\"9\":-1,\"10\":null,\"11\":9007199254740993}",
			  &mem, &v),
		0);
	stat_each(v, see, &s);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.port[0], 8001);
	assert_int_equal(s.bytes[0], 11370);
	assert_int_equal(s.bytes[1], 17);
	assert_true(s.bytes[2] == 9007199254740993);
	arena_done(&mem);
}

/* Whatever the numbers: at most fifty ports and 1400 bytes each, and every port once, in its order. */
static void reports_are_cut_into_messages_that_are_whole(void **state)
{
	struct stat_port v[300];
	char text[STAT_BYTES_MAX], again[STAT_BYTES_MAX + 1];
	unsigned seed = 3;

	for (int round = 0; round < 200; round++) {
		size_t n = (size_t)(rand_r(&seed) % 300), at = 0, len, taken;

		for (size_t i = 0; i < n; i++)
			v[i] = (struct stat_port){(uint16_t)(65535 - i),
						  round % 3 ? (uint64_t)rand_r(&seed) : UINT64_MAX};
		do {
			const struct json_value *o;
			struct arena mem;

			taken = stat_emit(v + at, n - at, text, &len);
			assert_true(taken <= STAT_PORTS_MAX && len <= STAT_BYTES_MAX);
			assert_true(taken || !n);
			memcpy(again, text, len);
			again[len] = '\0';
			assert_null(strchr(again + 6, ' '));
			arena_init(&mem, 0);
			assert_int_equal(object_of(again, &mem, &o), 0);
			assert_int_equal(o->len, taken);
			arena_done(&mem);
			at += taken;
		} while (at < n);
		assert_int_equal(at, n);
	}
	assert_int_equal(stat_emit(NULL, 0, text, &(size_t){0}), 0);
}

static void a_long_list_is_several_whole_ones(void **state)
{
	for (enum listing_form form = LISTING_COMPACT; form <= LISTING_TABBED; form++) {
		struct jout j = {0};
		size_t lists = 0, ports = 0;

		for (unsigned port = 1; port <= 2000; port++) {
			const struct profile p = {.port = (uint16_t)port,
						  .password = "a\"b\\c",
						  .method = "aes-256-gcm",
						  .extra = "{}",
						  .mode = PROFILE_BOTH};
			bool fits = listing_add(&j, form, &p);

			if (fits && port < 2000)
				continue;
			listing_end(&j, form);
			assert_true(j.len <= LISTING_MAX);
			assert_memory_equal(j.at, form == LISTING_TABBED ? "[\n\t{" : "[{", 2);
			struct json_value *list;
			struct arena mem;

			arena_init(&mem, 0);
			assert_int_equal(json_parse(j.at, j.len, 0, &mem, &list, NULL, NULL), 0);
			ports += list->len;
			lists++;
			assert_int_equal(json_get(list->child, "server_port")->type,
					 form == LISTING_TABBED ? JSON_T_STRING : JSON_T_NUMBER);
			arena_done(&mem);
			free(j.at);
			j = (struct jout){0};
			if (!fits)
				port--;
		}
		assert_int_equal(ports, 2000);
		assert_true(lists > 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_word_ends_at_a_colon_or_a_blank),
		cmocka_unit_test(who_wants_no_reports_says_so_behind_the_word),
		cmocka_unit_test(what_stands_behind_the_object_is_not_looked_at),
		cmocka_unit_test(every_beginning_of_a_command_asks_for_more),
		cmocka_unit_test(a_report_is_read_leniently),
		cmocka_unit_test(reports_are_cut_into_messages_that_are_whole),
		cmocka_unit_test(a_long_list_is_several_whole_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
