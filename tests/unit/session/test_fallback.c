/* Which server gets a stranger: Xray's rules (docs/protocols/vless.md, section 6). */
#include "unit.h"

#include <stdio.h>

#include "session/fallback.h"

/* "sni,alpn,path" rows; the target's port is the row's number plus one. */
static struct fallback_table *table(const char *const *rows, size_t n)
{
	struct fallback v[32] = {0};
	static char text[32][3][64];
	struct fallback_table *t;

	for (size_t i = 0; i < n; i++) {
		int parts = sscanf(rows[i], "%63[^,],%63[^,],%63[^,]", text[i][0], text[i][1],
				   text[i][2]);

		assert_int_equal(parts, 3);
		for (int k = 0; k < 3; k++) {
			if (!strcmp(text[i][k], "-"))
				text[i][k][0] = '\0';
		}
		v[i] = (struct fallback){text[i][0], text[i][1], text[i][2], .xver = 0};
		v[i].dest.port = (uint16_t)(i + 1);
	}
	t = fallback_table_new(v, n);
	assert_non_null(t);
	return t;
}

#define TABLE(...) \
	table((const char *const[]){__VA_ARGS__}, ARRAY_LEN(((const char *const[]){__VA_ARGS__})))

static int chosen(const struct fallback_table *t, const char *sni, const char *alpn,
		  const char *first)
{
	const struct fallback *f = fallback_select(t, sni, alpn, first, strlen(first));

	return f ? f->dest.port : 0;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static void without_entries_nobody_wants_it(void **state)
{
	struct fallback_table *t = fallback_table_new(NULL, 0);

	assert_true(fallback_table_empty(t));
	assert_true(fallback_table_empty(NULL));
	assert_null(fallback_select(t, "a", "b", GET("/"), 30));
	assert_null(fallback_select(NULL, "a", "b", GET("/"), 30));
	fallback_table_free(t);
	fallback_table_free(NULL);
}

static void the_default_takes_everything(void **state)
{
	struct fallback_table *t = TABLE("-,-,-");

	assert_false(fallback_table_empty(t));
	assert_int_equal(chosen(t, "", "", ""), 1);
	assert_int_equal(chosen(t, "any.example", "h2", GET("/x")), 1);
	assert_int_equal(chosen(t, "any.example", "", "\x16\x03\x01"), 1);
	fallback_table_free(t);
}

static void a_path_needs_a_request_line(void **state)
{
	struct fallback_table *t = TABLE("-,-,-", "-,-,/ws");

	assert_int_equal(chosen(t, "", "", GET("/ws")), 2);
	assert_int_equal(chosen(t, "", "", GET("/ws?ed=2048")), 2);
	assert_int_equal(chosen(t, "", "", "OPTIONS /ws HTTP/1.1\r\n"), 2);
	assert_int_equal(chosen(t, "", "", GET("/wsx")), 1);
	assert_int_equal(chosen(t, "", "", GET("/WS")), 1); /* paths have case */
	assert_int_equal(chosen(t, "", "", GET("/w")), 1);
	assert_int_equal(chosen(t, "", "", "GET /ws HTTP/1.1"), 1); /* 16 bytes: too short */
	assert_int_equal(chosen(t, "", "", "GET /ws HTTP/1.1\r\n"), 2);
	assert_int_equal(chosen(t, "", "", "GET /ws\r\nHost: x\r\n\r\n"), 1);
	assert_int_equal(chosen(t, "", "", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 1);
	assert_int_equal(chosen(t, "", "", "LONGERMETHOD /ws HTTP/1.1\r\n"), 1);
	assert_int_equal(chosen(t, "", "", ""), 1);
	fallback_table_free(t);
}

static void a_path_is_looked_for_within_64_bytes(void **state)
{
	char row[80], line[128], path[64];
	struct fallback_table *t;

	for (int len = 57; len <= 61; len++) {
		memset(path, 'p', sizeof(path));
		path[0] = '/';
		path[len] = '\0';
		snprintf(row, sizeof(row), "-,-,%s", path);
		t = TABLE("-,-,-", row);
		snprintf(line, sizeof(line), "GET %s HTTP/1.1\r\n", path);
		/* its end, a blank, must be among the first 64 bytes */
		assert_int_equal(chosen(t, "", "", line), 4 + len < 64 ? 2 : 1);
		fallback_table_free(t);
	}
}

static void without_a_default_path_only_the_named_ones_are_wanted(void **state)
{
	struct fallback_table *t = TABLE("-,-,/ws");

	assert_int_equal(chosen(t, "", "", GET("/ws")), 1);
	assert_int_equal(chosen(t, "", "", GET("/")), 0);
	assert_int_equal(chosen(t, "", "", ""), 0);
	fallback_table_free(t);
}

static void a_later_duplicate_wins(void **state)
{
	struct fallback_table *t = TABLE("-,-,-", "-,-,/a", "-,-,-", "-,-,/a");

	assert_int_equal(chosen(t, "", "", ""), 3);
	assert_int_equal(chosen(t, "", "", GET("/a")), 4);
	fallback_table_free(t);
}

static void names_and_alpns_have_no_case(void **state)
{
	struct fallback_table *t = TABLE("-,-,-", "Web.Example,-,-", "-,H2,-");

	assert_int_equal(chosen(t, "wEB.example", "", ""), 2);
	assert_int_equal(chosen(t, "", "h2", ""), 3);
	assert_int_equal(chosen(t, "", "http/1.1", ""), 1);
	fallback_table_free(t);
}

static void an_unknown_name_takes_the_longest_that_it_contains(void **state)
{
	struct fallback_table *t =
		TABLE("-,-,-", "example,-,-", "b.example,-,-", "example.org,-,-", "zzz,-,-");

	assert_int_equal(chosen(t, "example", "", ""), 2);
	assert_int_equal(chosen(t, "a.b.example", "", ""), 3);
	assert_int_equal(chosen(t, "www.example.org", "", ""), 4);
	assert_int_equal(chosen(t, "an-example-of", "", ""), 2); /* a substring, not a suffix */
	assert_int_equal(chosen(t, "other", "", ""), 1);
	assert_int_equal(chosen(t, "", "", ""), 1);
	fallback_table_free(t);

	t = TABLE("only.example,-,-");
	assert_int_equal(chosen(t, "www.only.example", "", ""), 1);
	assert_int_equal(chosen(t, "other", "", ""), 0);
	assert_int_equal(chosen(t, "", "", ""), 0);
	fallback_table_free(t);
}

static void entries_inherit_what_they_lack(void **state)
{
	struct fallback_table *t = TABLE("-,-,-", "-,-,/a", "-,h2,/b", "n,-,/c");

	/* an alpn takes the paths of "no alpn" of its own name */
	assert_int_equal(chosen(t, "", "h2", GET("/a")), 2);
	assert_int_equal(chosen(t, "", "h2", GET("/b")), 3);
	assert_int_equal(chosen(t, "", "h2", GET("/?")), 1);
	/* a name takes those of "no name" */
	assert_int_equal(chosen(t, "n", "", GET("/c")), 4);
	assert_int_equal(chosen(t, "n", "", GET("/a")), 2);
	assert_int_equal(chosen(t, "n", "", GET("/b")), 1);
	assert_int_equal(chosen(t, "n", "", GET("/x")), 1);
	/* and its alpns */
	assert_int_equal(chosen(t, "n", "h2", GET("/c")), 4);
	assert_int_equal(chosen(t, "n", "h2", GET("/b")), 3);
	/* an alpn that nobody configured counts as none */
	assert_int_equal(chosen(t, "n", "h3", GET("/b")), 1);
	fallback_table_free(t);
}

/* ---- against the rules, written down as they stand ----------------------------------------------
 * T[name][alpn][path]: 0 is absent, or the number of the entry.  Index 0 is "".
 */
#define NAMES 4
#define ALPNS 3
#define PATHS 3

static const char *const names[NAMES] = {"", "a", "a.b",
					 "b.cc"}; /* of equal lengths none: who wins is open */
static const char *const alpns[ALPNS] = {"", "h2", "x"};
static const char *const paths[PATHS] = {"", "/p", "/q"};

struct model {
	int at[NAMES][ALPNS][PATHS];
	bool name[NAMES], alpn[NAMES][ALPNS];
};

static void model_inherit(struct model *m)
{
	for (int n = 1; n < NAMES; n++) {
		for (int a = 0; a < ALPNS; a++)
			m->alpn[n][a] |= m->name[n] && m->alpn[0][a];
	}
	for (int n = 0; n < NAMES; n++) {
		for (int a = 1; a < ALPNS; a++) {
			for (int p = 0; p < PATHS && m->alpn[n][a]; p++) {
				if (!m->at[n][a][p])
					m->at[n][a][p] = m->at[n][0][p];
			}
		}
	}
	for (int n = 1; n < NAMES; n++) {
		for (int a = 0; a < ALPNS; a++) {
			for (int p = 0; p < PATHS && m->name[n]; p++) {
				if (!m->at[n][a][p])
					m->at[n][a][p] = m->at[0][a][p];
			}
		}
	}
}

static int model_select(const struct model *m, const char *sni, int alpn, int path)
{
	int name = -1;

	for (int n = 0; n < NAMES; n++) {
		if (m->name[n] && !strcmp(names[n], sni))
			name = n;
	}
	if (name < 0) {
		name = 0;
		for (int n = 1; n < NAMES; n++) {
			if (m->name[n] && strstr(sni, names[n]) &&
			    strlen(names[n]) > strlen(names[name]))
				name = n;
		}
	}
	if (!m->name[name])
		return 0;
	if (!m->alpn[name][alpn])
		alpn = 0;
	if (!m->alpn[name][alpn])
		return 0;
	return m->at[name][alpn][path] ? m->at[name][alpn][path] : m->at[name][alpn][0];
}

static uint32_t next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

static void any_table_selects_as_the_rules_say(void **state)
{
	static const char *const asked[] = {"", "a", "a.b", "b.cc", "x.a.b.cc", "zab", "a.c", "q"};
	static const char *const lines[PATHS] = {GET("/"), GET("/p"), GET("/q?x")};
	uint64_t seed = 1;

	for (int round = 0; round < 2000; round++) {
		struct fallback v[8] = {0};
		struct model m = {0};
		size_t n = 1 + next(&seed) % ARRAY_LEN(v);
		struct fallback_table *t;

		for (size_t i = 0; i < n; i++) {
			unsigned a = next(&seed) % NAMES, b = next(&seed) % ALPNS,
				 c = next(&seed) % PATHS;

			v[i].sni = (char *)(uintptr_t)names[a];
			v[i].alpn = (char *)(uintptr_t)alpns[b];
			v[i].path = (char *)(uintptr_t)paths[c];
			v[i].dest.port = (uint16_t)(i + 1);
			m.at[a][b][c] = (int)i + 1;
			m.name[a] = m.alpn[a][b] = true;
		}
		model_inherit(&m);
		t = fallback_table_new(v, n);
		for (size_t s = 0; s < ARRAY_LEN(asked); s++) {
			for (int a = 0; a < ALPNS; a++) {
				for (int p = 0; p < PATHS; p++) {
					int got = chosen(t, asked[s], alpns[a], lines[p]);
					int want = model_select(&m, asked[s], a, p);

					if (got != want)
						fail_msg("round %d: %s,%s,%s gives %d, not %d",
							 round, asked[s], alpns[a], paths[p], got,
							 want);
				}
			}
		}
		fallback_table_free(t);
	}
}

static void a_destination_is_a_port_a_host_or_a_path(void **state)
{
	static const struct {
		const char *text, *dest, *path;
	} rows[] = {
		{"80", "127.0.0.1:80", NULL},
		{"65535", "127.0.0.1:65535", NULL},
		{"web.example:8080", "web.example:8080", NULL},
		{"192.0.2.1:80", "192.0.2.1:80", NULL},
		{"[2001:db8::1]:80", "[2001:db8::1]:80", NULL},
		{"/run/web.sock", NULL, "/run/web.sock"},
		{"@abstract", NULL, "@abstract"},
		{"@@padded", NULL, "@@padded"},
		{"", NULL, NULL},
		{"65536", NULL, NULL},
		{"web.example", NULL, NULL},
		{"web.example:x", NULL, NULL},
		{"123456", NULL, NULL},
	};
	char text[DEST_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fallback f = {0};
		int err = fallback_parse_dest(&f, rows[i].text);

		assert_int_equal(err, rows[i].dest || rows[i].path ? 0 : -ERR_MALFORMED);
		if (rows[i].path)
			assert_string_equal(f.unix_path, rows[i].path);
		else if (!err)
			assert_string_equal(dest_format(&f.dest, text), rows[i].dest);
		free(f.unix_path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_entries_nobody_wants_it),
		cmocka_unit_test(the_default_takes_everything),
		cmocka_unit_test(a_path_needs_a_request_line),
		cmocka_unit_test(a_path_is_looked_for_within_64_bytes),
		cmocka_unit_test(without_a_default_path_only_the_named_ones_are_wanted),
		cmocka_unit_test(a_later_duplicate_wins),
		cmocka_unit_test(names_and_alpns_have_no_case),
		cmocka_unit_test(an_unknown_name_takes_the_longest_that_it_contains),
		cmocka_unit_test(entries_inherit_what_they_lack),
		cmocka_unit_test(any_table_selects_as_the_rules_say),
		cmocka_unit_test(a_destination_is_a_port_a_host_or_a_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
