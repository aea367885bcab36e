/* sample.h - a schema with a row of every type, for the tests of the folder. */
#ifndef WEIR_TESTS_CONF_SAMPLE_H
#define WEIR_TESTS_CONF_SAMPLE_H

#include "conf/read.h"

struct inner {
	struct conf_set set;
	const char *dest;
	int64_t level;
};

struct sample {
	struct conf_set set;
	bool on;
	int64_t port, size, mode;
	double rate;
	const char *name, *key, *host;
	struct json_list list;
	struct conf_map env;
	struct inner inner;
	struct conf_array inners;
	const struct json_value *any;
	int64_t later;
};

static const char *check_lower(const char *text)
{
	for (; *text; text++) {
		if (*text >= 'A' && *text <= 'Z')
			return "has capitals; write it small";
	}
	return NULL;
}

static const struct conf_word modes[] = {
	{"plain", 0}, {"warn", 1}, {"warning", 1}, {"soon", 2, true}, {0}};

static const struct conf_row inner_rows[] = {
	{.name = "Dest",
	 CONF_TEXT(struct inner, dest),
	 .flags = CONF_REQUIRED,
	 .absent = "write a port",
	 .help = "Its port."},
	{.name = "Level", CONF_INT(struct inner, level), .fallback = "3", .reload = CONF_REBUILD},
};
static const struct conf_schema inner_schema =
	CONF_SCHEMA("Inner", struct inner, inner_rows, "Inner things.");

#define S struct sample
static const struct conf_row sample_rows[] = {
	{.name = "Enable", CONF_BOOL(S, on), .fallback = "true", .help = "Whether."},
	{.name = "Port",
	 .aliases = "ServerPort Listen",
	 CONF_INT(S, port),
	 .fallback = "443",
	 .min = 1,
	 .max = 65535,
	 .reload = CONF_RESTART,
	 .help = "Where."},
	{.name = "Traffic", CONF_SIZE(S, size, 1000000), .fallback = "5", .unit = "MB"},
	{.name = "Mode", CONF_WORD(S, mode, modes), .fallback = "warn", .help = "How."},
	{.name = "Rate", CONF_DECIMAL(S, rate), .max = 1000, .unit = "Mbit/s"},
	{.name = "Name", CONF_TEXT(S, name), .check = check_lower, .absent = "none"},
	{.name = "Key", CONF_TEXT(S, key), .flags = CONF_SECRET | CONF_ENV | CONF_LOCAL},
	{.name = "Host", CONF_TEXT(S, host), .flags = CONF_URL},
	{.name = "List", CONF_LIST(S, list), .fallback = "a,b", .check = check_lower},
	{.name = "Env", CONF_MAP(S, env), .flags = CONF_SECRET | CONF_ENV},
	{.name = "Inner", CONF_OBJECT(S, inner, &inner_schema)},
	{.name = "Inners", CONF_ARRAY(S, inners, &inner_schema)},
	{.name = "Any", CONF_VALUE(S, any)},
	{.name = "Later", CONF_INT(S, later), .flags = CONF_NOT_YET},
	{.name = "Dead", CONF_NONE, .flags = CONF_IGNORED},
};
static const struct conf_schema sample_schema =
	CONF_SCHEMA("Sample", struct sample, sample_rows, "A sample.");
#undef S

/* Everything that one test needs, let go by fixture_done(). */
struct fixture {
	struct arena arena;
	struct conf_report report;
	struct conf_reader reader;
	struct sample s;
};

static inline const char *fake_env(const char *name)
{
	return !strcmp(name, "NODE_KEY") ? "from the environment" : NULL;
}

static inline void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	arena_init(&f->arena, 0);
	conf_report_init(&f->report);
	f->reader = (struct conf_reader){
		.arena = &f->arena, .report = &f->report, .file = "f.json", .getenv = fake_env};
}

static inline void fixture_done(struct fixture *f)
{
	arena_done(&f->arena);
	conf_report_done(&f->report);
}

static inline struct json_value *fixture_parse(struct fixture *f, const char *text)
{
	struct json_value *v = NULL;

	assert_int_equal(json_parse(text, strlen(text), JSON_RELAXED, &f->arena, &v, NULL, NULL),
			 0);
	return v;
}

/* The report as text, in static storage. */
static inline const char *fixture_report(struct fixture *f)
{
	static char text[8192];
	FILE *to = fmemopen(text, sizeof(text), "w");

	conf_report_print(&f->report, to);
	putc(0, to);
	fclose(to);
	return text;
}

#endif
