/* failmalloc.c - preloaded into a unit test, lets the n-th allocation of the program fail.
 *
 *     FAILMALLOC_AT=n LD_PRELOAD=failmalloc.so test
 *
 * Only allocations that the program's own code asks for count, known by the return address:
 * what a library does without memory is its authors' business, and FAILMALLOC_SKIP=FROM-TO
 * (offsets, hexadecimal) leaves out what the test itself asks for.  At the end the number of
 * counted allocations goes to the file FAILMALLOC_COUNT names.
 *
 * A program that dies says where: `died of SIGNAL in the same|a later call at OFFSET OFFSET...`,
 * the innermost place of its own code first.  The call is the test's into our code: one that dies
 * in a later call than the one that was refused memory went on with what it had not got.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *(*next_malloc)(size_t);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static int (*next_posix_memalign)(void **, size_t, size_t);
static void *(*next_aligned_alloc)(size_t, size_t);

static uintptr_t base, text_from, text_to, skip_from, skip_to;
static uintptr_t failed_place; /* in the test's code: the call that was refused */
static unsigned long fail_at;
static atomic_ulong counted;

/* What dlsym itself allocates before it has told where calloc is. */
static char early[4096];
static size_t early_used;

static int find_text(struct dl_phdr_info *info, size_t size, void *arg)
{
	/* The program itself is the first in the list. */
	base = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && (p->p_flags & PF_X)) {
			text_from = info->dlpi_addr + p->p_vaddr;
			text_to = text_from + p->p_memsz;
		}
	}
	return 1;
}

/* Where in the test's own code the innermost call that leaves it stands. */
static uintptr_t test_place(void **frames, int n)
{
	for (int i = 0; i < n; i++) {
		uintptr_t at = (uintptr_t)frames[i];

		if (at >= skip_from && at < skip_to)
			return at;
	}
	return 0;
}

/* Everything here is past saving, so stdio in a signal handler is the lesser evil. */
static void say_where(int sig)
{
	void *frames[64];
	int n = backtrace(frames, 64);

	fprintf(stderr, "\ndied of %d in %s call at", sig,
		test_place(frames, n) == failed_place ? "the same" : "a later");
	for (int i = 0; i < n; i++) {
		uintptr_t at = (uintptr_t)frames[i];

		if (at >= text_from && at < text_to)
			fprintf(stderr, " 0x%lx", (unsigned long)(at - base - 1));
	}
	fprintf(stderr, "\n");
	_exit(99);
}

static int is_death(int sig)
{
	return sig == SIGSEGV || sig == SIGABRT || sig == SIGBUS || sig == SIGFPE || sig == SIGILL;
}

/* cmocka would turn deaths into failed tests. */
int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	static int (*next)(int, const struct sigaction *, struct sigaction *);

	if (!next)
		next = (int (*)(int, const struct sigaction *, struct sigaction *))dlsym(
			RTLD_NEXT, "sigaction");
	if (is_death(sig) && act) {
		struct sigaction ours = {.sa_handler = say_where};

		return next(sig, &ours, old);
	}
	return next(sig, act, old);
}

void (*signal(int sig, void (*handler)(int)))(int)
{
	struct sigaction act = {.sa_handler = handler}, old;

	return sigaction(sig, &act, &old) < 0 ? SIG_ERR : old.sa_handler;
}

__attribute__((constructor)) static void start(void)
{
	const char *at = getenv("FAILMALLOC_AT"), *skip = getenv("FAILMALLOC_SKIP");

	next_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	next_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	next_posix_memalign = (int (*)(void **, size_t, size_t))dlsym(RTLD_NEXT, "posix_memalign");
	next_aligned_alloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "aligned_alloc");
	next_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	fail_at = at ? strtoul(at, NULL, 10) : 0;
	dl_iterate_phdr(find_text, NULL);
	if (skip && sscanf(skip, "%lx-%lx", &skip_from, &skip_to) == 2) {
		skip_from += base;
		skip_to += base;
	}
	for (int i = 1; i < NSIG; i++)
		if (is_death(i))
			signal(i, say_where);
}

__attribute__((destructor)) static void finish(void)
{
	const char *path = getenv("FAILMALLOC_COUNT");
	FILE *f = path ? fopen(path, "w") : NULL;

	if (f) {
		fprintf(f, "%lu\n", atomic_load(&counted));
		fclose(f);
	}
}

static int fails(void *caller)
{
	uintptr_t at = (uintptr_t)caller;
	void *frames[64];

	if (at < text_from || at >= text_to || (at >= skip_from && at < skip_to))
		return 0;
	if (atomic_fetch_add(&counted, 1) + 1 != fail_at)
		return 0;
	failed_place = test_place(frames, backtrace(frames, 64));
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t size)
{
	if (!next_malloc)
		start();
	return fails(__builtin_return_address(0)) ? NULL : next_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	if (!next_calloc) {
		void *p = early + early_used;

		early_used += (n * size + 15) & ~(size_t)15;
		return early_used <= sizeof(early) ? p : NULL;
	}
	return fails(__builtin_return_address(0)) ? NULL : next_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	if (!next_realloc)
		start();
	return fails(__builtin_return_address(0)) ? NULL : next_realloc(p, size);
}

int posix_memalign(void **out, size_t align, size_t size)
{
	if (!next_posix_memalign)
		start();
	return fails(__builtin_return_address(0)) ? ENOMEM : next_posix_memalign(out, align, size);
}

void *aligned_alloc(size_t align, size_t size)
{
	if (!next_aligned_alloc)
		start();
	return fails(__builtin_return_address(0)) ? NULL : next_aligned_alloc(align, size);
}

void free(void *p)
{
	static void (*next_free)(void *);

	if ((char *)p >= early && (char *)p < early + sizeof(early))
		return;
	if (!next_free)
		next_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	next_free(p);
}
