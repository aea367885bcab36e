/* record.h - TLS 1.3 records after the handshake (RFC 8446 §5): seal, open, KeyUpdate, alerts.
 *
 * Works on queues of bytes and knows no streams.  It is what every handshake (libssl's, REALITY's)
 * ends in; the stream around it is layer.h.
 *
 * Hostile input is answered as libssl answers it, alert by alert: a prober sees no difference.
 */
#ifndef WEIR_TLS_RECORD_H
#define WEIR_TLS_RECORD_H

#include "base/buf.h"
#include "crypto/aead.h"

#define TLS_HEADER     5
#define TLS_PLAIN_MAX  16384			   /* payload of one record */
#define TLS_CIPHER_MAX (TLS_PLAIN_MAX + 256)	   /* what the length field may say */
#define TLS_OVERHEAD   (TLS_HEADER + 1 + AEAD_TAG) /* header, inner type, tag */
#define TLS_SECRET_MAX 48

enum tls_type {
	TLS_CCS = 20,
	TLS_ALERT = 21,
	TLS_HANDSHAKE = 22,
	TLS_DATA = 23,
};

enum tls_alert {
	TLS_CLOSE_NOTIFY = 0,
	TLS_UNEXPECTED_MESSAGE = 10,
	TLS_BAD_RECORD_MAC = 20,
	TLS_RECORD_OVERFLOW = 22,
	TLS_ILLEGAL_PARAMETER = 47,
	TLS_DECODE_ERROR = 50,
	TLS_DECRYPT_ERROR = 51,
	TLS_PROTOCOL_VERSION = 70,
	TLS_INTERNAL_ERROR = 80,
	TLS_USER_CANCELED = 90,
	TLS_UNRECOGNIZED_NAME = 112,
};

/* Records in a row that carry nothing are work without gain: libssl's numbers. */
#define TLS_EMPTY_MAX 32
#define TLS_WARN_MAX  4

/* One direction under one traffic secret. */
struct tls_dir {
	struct aead_key key;
	uint64_t seq; /* of the next record */
	uint8_t secret[TLS_SECRET_MAX];
	uint8_t iv[12];
	uint16_t suite;
};

/* `secret` is 32 bytes, 48 for 0x1302; `seq` records have already gone under it.  -ERR_UNSUPPORTED
 * for anything but 0x1301..0x1303. */
MUST_CHECK int tls_dir_set(struct tls_dir *d, uint16_t suite, const uint8_t *secret, uint64_t seq);
MUST_CHECK int tls_dir_update(struct tls_dir *d); /* the next generation: "traffic upd" */
void tls_dir_clear(struct tls_dir *d);
size_t tls_secret_len(uint16_t suite); /* 0: not a suite of ours */

/* One record of `len` bytes in `n` pieces; `out` receives len + TLS_OVERHEAD. */
MUST_CHECK int tls_seal(struct tls_dir *d, enum tls_type type, const struct iovec *in, int n,
			size_t len, uint8_t *out);

/* The chunk becomes a record where it lies.  It must have room: TLS_HEADER before, 17 behind. */
MUST_CHECK int tls_seal_chunk(struct tls_dir *d, enum tls_type type, struct buf *b);

/* One record that is `wire` bytes long, header and all: what `in` leaves of it is padding.  `out`
 * receives that many; -ERR_TOO_BIG when `in` does not fit.
 */
MUST_CHECK int tls_seal_padded(struct tls_dir *d, enum tls_type type, const void *in, size_t len,
			       size_t wire, uint8_t *out);

/* One record of a handshake, `len` bytes with its header, into `out` (len - TLS_HEADER - AEAD_TAG
 * bytes of room): its type, and *n bytes without padding.  -ERR_AUTH, -ERR_MALFORMED.
 */
MUST_CHECK int tls_open_one(struct tls_dir *d, const uint8_t *record, size_t len, uint8_t *out,
			    size_t *n, uint8_t *type);

/* What the header of an encrypted record says against the rules: 0, or the alert that answers it.  The order,
 * and with it the answer to plain HTTP, is that of the libssl we are built with.  `handshake`: a
 * client's has not ended, so that ChangeCipherSpec and alerts in clear are in order.
 */
int tls_header_alert(const uint8_t h[TLS_HEADER], bool handshake);

/* Both directions and what has to be remembered between records. */
struct tls_records {
	struct tls_dir in, out;
	uint32_t skip;	      /* bytes of a message of no interest (a ticket) still to pass by */
	uint16_t fragment;    /* most plaintext in a record that may be sent or received */
	uint8_t hs[4], hslen; /* the header of a post-handshake message, as far as it has come */
	uint8_t empty, updates, warnings; /* in a row */
	uint8_t alert; /* after TLS_GOT_FAIL: to be sent; after TLS_GOT_ALERT: received */
	bool client;   /* we are: tickets are legal */
};

enum tls_got {
	TLS_GOT_MORE,	/* no whole record there */
	TLS_GOT_RECORD, /* one is done; what it carried is appended, if anything */
	TLS_GOT_ASKED,	/* the same, and the peer wants a KeyUpdate of ours */
	TLS_GOT_CLOSE,	/* close_notify */
	TLS_GOT_ALERT,	/* the peer gave up */
	TLS_GOT_FAIL,	/* the peer broke a rule: send `alert` */
	TLS_GOT_NOMEM,	/* nothing has been consumed */
};

void tls_records_init(struct tls_records *r, bool client);
void tls_records_clear(struct tls_records *r);

/* Open the first record of `in`, which is drained by it, and append its payload to `out`. */
enum tls_got tls_records_open(struct tls_records *r, struct bufq *in, struct bufq *out);

/* How many bytes `in` must hold so that its first record is whole; TLS_HEADER while that is
 * unknown. */
size_t tls_records_need(const struct bufq *in);

/* Seal up to `max` bytes off the front of `src` into records at the end of `out`.  Returns how many
 * bytes were taken: less when memory ran out, which may be 0; or -ERR_CRYPTO.  `whole`: as few
 * records as can be, whatever the chunks; otherwise a chunk that is nearly full becomes a record
 * where it lies.
 */
ssize_t tls_records_seal(struct tls_records *r, struct bufq *src, size_t max, bool whole,
			 struct bufq *out);

/* One small record of another type. */
MUST_CHECK int tls_records_put(struct tls_records *r, enum tls_type type, const void *p, size_t len,
			       struct bufq *out);

/* Send a KeyUpdate that asks for none, and go on under the next secret. */
MUST_CHECK int tls_records_rekey(struct tls_records *r, struct bufq *out);

#endif
