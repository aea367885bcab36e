#include "proto/vless/vision_wire.h"

#include <string.h>

#include "base/err.h"

#define PIECES	       8
#define RECORD_MAX     (16384 + 256) /* RFC 8446 §5.2 */
#define TYPE_HANDSHAKE 22
#define TYPE_DATA      23

/* ---- the filter -------------------------------------------------------------------------- */

void vision_filter_init(struct vision_filter *f)
{
	*f = (struct vision_filter){.left = PIECES, .hello_left = -1};
}

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* TLS_AES_128_CCM_8_SHA256 is left out, as the reference does. */
static bool fits(uint16_t cipher)
{
	return cipher >= 0x1301 && cipher <= 0x1304;
}

static void look_at_server_hello(struct vision_filter *f, const uint8_t *p, size_t len)
{
	size_t at;

	f->hello_left = be16(p + 3) + 5;
	f->tls = f->answered = true;
	if (len < 79 || f->hello_left < 79)
		return;
	at = 43u + p[43] + 1;
	if (at + 2 <= len)
		f->cipher = be16(p + at);
}

/* The extension supported_versions that says 1.3 (RFC 8446 §4.2.1). */
static bool says_tls13(const uint8_t *p, size_t len)
{
	static const uint8_t extension[] = {0x00, 0x2b, 0x00, 0x02, 0x03, 0x04};

	return memmem(p, len, extension, sizeof(extension)) != NULL;
}

void vision_filter_feed(struct vision_filter *f, const uint8_t *p, size_t len)
{
	size_t search;

	if (f->left == 0 || len == 0)
		return;
	f->left--;
	if (len >= 6) {
		if (p[0] == TYPE_HANDSHAKE && p[1] == 3 && p[2] == 3 && p[5] == 2)
			look_at_server_hello(f, p, len);
		else if (p[0] == TYPE_HANDSHAKE && p[1] == 3 && p[5] == 1)
			f->tls = true;
	}
	if (f->hello_left <= 0)
		return;
	search = MIN(len, (size_t)f->hello_left);
	f->hello_left -= (int32_t)search;
	if (says_tls13(p, search)) {
		f->direct = fits(f->cipher);
		f->left = 0;
	} else if (f->hello_left <= 0) {
		f->left = 0; /* TLS 1.2 */
	}
}

/* ---- the track --------------------------------------------------------------------------- */

static bool is_record(const uint8_t *head)
{
	return head[0] >= 20 && head[0] <= TYPE_DATA && head[1] == 3 && be16(head + 3) > 0 &&
	       be16(head + 3) <= RECORD_MAX;
}

static void take_head(struct vision_track *t)
{
	t->nhead = 0;
	if (!is_record(t->head)) {
		t->lost = t->data = true;
		t->in_data = false;
		return;
	}
	t->need = be16(t->head + 3);
	t->in_data = t->head[0] == TYPE_DATA;
	t->data |= t->in_data;
}

void vision_track_feed(struct vision_track *t, const uint8_t *p, size_t len)
{
	while (len > 0 && !t->lost) {
		size_t n;

		if (t->need > 0) {
			n = MIN(len, (size_t)t->need);
			t->need -= (uint32_t)n;
		} else {
			n = MIN(len, sizeof(t->head) - t->nhead);
			memcpy(t->head + t->nhead, p, n);
			t->nhead = (uint8_t)(t->nhead + n);
			if (t->nhead == sizeof(t->head))
				take_head(t);
		}
		p += n;
		len -= n;
	}
}

/* ---- receiving --------------------------------------------------------------------------- */

static ssize_t match_id(struct vision_in *in, const uint8_t *id, const uint8_t *p, size_t len)
{
	size_t n = 0;

	while (n < len && in->have < VLESS_ID_LEN && p[n] == id[in->have]) {
		in->have++;
		n++;
	}
	if (in->have == VLESS_ID_LEN) {
		in->have = 0;
		in->state = VISION_IN_HEAD;
	} else if (n < len) {
		in->state = VISION_IN_PLAIN;
	}
	return (ssize_t)n;
}

/* The block is over: what comes behind it. */
static void next_state(struct vision_in *in)
{
	in->state = in->command == VISION_CONTINUE ? VISION_IN_HEAD
		    : in->command == VISION_END	   ? VISION_IN_PLAIN
						   : VISION_IN_DIRECT;
}

static void settle(struct vision_in *in)
{
	if (in->state == VISION_IN_CONTENT && in->content == 0)
		in->state = VISION_IN_PADDING;
	if (in->state == VISION_IN_PADDING && in->padding == 0)
		next_state(in);
}

static ssize_t take_block_head(struct vision_in *in, const uint8_t *p, size_t len)
{
	size_t n = MIN(len, (size_t)VISION_HEAD - in->have);

	memcpy(in->head + in->have, p, n);
	in->have = (uint8_t)(in->have + n);
	if (in->have < VISION_HEAD)
		return (ssize_t)n;
	if (in->head[0] > VISION_DIRECT)
		return -ERR_PROTOCOL;
	in->have = 0;
	in->command = in->head[0];
	in->content = be16(in->head + 1);
	in->padding = be16(in->head + 3);
	in->state = VISION_IN_CONTENT;
	settle(in);
	return (ssize_t)n;
}

static ssize_t count_down(struct vision_in *in, uint16_t *left, size_t len)
{
	size_t n = MIN(len, (size_t)*left);

	*left = (uint16_t)(*left - n);
	settle(in);
	return (ssize_t)n;
}

ssize_t vision_unpad(struct vision_in *in, const uint8_t id[VLESS_ID_LEN], const uint8_t *p,
		     size_t len, bool *content)
{
	*content = false;
	switch (in->state) {
	case VISION_IN_ID:
		return match_id(in, id, p, len);
	case VISION_IN_HEAD:
		return take_block_head(in, p, len);
	case VISION_IN_CONTENT:
		*content = true;
		return count_down(in, &in->content, len);
	case VISION_IN_PADDING:
		return count_down(in, &in->padding, len);
	default:
		*content = true;
		return (ssize_t)len;
	}
}

/* ---- sending ----------------------------------------------------------------------------- */

/* How many bytes the complete application data records at `p` are: as many as fit into one block, or
 * the first alone, however long; 0: none is complete.
 */
static uint32_t complete_records(const uint8_t *p, size_t len, size_t avail)
{
	uint32_t total = 0;

	while (total + 6 <= len && p[total] == TYPE_DATA && p[total + 1] == 3 &&
	       p[total + 2] == 3 && is_record(p + total)) {
		uint32_t next = total + 5 + be16(p + total + 3);

		if (next > avail || (total > 0 && next > VISION_CONTENT))
			break;
		total = next;
	}
	return total;
}

static struct vision_block final_block(struct vision_out *out, size_t avail)
{
	struct vision_block b = {.command = VISION_CONTINUE, .roomy = true};

	avail = MIN(avail, (size_t)out->last);
	b.content = (uint16_t)MIN(avail, (size_t)VISION_CONTENT);
	out->last -= b.content;
	if (out->last == 0) {
		b.command = out->direct ? VISION_DIRECT : VISION_END;
		out->ended = true;
	}
	return b;
}

/* Where the records are known, what is left of one is a block by itself: the next block begins at a
 * border, where padding can end.
 */
static size_t up_to_border(const struct vision_track *t, size_t n)
{
	return t->in_data && t->need > 0 && !t->lost ? MIN(n, (size_t)t->need) : n;
}

struct vision_block vision_next(struct vision_out *out, struct vision_filter *f, const uint8_t *p,
				size_t avail, bool may_end)
{
	size_t len = MIN(avail, (size_t)VISION_PIECE), n = MIN(len, (size_t)VISION_CONTENT);
	struct vision_track *t = &out->track;
	struct vision_block b = {.command = VISION_CONTINUE};

	if (out->last > 0)
		return final_block(out, avail);
	vision_filter_feed(f, p, n);
	if (t->lost) /* a piece that begins with a record is as good a guess as any */
		*t = (struct vision_track){0};
	if (f->tls && vision_at_border(t) && (may_end || !f->direct))
		out->last = complete_records(p, len, avail);
	if (out->last > 0) {
		out->direct = f->direct;
		return final_block(out, avail);
	}
	if (!f->answered && f->left <= 1) {
		b.command = VISION_END;
		out->ended = true;
	} else {
		n = up_to_border(t, n);
	}
	vision_track_feed(t, p, n);
	b.content = (uint16_t)n;
	b.roomy = f->tls;
	return b;
}

uint16_t vision_padding(size_t content, bool roomy, uint32_t dice)
{
	size_t n, most = content < VISION_CONTENT ? VISION_CONTENT - content : 0;

	if (roomy && content < 900)
		n = dice % 500 + 900 - content;
	else
		n = dice % 256;
	return (uint16_t)MIN(n, most);
}

void vision_block_emit(struct wr *w, const uint8_t *id, const struct vision_block *b,
		       uint16_t padding)
{
	if (id)
		wr_bytes(w, id, VLESS_ID_LEN);
	wr_u8(w, b->command);
	wr_be16(w, b->content);
	wr_be16(w, padding);
}
