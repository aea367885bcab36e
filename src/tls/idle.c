#include "tls/idle.h"

#include <malloc.h>
#include <stdatomic.h>

/* Below this what could come back is not worth walking the heap. */
#define WORTH_IT 64

static atomic_uint since_trim;

void tls_note_handshake(void)
{
	atomic_fetch_add_explicit(&since_trim, 1, memory_order_relaxed);
}

bool tls_idle_trim(void)
{
	unsigned n = atomic_load_explicit(&since_trim, memory_order_relaxed);

	if (n < WORTH_IT)
		return false;
	atomic_store_explicit(&since_trim, 0, memory_order_relaxed);
	malloc_trim(0);
	return true;
}
