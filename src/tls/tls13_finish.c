#include "tls/tls13_finish.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"

enum {
	MSG_FINISHED = 20,
};

static int refuse(struct tls13_finish *f, uint8_t alert)
{
	f->alert = alert;
	return -ERR_TLS;
}

static int count_empty(struct tls13_finish *f)
{
	return ++f->empty > TLS_EMPTY_MAX ? refuse(f, TLS_UNEXPECTED_MESSAGE) : -EAGAIN;
}

/* For middleboxes (RFC 8446, appendix D.4): it means nothing. */
static int change_cipher_spec(struct tls13_finish *f, const uint8_t *p, size_t len)
{
	if (len != 1 || p[0] != 1)
		return refuse(f, f->strict_spec ? TLS_UNEXPECTED_MESSAGE : TLS_ILLEGAL_PARAMETER);
	return count_empty(f);
}

static int alert(struct tls13_finish *f, const uint8_t *p, size_t len)
{
	if (len != 2)
		return refuse(f, TLS_UNEXPECTED_MESSAGE);
	if (p[1] == TLS_USER_CANCELED)
		return ++f->warnings > TLS_WARN_MAX ? refuse(f, TLS_UNEXPECTED_MESSAGE) : -EAGAIN;
	return refuse(f, TLS13_FINISH_SILENT);
}

static int verify_message(struct tls13_finish *f, const uint8_t *verify, size_t size)
{
	if (f->have != 4 + size)
		return refuse(f, TLS_DECODE_ERROR);
	return ct_equal(f->text + 4, verify, size) ? 0 : refuse(f, TLS_DECRYPT_ERROR);
}

static int message(struct tls13_finish *f, const uint8_t *p, size_t len, const uint8_t *verify,
		   size_t size)
{
	size_t body;

	for (; len > 0 && f->have < 4; len--)
		f->text[f->have++] = *p++;
	if (f->have < 4)
		return -EAGAIN;
	body = (size_t)f->text[1] << 16 | (size_t)f->text[2] << 8 | f->text[3];
	if (f->text[0] != MSG_FINISHED)
		return refuse(f, TLS_UNEXPECTED_MESSAGE);
	if (body > TLS13_FINISH_MAX)
		return refuse(f, TLS_ILLEGAL_PARAMETER);
	for (; len > 0 && f->have < 4 + body; len--)
		f->text[f->have++] = *p++;
	if (f->have < 4 + body)
		return -EAGAIN;
	if (len > 0) /* a change of keys ends its record */
		return refuse(f, TLS_UNEXPECTED_MESSAGE);
	return verify_message(f, verify, size);
}

static int opened(struct tls13_finish *f, uint8_t type, const uint8_t *p, size_t len,
		  const uint8_t *verify, size_t size)
{
	if (type != TLS_DATA && type != TLS_HANDSHAKE && type != TLS_ALERT)
		return refuse(f, TLS_UNEXPECTED_MESSAGE);
	if (len == 0 && type != TLS_DATA)
		return refuse(f, TLS_UNEXPECTED_MESSAGE);
	if (len > TLS_PLAIN_MAX)
		return refuse(f, TLS_RECORD_OVERFLOW);
	if (len > 0)
		f->empty = 0;
	if (type == TLS_ALERT)
		return alert(f, p, len);
	if (type == TLS_DATA)
		return refuse(f, TLS_UNEXPECTED_MESSAGE);
	f->warnings = 0;
	return message(f, p, len, verify, size);
}

int tls13_finish_record(struct tls13_finish *f, struct tls_dir *in, uint8_t *record, size_t len,
			const uint8_t *verify, size_t size)
{
	uint8_t *text = record + TLS_HEADER, type;
	size_t n;
	int err;

	if (record[0] == TLS_CCS)
		return change_cipher_spec(f, text, len - TLS_HEADER);
	if (record[0] == TLS_ALERT) /* from who could not make out what we sent */
		return len == TLS_HEADER ? refuse(f, TLS_UNEXPECTED_MESSAGE)
					 : alert(f, text, len - TLS_HEADER);
	if (len < TLS_HEADER + 1 + AEAD_TAG)
		return refuse(f, TLS_BAD_RECORD_MAC);
	err = tls_open_one(in, record, len, text, &n, &type);
	if (err)
		return refuse(f, err == -ERR_AUTH	 ? TLS_BAD_RECORD_MAC
				 : err == -ERR_MALFORMED ? TLS_UNEXPECTED_MESSAGE
							 : TLS_INTERNAL_ERROR);
	return opened(f, type, text, n, verify, size);
}
