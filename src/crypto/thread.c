#include "crypto/thread.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

static _Thread_local struct crypto_thread self;
static _Thread_local bool registered;
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

static void thread_ends(void *p)
{
	struct crypto_thread *t = p;

	hash_thread_free(t->hash);
	aead_thread_free(t->aead);
	aes_thread_free(t->aes);
	t->hash = NULL;
	t->aead = NULL;
	t->aes = NULL;
}

static void make_exit_key(void)
{
	/* Without the key a thread's contexts stay until the process ends: no reason to fail. */
	(void)pthread_key_create(&exit_key, thread_ends);
}

struct crypto_thread *crypto_thread(void)
{
	if (!registered) {
		pthread_once(&exit_once, make_exit_key);
		(void)pthread_setspecific(exit_key, &self);
		registered = true;
	}
	return &self;
}
