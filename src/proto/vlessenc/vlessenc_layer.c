#include "proto/vlessenc/vlessenc_layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"

#define HELLO_READ 16384
#define RAW_MAX	   (256 * 1024)

#define BIT(dir) (1u << (dir))

static struct vlessenc_layer *layer_of(const struct sealed *b)
{
	return vlessenc_layer_of(&b->s);
}

/* ---- the hello --------------------------------------------------------------------------- */

void vlessenc_send_pieces(struct vlessenc_layer *l)
{
	struct vlessenc_pieces *p = &l->hs->out;

	while (p->bytes && p->i < p->n) {
		unsigned i = p->i;

		if (p->len[i] > 0 && bufq_append(&l->base.wq, p->bytes + p->at, p->len[i])) {
			l->base.werr = -ENOMEM;
			break;
		}
		p->at += p->len[i];
		p->i++;
		if (sealed_flush(&l->base) < 0 && l->base.werr)
			break;
		if (p->gap_ms[i] > 0) {
			timer_set(l->base.s.loop, &l->hs->pause,
				  loop_now(l->base.s.loop) + p->gap_ms[i] * NSEC_MS);
			return;
		}
	}
	free(p->bytes);
	p->bytes = NULL;
}

static void on_pause(struct timer *t)
{
	struct vlessenc_layer *l = container_of(t, struct vlessenc_handshake, pause)->layer;

	vlessenc_send_pieces(l);
	sealed_wake(&l->base);
}

int vlessenc_take_box(struct vlessenc_layer *l, struct vlessenc_aead *a, size_t len, uint8_t *out,
		      size_t keep)
{
	uint8_t *mem;
	int err;

	if (bufq_len(&l->base.rq) < len)
		return -EAGAIN;
	if (len < AEAD_TAG)
		return -ERR_AUTH;
	mem = malloc(len);
	if (!mem)
		return -ENOMEM;
	bufq_take(&l->base.rq, mem, len);
	err = vlessenc_open(a, mem, len, mem);
	if (!err && keep)
		memcpy(out, mem, keep);
	cleanse(mem, len);
	free(mem);
	return err;
}

int vlessenc_set_masks(struct vlessenc_layer *l, const uint8_t *iv_in, const uint8_t *iv_out)
{
	int err = 0;

	if (l->conf->mode != VLESSENC_RANDOM)
		return 0;
	if (iv_in)
		err = vlessenc_dir_mask(&l->in, l->hs->united, iv_in);
	if (!err && iv_out)
		err = vlessenc_dir_mask(&l->out, l->hs->united, iv_out);
	return err;
}

static void handshake_free(struct vlessenc_layer *l)
{
	struct vlessenc_handshake *hs = l->hs;

	if (!hs)
		return;
	timer_stop(&hs->pause);
	free(hs->out.bytes);
	if (hs->kem)
		mlkem768_key_clear(hs->kem);
	free(hs->kem);
	free(hs->half);
	vlessenc_aead_clear(&hs->nfs);
	cleanse(hs, sizeof(*hs));
	free(hs);
	l->hs = NULL;
}

/* Ready when the handshake is through and all of the hello is on its way. */
static int settle(struct vlessenc_layer *l)
{
	if (l->base.werr)
		return l->base.werr;
	l->base.paused = l->hs->out.bytes != NULL;
	if (l->base.paused)
		return -EAGAIN;
	sealed_ready(&l->base);
	if (!l->base.head_in)
		handshake_free(l);
	return 0;
}

static int fail(struct vlessenc_layer *l, int err)
{
	if (l->conf->server && err == -ERR_AUTH) {
		l->base.strange = true;
		bufq_done(&l->base.rq);
	}
	handshake_free(l);
	l->base.rerr = (int16_t)err;
	if (!l->base.strange)
		l->base.werr = (int16_t)err;
	return err;
}

/* Something has come, so this is not who just hangs up: the reject policy decides. */
static int ended_early(struct vlessenc_layer *l)
{
	bool silent = l->hs->step == 0 && bufq_empty(&l->base.rq);

	return l->conf->server && !silent ? -ERR_AUTH : -ERR_TRUNCATED;
}

static int handshake(struct vlessenc_layer *l)
{
	ssize_t n;
	int err;

	for (;;) {
		err = l->role->run(l);
		l->hs->done = err == 0;
		if (!err)
			return settle(l);
		if (err != -EAGAIN)
			return err;
		if (l->base.werr)
			return l->base.werr;
		n = stream_pull(l->base.lower, &l->base.rq, HELLO_READ);
		if (n == 0)
			return ended_early(l);
		if (n < 0)
			return (int)n;
	}
}

static int layer_open(struct stream *s)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);
	int err = 0;

	if (l->base.ready)
		return 0;
	if (l->base.rerr)
		return l->base.rerr;
	if (!l->base.lower_open) {
		err = stream_open(l->base.lower);
		l->base.lower_open = err == 0;
	}
	if (!err)
		err = l->hs->done ? settle(l) : handshake(l);
	if (err && err != -EAGAIN)
		return fail(l, err);
	return err;
}

/* ---- records ----------------------------------------------------------------------------- */

/* What the server sends ahead of them. */
static int layer_read_head(struct sealed *b, struct bufq *first)
{
	struct vlessenc_layer *l = layer_of(b);

	return l->role->first(l);
}

static size_t layer_need(const struct sealed *b)
{
	const struct vlessenc_layer *l = layer_of(b);

	return b->head_in ? l->hs->body : vlessenc_record_need(&l->in);
}

static ssize_t layer_open_record(struct sealed *b, struct bufq *dst)
{
	struct vlessenc_layer *l = layer_of(b);
	ssize_t n = vlessenc_record_open(&l->in, &b->rq, dst);

	l->known |= n > 0;
	if (l->hs && (n > 0 || n == -ERR_MALFORMED))
		vlessenc_client_first_record(l, n > 0);
	if (l->hs && n > 0)
		handshake_free(l);
	return n;
}

static bool layer_within(const struct sealed *b)
{
	return layer_of(b)->in.next > 0;
}

/* Before its first good record a peer may be a stranger who knows no more than the public key. */
static int layer_broken(struct sealed *b, int err)
{
	struct vlessenc_layer *l = layer_of(b);

	if (l->conf->server && !l->known) {
		l->base.strange = true;
		bufq_done(&l->base.rq);
		if (l->base.held) /* our hello, which he shall not see */
			bufq_done(&l->base.wq);
		l->base.held = false;
		return -ERR_AUTH;
	}
	l->base.rerr = (int16_t)(err == -ERR_AUTH || err == -ERR_MALFORMED ? -ERR_PROTOCOL : err);
	return l->base.rerr;
}

static ssize_t layer_seal(struct sealed *b, struct bufq *src)
{
	struct vlessenc_layer *l = layer_of(b);

	return vlessenc_record_seal(&l->out, src, b->burst, l->whole, &b->wq);
}

static void layer_clear(struct sealed *b)
{
	struct vlessenc_layer *l = layer_of(b);

	handshake_free(l);
	vlessenc_dir_clear(&l->in);
	vlessenc_dir_clear(&l->out);
}

/* ---- the bytes of another conversation --------------------------------------------------- */

static ssize_t pull_raw(struct vlessenc_layer *l, struct bufq *dst, size_t max)
{
	size_t before = bufq_len(dst);
	ssize_t n = sealed_pass(&l->base, dst, max);
	int err = n > 0 ? vlessenc_walk(&l->in, dst, before, false) : 0;

	return err ? err : n;
}

static ssize_t layer_pull(struct stream *s, struct bufq *dst, size_t max)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);

	return l->bypass & BIT(STREAM_IN) ? pull_raw(l, dst, max) : sealed_pull(s, dst, max);
}

static ssize_t push_raw(struct vlessenc_layer *l, struct bufq *src)
{
	int err = sealed_flush(&l->base);
	size_t n;

	if (err)
		return err;
	if (!l->out.mask)
		return stream_push(l->base.lower, src);
	n = bufq_move(&l->base.wq, src, RAW_MAX);
	if (n == 0)
		return -ENOMEM;
	err = vlessenc_walk(&l->out, &l->base.wq, 0, true);
	if (err)
		return l->base.werr = (int16_t)err;
	err = sealed_flush(&l->base);
	return err && err != -EAGAIN ? err : (ssize_t)n;
}

static ssize_t layer_push(struct stream *s, struct bufq *src)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);

	if (l->bypass & BIT(STREAM_OUT))
		return l->base.werr ? l->base.werr : push_raw(l, src);
	return sealed_push(s, src);
}

/* ---- the rest of the interface ----------------------------------------------------------- */

/* Only while what is below has not opened: it may have let go of its peer, and nothing of what he
 * has sent has come as far as this.
 */
static struct stream *layer_peel(struct stream *s, struct bufq *first)
{
	struct sealed *b = sealed_of(s);

	return b->lower_open ? NULL : sealed_leave(b);
}

/* A header that has been read already belongs to whoever reads on. */
static int unread_header(struct vlessenc_layer *l)
{
	uint8_t h[VLESSENC_HEADER] = {0x17, 3, 3, (uint8_t)(l->in.next >> 8), (uint8_t)l->in.next};
	struct bufq q;
	int err;

	bufq_init(&q, loop_pool(l->base.s.loop), SIZE_MAX);
	err = bufq_append(&q, h, sizeof(h));
	if (err)
		return err;
	stream_unread(&l->base.s, &q);
	l->in.skip = l->in.next;
	l->in.next = 0;
	return 0;
}

static int layer_bypass(struct stream *s, enum stream_dir dir)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);
	int err = 0;

	if (!l->base.ready || l->base.strange || (dir == STREAM_IN && l->base.head_in))
		return -ENOTSUP;
	if (dir == STREAM_IN && l->in.next)
		err = unread_header(l);
	if (!err)
		l->bypass |= (uint8_t)BIT(dir);
	return err;
}

static int layer_splice(struct stream *s, enum stream_dir dir, struct stream_raw *out)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);

	if (!(l->bypass & BIT(dir)) || l->conf->mode == VLESSENC_RANDOM)
		return -ENOTSUP;
	if (!bufq_empty(dir == STREAM_IN ? &l->base.rq : &l->base.wq))
		return -EAGAIN;
	return stream_splice(l->base.lower, dir, out);
}

static int layer_query(const struct stream *s, enum stream_attr attr, union stream_value *out)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);

	if (attr == STREAM_TLS_VERSION && l->base.ready) {
		out->num = 0x0304;
		return 0;
	}
	return stream_query(l->base.lower, attr, out);
}

static int layer_set(struct stream *s, enum stream_attr attr, union stream_value v)
{
	struct vlessenc_layer *l = vlessenc_layer_of(s);

	if (attr != STREAM_RECORD_MODE)
		return stream_set(l->base.lower, attr, v);
	l->base.single = v.num & BIT(STREAM_IN);
	l->whole = v.num & BIT(STREAM_OUT);
	return 0;
}

static const struct stream_ops layer_ops = {
	.name = "vlessenc",
	.open = layer_open,
	.pull = layer_pull,
	.push = layer_push,
	.want = sealed_want,
	.shut = sealed_shut,
	.free = sealed_free,
	.peel = layer_peel,
	.bypass = layer_bypass,
	.splice = layer_splice,
	.query = layer_query,
	.set = layer_set,
};

#define RECORDS                                                                                    \
	.open = layer_open_record, .need = layer_need, .within = layer_within, .seal = layer_seal, \
	.clear = layer_clear, .read_head = layer_read_head, .broken = layer_broken,                \
	.more = VLESSENC_OVERHEAD

static const struct sealed_ops server_ops = {RECORDS, .stays = true};
static const struct sealed_ops client_ops = {RECORDS, .client = true, .stays = true};

static struct stream *layer_new(struct stream *lower, const struct vlessenc_conf *conf,
				const struct vlessenc_role *role, const struct sealed_ops *ops)
{
	struct vlessenc_handshake *hs = calloc(1, sizeof(*hs));
	struct vlessenc_layer *l;
	struct sealed *b;

	if (!hs) {
		stream_free(lower);
		return NULL;
	}
	b = sealed_new(sizeof(*l), lower, &layer_ops, ops, NULL);
	if (!b) {
		free(hs);
		return NULL;
	}
	b->most = VLESSENC_LEN_MAX;
	l = layer_of(b);
	timer_init(&hs->pause, on_pause);
	hs->layer = l;
	hs->alg = aead_has_hw_aes() ? AEAD_AES_256_GCM : AEAD_CHACHA20_POLY1305;
	l->conf = conf;
	l->role = role;
	l->hs = hs;
	return &b->s;
}

struct stream *vlessenc_server_new(struct stream *lower, const struct vlessenc_conf *conf)
{
	return layer_new(lower, conf, &vlessenc_server_role, &server_ops);
}

struct stream *vlessenc_client_new(struct stream *lower, const struct vlessenc_conf *conf)
{
	return layer_new(lower, conf, &vlessenc_client_role, &client_ops);
}
