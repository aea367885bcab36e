/* base.h - the few words every other header speaks: attributes, container_of, time.
 *
 * Nothing here does I/O, keeps state or allocates.
 */
#ifndef WEIR_BASE_H
#define WEIR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MUST_CHECK   __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define UNUSED	     __attribute__((unused))
/* A large local of the data path, filled before use. */
#define UNINIT	     __attribute__((uninitialized))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define likely(x)    __builtin_expect(!!(x), 1)
#define unlikely(x)  __builtin_expect(!!(x), 0)
/* clang-format off */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
/* clang-format on */

#define MIN(a, b)                                  \
	({                                         \
		__typeof__(a) min_a_ = (a);        \
		__typeof__(b) min_b_ = (b);        \
		min_a_ < min_b_ ? min_a_ : min_b_; \
	})
#define MAX(a, b)                                  \
	({                                         \
		__typeof__(a) max_a_ = (a);        \
		__typeof__(b) max_b_ = (b);        \
		max_a_ > max_b_ ? max_a_ : max_b_; \
	})

/* Nanoseconds on the monotonic clock of the loop that is asked; a duration where a name says so. */
typedef int64_t nsec_t;

#define NSEC_US	 ((nsec_t)1000)
#define NSEC_MS	 ((nsec_t)1000000)
#define NSEC_SEC ((nsec_t)1000000000)

#endif
