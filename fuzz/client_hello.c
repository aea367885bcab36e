/* client_hello.c - any bytes as a ClientHello, bare and in records: what points into the input
 * stays in it, a prefix never says something else than the whole, and walking the lists ends.
 */
#include <assert.h>
#include <string.h>

#include "tls/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static unsigned sum; /* so that what is read is not optimised away */

static void touch(struct tls_bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		sum += b.p[i];
}

static void check(const struct tls_hello *h)
{
	struct tls_bytes list = h->alpn, name;
	size_t names = 0;

	touch(h->raw);
	touch(h->session_id);
	touch(h->ciphers);
	touch(h->sni);
	touch(h->versions);
	touch(h->groups);
	touch(h->sigalgs);
	touch(h->shares);
	touch(h->extensions);
	touch((struct tls_bytes){h->random, 32});
	while (tls_hello_next_alpn(&list, &name)) {
		touch(name);
		assert(name.len > 0 && ++names < 20000);
	}
	assert(list.len == 0);
	for (uint16_t i = 0; i < 64; i++) {
		touch(tls_hello_share(h, i));
		touch(tls_hello_extension(h, i));
	}
	sum += tls_hello_is_13(h);
	assert(h->session_id.len <= 32 && h->sni.len <= 255);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t buf[TLS_HELLO_MAX];
	struct tls_hello h;
	struct rd r = rd_of(data, len), part;
	int err;

	if (tls_hello_parse(&r, &h) == 0) {
		assert(r.pos <= len && h.raw.len == r.pos);
		check(&h);
	}
	r = rd_of(data, len);
	err = tls_hello_read(&r, buf, &h);
	if (err == 0)
		check(&h);
	for (size_t i = 0; i < len; i += 1 + len / 16) {
		int e;

		part = rd_of(data, i);
		e = tls_hello_read(&part, buf, &h);
		assert(e == -ERR_MORE || (e == 0 && err == 0 && part.pos == r.pos) || e == err);
		assert(e == 0 || part.pos == 0);
	}
	return 0;
}
