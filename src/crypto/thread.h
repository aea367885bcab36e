/* thread.h - what crypto keeps per thread: digest contexts, expanded keys, an ipsec-mb instance.
 *
 * Internal to src/crypto.  Made at a thread's first use of each part, freed when the thread ends.
 * Contexts are costly to make and cheap to re-use; nothing in them outlives one call but expanded
 * keys, which are found again by the identity of their key.
 */
#ifndef WEIR_CRYPTO_THREAD_H
#define WEIR_CRYPTO_THREAD_H

struct hash_thread;
struct aead_thread;
struct aes_thread;

struct crypto_thread {
	struct hash_thread *hash;
	struct aead_thread *aead;
	struct aes_thread *aes;
};

/* This thread's.  Never NULL. */
struct crypto_thread *crypto_thread(void);

void hash_thread_free(struct hash_thread *h); /* NULL is fine */
void aead_thread_free(struct aead_thread *a);
void aes_thread_free(struct aes_thread *t);

#endif
