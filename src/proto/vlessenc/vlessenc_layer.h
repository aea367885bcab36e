/* vlessenc_layer.h - the stream around the records (proto/sealed.h), both roles.  Internal to this folder.
 *
 * What belongs to the handshake is an object of its own, gone once the last of it has been read and
 * sent: an idle connection keeps two keys and holds no buffer.
 */
#ifndef WEIR_PROTO_VLESSENC_LAYER_H
#define WEIR_PROTO_VLESSENC_LAYER_H

#include "proto/sealed.h"
#include "proto/vlessenc/vlessenc.h"
#include "proto/vlessenc/vlessenc_record.h"

struct vlessenc_layer;

struct vlessenc_role {
	/* Drive the handshake with what is in l->base.rq.  0: records may travel, as soon as all of the
	 * hello has been sent; -EAGAIN: more bytes are needed.  Others are sticky. */
	int (*run)(struct vlessenc_layer *l);
	/* Of the client, before the first record: what the server sends ahead of it.  0; -ERR_MORE;
	 * others are sticky. */
	int (*first)(struct vlessenc_layer *l);
};

/* A hello that is sent in pieces, with pauses between them. */
struct vlessenc_pieces {
	uint8_t *bytes; /* NULL: all sent */
	size_t at;
	uint32_t len[VLESSENC_PADS], gap_ms[VLESSENC_PADS];
	unsigned n, i;
};

struct vlessenc_handshake {
	struct vlessenc_layer *layer;
	struct vlessenc_pieces out;
	struct timer pause;
	enum aead_alg alg;
	unsigned step; /* the role's */
	bool done;     /* run() has said so */
	uint8_t iv[VLESSENC_IV], secret[VLESSENC_SECRET];
	uint8_t united[VLESSENC_UNITED]; /* begins with the secret of the forward secrecy */
	uint8_t ticket[VLESSENC_TICKET];
	struct vlessenc_aead nfs;
	size_t body;		  /* of the box that comes next */
	uint8_t priv[X25519_LEN]; /* client */
	struct mlkem768_key *kem; /* client, 1-RTT; NULL otherwise */
	uint8_t *half;		  /* client, 1-RTT: its VLESSENC_HALF_C bytes */
};

struct vlessenc_layer {
	struct sealed base;
	const struct vlessenc_conf *conf;
	const struct vlessenc_role *role;
	struct vlessenc_handshake *hs; /* NULL: it is over */
	struct vlessenc_dir in, out;
	bool known;	/* a record of the peer's has been opened */
	bool whole;	/* as few records as can be */
	uint8_t bypass; /* bits 1 << enum stream_dir */
};

static inline struct vlessenc_layer *vlessenc_layer_of(const struct stream *s)
{
	return container_of(s, struct vlessenc_layer, base.s);
}

/* Take `len` bytes off l->base.rq and open them as the next box; the first `keep` bytes of it go to `out`.
 * 0; -EAGAIN: not all there; -ERR_AUTH; -ENOMEM. */
MUST_CHECK int vlessenc_take_box(struct vlessenc_layer *l, struct vlessenc_aead *a, size_t len,
				 uint8_t *out, size_t keep);

/* Send hs->out, whose bytes were malloc()ed. */
void vlessenc_send_pieces(struct vlessenc_layer *l);

/* In mode random: the masks of both directions; NULL: this one later. */
MUST_CHECK int vlessenc_set_masks(struct vlessenc_layer *l, const uint8_t *iv_in,
				  const uint8_t *iv_out);

extern const struct vlessenc_role vlessenc_server_role, vlessenc_client_role;

/* The client's first record has come, or something that is none. */
void vlessenc_client_first_record(struct vlessenc_layer *l, bool good);

#endif
