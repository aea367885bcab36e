#include "proto/vmess/vmess_layer.h"

#include <errno.h>

#include "base/err.h"
#include "proto/vmess/vmess_seal.h"

static struct vmess_layer *layer_of(const struct sealed *b)
{
	return vmess_layer_of(&b->s);
}

ssize_t vmess_layer_open(struct sealed *b, struct bufq *dst)
{
	return vmess_chunk_open(&layer_of(b)->in, &b->rq, dst);
}

size_t vmess_layer_need(const struct sealed *b)
{
	return vmess_chunk_need(&layer_of(b)->in);
}

/* sing-box ends with the stream below, between two chunks. */
bool vmess_layer_within(const struct sealed *b)
{
	return layer_of(b)->in.met;
}

ssize_t vmess_layer_seal(struct sealed *b, struct bufq *src)
{
	return vmess_seal(&layer_of(b)->out, src, b->burst, &b->wq);
}

int vmess_layer_end(struct sealed *b)
{
	return vmess_seal_end(&layer_of(b)->out, &b->wq);
}

void vmess_layer_clear(struct sealed *b)
{
	vmess_dir_clear(&layer_of(b)->in);
	vmess_dir_clear(&layer_of(b)->out);
}

ssize_t vmess_write_head(struct vmess_layer *l, vmess_emit_head *emit, struct bufq *src)
{
	struct buf *b = bufq_tail_room(&l->base.wq, VMESS_HEAD_MAX);
	struct wr w;
	ssize_t n;
	int err;

	if (!b)
		return -ENOMEM;
	w = wr_of(b->data + b->end, VMESS_HEAD_MAX);
	err = emit(l, &w);
	bufq_commit(&l->base.wq, err ? 0 : w.len);
	if (err)
		return err;
	n = bufq_empty(src) ? 0 : vmess_layer_seal(&l->base, src);
	return n == -ENOMEM ? -ENOBUFS : n; /* the head is on its way */
}

/* Without chunks, and with the head gone by, a direction is the lower stream's. */
int vmess_layer_splice(struct stream *s, enum stream_dir dir, struct stream_raw *out)
{
	struct vmess_layer *l = vmess_layer_of(s);
	bool in = dir == STREAM_IN;

	if (!l->base.ready || (in ? l->base.head_in : l->base.head_out))
		return -EAGAIN;
	if (!(in ? l->in.raw : l->out.raw))
		return -ENOTSUP;
	if (!bufq_empty(in ? &l->base.rq : &l->base.wq))
		return -EAGAIN;
	return stream_splice(l->base.lower, dir, out);
}
