#include "proto/singmux/singmux.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/singmux/singmux_carrier.h"
#include "proto/singmux/singmux_stream.h"
#include "transport/mux_session/mux_session.h"

#define HELLO_PATIENCE (10 * NSEC_SEC)

struct singmux {
	struct mux_session session;
	bool padding; /* is required */
};

static void stream_opened(struct mux_session *s, struct mux_stream *ms)
{
	struct sink *sink = s->core.terms.sink;
	struct stream *over = singmux_stream_new(ms);

	if (over)
		sink->stream(sink, over);
}

static void say_refusal(struct wr *w, int err)
{
	const char *text = err_text(err);

	singmux_answer_emit(
		w, &(struct singmux_answer){.error = true, .text = text, .len = strlen(text)});
}

/* The carrier has opened, so its hello is there: from here on one of the three has it. */
static int hello_input(struct mux_core *m)
{
	struct singmux *x = container_of(m, struct singmux, session.core);
	const struct singmux_hello *hello = singmux_carrier_hello(m->lower);
	int err;

	if (x->padding && !hello->padding)
		return -ERR_DENIED;
	err = mux_session_begin(&x->session, hello->protocol);
	return err ? err : m->codec->input(m);
}

static const struct mux_codec hello_codec = {
	.name = "singmux",
	.idle = HELLO_PATIENCE,
	.input = hello_input,
};

static struct mux *serve(struct stream *carrier, const struct mux_terms *terms, bool padding)
{
	/* what is to go out first is no part of what is padded */
	struct stream *lower = singmux_carrier_server(carrier, terms->first);
	struct singmux *x = lower ? calloc(1, sizeof(*x)) : NULL;

	if (!x) {
		stream_free(lower);
		return NULL;
	}
	x->padding = padding;
	x->session.opened = stream_opened;
	x->session.core.refusal = say_refusal;
	return mux_core_start(&x->session.core, &hello_codec, lower, terms);
}

static struct mux *serve_any(struct stream *carrier, const struct mux_terms *terms)
{
	return serve(carrier, terms, false);
}

static struct mux *serve_padded(struct stream *carrier, const struct mux_terms *terms)
{
	return serve(carrier, terms, true);
}

const struct mux_kind singmux_kind = {"singmux", SINGMUX_NAME, serve_any};
const struct mux_kind singmux_padded_kind = {"singmux", SINGMUX_NAME, serve_padded};
