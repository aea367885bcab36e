/* schema.h - options as data: a table of rows beside the module that owns them.
 *
 * A row says how an option is spelled, what it holds, where it lands in a struct, its default, its
 * bounds, what a change of it costs, and a sentence for people.  Everything else is derived:
 * reading (read.h), comparing (diff.h), printing and the reference (print.h).
 *
 *     struct log_conf {
 *             struct conf_set set;        // first member of every such struct
 *             int64_t level;
 *             const char *output;
 *     };
 *     static const struct conf_row rows[] = {
 *             {.name = "Level", CONF_WORD(struct log_conf, level, levels), .fallback = "info",
 *              .help = "least severe message that is logged"},
 *             {.name = "Output", CONF_TEXT(struct log_conf, output), .help = "file; empty: standard
 * output"},
 *     };
 *     const struct conf_schema log_schema = CONF_SCHEMA("Log", struct log_conf, rows, "…");
 *
 * Three states: conf_is_set() tells what the text said from what the default filled in, so that a
 * panel may fill what the local file left open.
 *
 * Threads: tables are constant; a finished struct is only read.
 */
#ifndef WEIR_CONF_SCHEMA_H
#define WEIR_CONF_SCHEMA_H

#include "base/arena.h"
#include "base/base.h"
#include "base/json_value.h"

#define CONF_ROWS_MAX 128

/* Which rows of a struct were given: bit n belongs to rows[n]. */
struct conf_set {
	uint64_t bits[CONF_ROWS_MAX / 64];
};

enum conf_type {
	CONF_T_BOOL,	/* bool */
	CONF_T_INT,	/* int64_t */
	CONF_T_DECIMAL, /* double */
	CONF_T_SIZE,	/* int64_t, bytes: a number counts `scale` bytes, text may carry a unit */
	CONF_T_TEXT,	/* const char *, never NULL */
	CONF_T_WORD,	/* int64_t: one of `words`, in any case */
	CONF_T_LIST,	/* struct json_list */
	CONF_T_MAP,	/* struct conf_map: texts by name */
	CONF_T_OBJECT,	/* the struct of `sub`, in place */
	CONF_T_ARRAY,	/* struct conf_array of `sub`; one object is an array of one */
	CONF_T_VALUE,	/* const struct json_value *, NULL when absent: the owner decodes it */
	CONF_T_NONE,	/* nothing is kept */
};

/* What a change costs while the program runs. */
enum conf_reload {
	CONF_LIVE,    /* applied to what runs */
	CONF_REBUILD, /* the node's inbound is built anew beside the old one */
	CONF_ANEW,    /* what the section is about ends, and starts anew */
	CONF_RESTART, /* only a new start sees it */
};

enum conf_flags {
	CONF_SECRET = 1,   /* never printed */
	CONF_REQUIRED = 2, /* absent or empty is an error */
	CONF_NOT_YET = 4,  /* a feature to come: read and kept, with one warning */
	CONF_IGNORED = 8,  /* of another program, without meaning here: one warning */
	CONF_ENV = 16,	   /* the text ${NAME} is read from the environment */
	CONF_LOCAL = 32,   /* never taken from a panel */
	CONF_SILENT = 64,  /* CONF_IGNORED without the warning */
	CONF_URL = 128,	   /* printed without its user-info and query, which may hold secrets */
	CONF_LISTED = 256, /* a CONF_T_VALUE that is a list of objects: the reference says so */
};

struct conf_word {
	/* several rows of one value are spellings; the first is the one we print */
	const char *name;
	int64_t value;
	bool not_yet;
};

struct conf_pair {
	const char *name, *value;
};

struct conf_map {
	struct conf_pair *items;
	size_t count;
};

struct conf_array {
	void *items; /* `count` structs of the row's `sub` */
	size_t count;
};

struct conf_schema;

struct conf_row {
	const char *name;
	const char *aliases; /* other spellings, separated by blanks */
	enum conf_type type;
	size_t offset;
	const char *fallback; /* the default, as one would write it; NULL: zero, empty */
	/* what the reference says in place of a default; of a CONF_REQUIRED row what to do about it */
	const char *absent;
	int64_t min, max; /* max 0: no upper bound */
	int64_t scale;	  /* CONF_T_SIZE: bytes that a bare number counts */
	const char *unit;
	const struct conf_word *words; /* ends with a NULL name */
	const struct conf_schema *sub;
	/* NULL when the text (each of a list) will do; else "what is wrong; what to do".  Static.
	 */
	const char *(*check)(const char *text);
	enum conf_reload reload;
	unsigned flags;
	const char *help; /* a phrase; the reference prints it */
};

struct conf_schema {
	const char *name; /* heading in the reference */
	const struct conf_row *rows;
	size_t count, size;
	const char *help;
};

#define CONF_SCHEMA(name_, type_, rows_, help_)                              \
	{                                                                    \
		.name = (name_), .rows = (rows_), .count = ARRAY_LEN(rows_), \
		.size = sizeof(type_), .help = (help_),                      \
	}

/* The offset of a field, after a look at its type. */
#define CONF_AT(T, field, want)                                                                  \
	(offsetof(T, field) +                                                                    \
	 0 * sizeof(struct {                                                                     \
		 int unused;                                                                     \
		 _Static_assert(__builtin_types_compatible_p(__typeof__(((T *)0)->field), want), \
				"the field has another type than the row");                      \
	 }))
#define CONF_BOOL(T, f)	     .type = CONF_T_BOOL, .offset = CONF_AT(T, f, bool)
#define CONF_INT(T, f)	     .type = CONF_T_INT, .offset = CONF_AT(T, f, int64_t)
#define CONF_DECIMAL(T, f)   .type = CONF_T_DECIMAL, .offset = CONF_AT(T, f, double)
#define CONF_SIZE(T, f, s)   .type = CONF_T_SIZE, .offset = CONF_AT(T, f, int64_t), .scale = (s)
#define CONF_TEXT(T, f)	     .type = CONF_T_TEXT, .offset = CONF_AT(T, f, const char *)
#define CONF_WORD(T, f, w)   .type = CONF_T_WORD, .offset = CONF_AT(T, f, int64_t), .words = (w)
#define CONF_LIST(T, f)	     .type = CONF_T_LIST, .offset = CONF_AT(T, f, struct json_list)
#define CONF_MAP(T, f)	     .type = CONF_T_MAP, .offset = CONF_AT(T, f, struct conf_map)
#define CONF_OBJECT(T, f, s) .type = CONF_T_OBJECT, .offset = offsetof(T, f), .sub = (s)
#define CONF_ARRAY(T, f, s) \
	.type = CONF_T_ARRAY, .offset = CONF_AT(T, f, struct conf_array), .sub = (s)
#define CONF_VALUE(T, f) .type = CONF_T_VALUE, .offset = CONF_AT(T, f, const struct json_value *)
#define CONF_NONE	 .type = CONF_T_NONE

/* The row of that key: by name exactly, by alias exactly, then the same in any case; or NULL. */
const struct conf_row *conf_row_find(const struct conf_schema *s, const char *key);

/* The known key nearest to a mistyped one, or NULL when none is near. */
const char *conf_row_nearest(const struct conf_schema *s, const char *key);

bool conf_row_is_set(const struct conf_schema *s, const struct conf_row *row, const void *object);

/* Was the option at that field given? */
bool conf_field_is_set(const struct conf_schema *s, const void *object, size_t offset);
#define conf_is_set(schema, object, field) \
	conf_field_is_set((schema), (object), offsetof(__typeof__(*(object)), field))

/* The first spelling of a word's value, or "?" */
const char *conf_word_name(const struct conf_word *words, int64_t value);

#endif
