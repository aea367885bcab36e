/* pem.c - any bytes as a certificate chain and its key: one certificate that can be found and
 * pinned, or a sentence and nothing added.
 */
#include <assert.h>
#include <string.h>

#include "tls/cert_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data;
	struct cert_store *cs = cert_store_new();
	char why[200] = "";
	uint8_t pin[32];

	assert(cs);
	if (cert_store_add_pem(cs, text, len, text, len, why, sizeof(why))) {
		assert(*why && memchr(why, '\0', sizeof(why)));
		assert(cert_store_count(cs) == 0 && cert_store_find(cs, "weir.test") == -1);
	} else {
		assert(cert_store_count(cs) == 1);
		(void)cert_store_expiry(cs, 0);
		cert_store_fingerprint(cs, 0, pin);
		assert(cert_store_find(cs, "weir.test") <= 0);
	}
	cert_store_put(cs);
	return 0;
}
