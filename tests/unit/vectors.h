/* vectors.h - known answers out of tests/vectors/kat.json, or out of VECTOR_FILE there. */
#ifndef WEIR_TESTS_VECTORS_H
#define WEIR_TESTS_VECTORS_H

#include <stdio.h>

#include "base/json_value.h"
#include "unit.h"

#ifndef VECTOR_FILE
#define VECTOR_FILE "kat.json"
#endif

/* The text of section.name; fails the test when it is not there.  Static until the next call. */
static inline const char *vector_text(const char *section, const char *name)
{
	static char text[8192];
	static char file[256 * 1024];
	const struct json_value *v;
	struct json_value *doc;
	struct arena mem;
	const char *got;
	size_t len;
	FILE *f = fopen(WEIR_TESTS "/vectors/" VECTOR_FILE, "r");

	assert_non_null(f);
	len = fread(file, 1, sizeof(file), f);
	fclose(f);
	arena_init(&mem, 0);
	assert_int_equal(json_parse(file, len, 0, &mem, &doc, NULL, NULL), 0);
	v = json_get(json_get(doc, section), name);
	assert_non_null(v);
	assert_int_equal(json_to_text(v, &mem, &got), 0);
	assert_true(strlen(got) < sizeof(text));
	memcpy(text, got, strlen(got) + 1);
	arena_done(&mem);
	return text;
}

/* The same as bytes; returns how many. */
static inline size_t vector_bytes(const char *section, const char *name, uint8_t *out)
{
	const char *hex = vector_text(section, name);
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		out[i] = (uint8_t)byte;
	}
	return n;
}

#endif
