/* tls13_server.c - any bytes as what a client of our own TLS 1.3 handshake sends: as a ClientHello, of
 * which whatever is taken can be answered, and as records up to Finished, bare or sealed with the
 * right key: only the right Finished ends it well.
 *
 * First byte: even, the rest is a hello's message; odd, a list of records: type (1 byte), length (2), then
 * that many bytes; of type 23 the last of them is the inner type, and they are sealed.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tls/tls13_finish.h"
#include "tls/tls13_offer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static unsigned sum;

static void read_hello(const uint8_t *data, size_t len)
{
	struct rd r = rd_of(data, len);
	struct tls13_offer o;
	struct tls_hello h;

	if (tls_hello_parse(&r, &h))
		return;
	sum += tls13_offer_accepts(&h, 0x0403, 0x0403);
	if (tls13_offer_read(&h, len % 2, len % 4 > 1, &o))
		return;
	assert(!h.psk && !h.early_data && tls_hello_is_13(&h));
	assert(o.suite >= 0x1301 && o.suite <= 0x1303 && tls_hello_lists(h.ciphers, o.suite));
	assert(o.share.p >= data && o.share.p + o.share.len <= data + len);
	assert(o.share.len == 32);
}

/* A whole record into `out`; false: none that could come so far. */
static bool make_record(struct tls_dir *peer, uint8_t type, const uint8_t *p, size_t len,
			uint8_t *out, size_t *outlen)
{
	struct iovec iov = {(void *)(uintptr_t)p, len};

	if (type == TLS_DATA && len > 0 && len <= TLS_PLAIN_MAX) {
		iov.iov_len = len - 1;
		if (tls_seal(peer, p[len - 1], &iov, 1, len - 1, out))
			abort();
		*outlen = len - 1 + TLS_OVERHEAD;
		return true;
	}
	if (len > TLS_CIPHER_MAX)
		return false;
	memcpy(out, (uint8_t[]){type, 3, 3, (uint8_t)(len >> 8), (uint8_t)len}, TLS_HEADER);
	memcpy(out + TLS_HEADER, p, len);
	*outlen = TLS_HEADER + len;
	return !tls_header_alert(out, true);
}

static void read_records(const uint8_t *data, size_t len)
{
	static const uint8_t secret[TLS_SECRET_MAX] = "a secret that is none";
	static const uint8_t verify[32] = "what a Finished has to say here";
	static uint8_t record[TLS_HEADER + TLS_CIPHER_MAX];
	struct tls_dir peer = {0}, in = {0};
	struct tls13_finish f = {0};
	struct rd r = rd_of(data, len);
	int err = -EAGAIN;

	if (tls_dir_set(&peer, 0x1301, secret, 0) || tls_dir_set(&in, 0x1301, secret, 0))
		abort();
	while (err == -EAGAIN && rd_left(&r) > 0) {
		uint8_t type = rd_u8(&r);
		size_t n = rd_be16(&r), size;
		const uint8_t *p = rd_bytes(&r, n);

		if (r.err || !make_record(&peer, type, p, n, record, &size))
			break;
		f.alert = 0;
		err = tls13_finish_record(&f, &in, record, size, verify, sizeof(verify));
		assert(err == 0 || err == -EAGAIN || err == -ERR_TLS);
		assert((err == -ERR_TLS) == (f.alert != 0));
		assert(f.have <= sizeof(f.text));
	}
	if (err == 0)
		assert(f.have == 36 && !memcmp(f.text + 4, verify, sizeof(verify)));
	tls_dir_clear(&peer);
	tls_dir_clear(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len > 0 && data[0] % 2)
		read_records(data + 1, len - 1);
	else if (len > 0)
		read_hello(data + 1, len - 1);
	return 0;
}
