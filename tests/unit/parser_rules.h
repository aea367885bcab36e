/* parser_rules.h - what every parser of a message keeps, whatever its protocol. */
#ifndef WEIR_TESTS_PARSER_RULES_H
#define WEIR_TESTS_PARSER_RULES_H

#include "base/rd.h"
#include "unit.h"

/* A parser whose result, if it has one, is of no interest. */
typedef int parser(struct rd *in);

/* `msg` is one whole message: a strict prefix asks for more, what stands behind it is not touched,
 * and no wrong bit does worse than fail.
 */
static inline void keeps_parser_rules(parser *parse, const uint8_t *msg, size_t len)
{
	uint8_t mem[2048];
	struct rd r;

	assert_true(len + 32 <= sizeof(mem));
	memcpy(mem, msg, len);
	memset(mem + len, 0xee, 32);
	for (size_t cut = 0; cut < len; cut++) {
		r = rd_of(mem, cut);
		assert_int_equal(parse(&r), -ERR_MORE);
		assert_int_equal(r.pos, 0);
	}
	r = rd_of(mem, len + 32);
	assert_int_equal(parse(&r), 0);
	assert_int_equal(r.pos, len);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		mem[bit / 8] ^= (uint8_t)(1u << bit % 8);
		r = rd_of(mem, len);
		(void)!parse(&r);
		assert_true(r.pos <= len);
		mem[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

#endif
