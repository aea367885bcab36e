/* The messages of sing-box's multiplex and the frames of smux and yamux: what parses is said again,
 * and read the same.  The first byte says which.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/singmux/singmux_wire.h"
#include "transport/smux/smux_wire.h"
#include "transport/yamux/yamux_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t mem[SINGMUX_TEXT_MAX + 16];

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Emit what `parse` read, and have it read once more. */
#define SAID_AGAIN(in, type, parse, emit, same)                 \
	do {                                                    \
		struct type a, b;                               \
		struct wr w = wr_of(mem, sizeof(mem));          \
		struct rd again;                                \
		size_t from = (in)->pos;                        \
		int err = parse(in, &a);                        \
		if (err) {                                      \
			must((in)->pos == from);                \
			break;                                  \
		}                                               \
		emit(&w, &a);                                   \
		must(!w.err);                                   \
		again = rd_of(mem, w.len);                      \
		must(!parse(&again, &b) && again.pos == w.len); \
		must(same);                                     \
	} while (0)

static bool same_text(const char *a, size_t alen, const char *b, size_t blen)
{
	return alen == blen && (!alen || !memcmp(a, b, alen));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd r;

	if (!len)
		return 0;
	r = rd_of(data + 1, len - 1);
	switch (data[0] % 7) {
	case 0:
		SAID_AGAIN(&r, singmux_hello, singmux_hello_parse, singmux_hello_emit,
			   a.protocol == b.protocol && a.padding == b.padding && a.pad == b.pad);
		break;
	case 1:
		SAID_AGAIN(&r, singmux_request, singmux_request_parse, singmux_request_emit,
			   a.udp == b.udp && a.packet_addr == b.packet_addr &&
				   dest_equal(&a.dest, &b.dest));
		break;
	case 2:
		SAID_AGAIN(&r, singmux_answer, singmux_answer_parse, singmux_answer_emit,
			   a.error == b.error && same_text(a.text, a.len, b.text, b.len));
		break;
	case 3:
		SAID_AGAIN(&r, singmux_brutal_answer, singmux_brutal_parse, singmux_brutal_emit,
			   a.ok == b.ok && a.rate_Bps == b.rate_Bps &&
				   same_text(a.text, a.len, b.text, b.len));
		break;
	case 4:
		SAID_AGAIN(&r, singmux_pad_head, singmux_pad_parse, singmux_pad_emit,
			   a.data == b.data && a.pad == b.pad);
		break;
	case 5:
		SAID_AGAIN(&r, smux_frame, smux_frame_parse, smux_frame_emit,
			   a.command == b.command && a.len == b.len && a.stream == b.stream);
		break;
	default:
		SAID_AGAIN(&r, yamux_frame, yamux_frame_parse, yamux_frame_emit,
			   a.type == b.type && a.flags == b.flags && a.stream == b.stream &&
				   a.len == b.len);
	}
	return 0;
}
