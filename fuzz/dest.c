/* dest.c - any bytes as a destination in both wire orders and as text: what is read is written and
 * read again as the same, and nothing is read beyond it.
 */
#include <assert.h>
#include <string.h>

#include "net/dest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_value(const struct dest *d)
{
	char text[DEST_TEXT_MAX];
	struct dest back;

	assert(strlen(dest_format(d, text)) < DEST_TEXT_MAX);
	if (dest_parse(&back, text))
		__builtin_trap();
	assert(dest_equal(d, &back));
	assert(d->type != DEST_NAME || (d->len > 0 && d->bytes[d->len] == '\0'));
}

static void check_wire(const uint8_t *data, size_t len, enum dest_order order)
{
	struct rd r = rd_of(data, len);
	struct dest d = {0}, back = {0};
	uint8_t wire[300];
	struct wr w = wr_of(wire, sizeof(wire));

	rd_dest(&r, order, &d);
	if (r.err) {
		assert(d.type == DEST_NONE && r.pos <= len);
		return;
	}
	check_value(&d);
	wr_dest(&w, order, &d);
	assert(!w.err);
	r = rd_of(wire, w.len);
	rd_dest(&r, order, &back);
	assert(!r.err && r.pos == w.len && dest_equal(&d, &back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char text[512];
	struct dest d;

	check_wire(data, len, DEST_SOCKS);
	check_wire(data, len, DEST_VLESS);
	if (len < sizeof(text)) {
		memcpy(text, data, len);
		text[len] = '\0';
		if (dest_parse(&d, text) == 0)
			check_value(&d);
	}
	return 0;
}
