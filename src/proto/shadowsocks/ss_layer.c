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
