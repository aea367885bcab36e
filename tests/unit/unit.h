/* unit.h - cmocka with the headers that it wants before itself. */
#ifndef WEIR_TESTS_UNIT_H
#define WEIR_TESTS_UNIT_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/err.h"

/* How many times longer things may take: sanitizers are slow, and ./dev says how slow. */
static inline double unit_slow(void)
{
	const char *slow = getenv("WEIR_SLOW");

	return slow ? atof(slow) : 1;
}

#endif
