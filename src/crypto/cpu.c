#include "crypto/cpu.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <pthread.h>

/* Leaf 7; cpuid takes a microsecond on a virtual machine: asked once. */
static unsigned ebx, ecx;
static pthread_once_t asked = PTHREAD_ONCE_INIT;

static void ask(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
		return;
	ebx = b;
	ecx = c;
}

bool cpu_has_sha(void)
{
	pthread_once(&asked, ask);
	return ebx & bit_SHA;
}

bool cpu_has_vaes(void)
{
	pthread_once(&asked, ask);
	return ecx & bit_VAES;
}

#else

bool cpu_has_sha(void)
{
	return false;
}

bool cpu_has_vaes(void)
{
	return false;
}

#endif
