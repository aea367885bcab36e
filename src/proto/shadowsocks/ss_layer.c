#include "proto/shadowsocks/ss_layer.h"

static struct ss_layer *layer_of(const struct sealed *b)
{
	return ss_layer_of(&b->s);
}

ssize_t ss_layer_open(struct sealed *b, struct bufq *dst)
{
	return ss_open_chunk(&layer_of(b)->in, &b->rq, dst);
}

size_t ss_layer_need(const struct sealed *b)
{
	return ss_need(&layer_of(b)->in);
}

bool ss_layer_within(const struct sealed *b)
{
	return layer_of(b)->in.begun;
}

ssize_t ss_layer_seal(struct sealed *b, struct bufq *src)
{
	return ss_seal(&layer_of(b)->out, src, b->burst, &b->wq);
}

void ss_layer_clear(struct sealed *b)
{
	ss_dir_clear(&layer_of(b)->in);
	ss_dir_clear(&layer_of(b)->out);
}

struct stream *ss_layer_new(struct stream *lower, const struct stream_ops *ops,
			    const struct sealed_ops *role, void *head, const struct ss_method *m)
{
	struct sealed *b = sealed_new(sizeof(struct ss_layer), lower, ops, role, head);

	if (!b)
		return NULL;
	b->most = m->chunk;
	return &b->s;
}
