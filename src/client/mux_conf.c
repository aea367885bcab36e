#include "client/mux_conf.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/singmux/singmux.h"
#include "transport/muxcool/muxcool.h"

/* 1 to MUX_STREAMS_MAX, up to `end`. */
static int parse_streams(const char *text, const char *end, unsigned *out)
{
	unsigned n = 0;

	if (text == end || end - text > 4)
		return -ERR_MALFORMED;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9')
			return -ERR_MALFORMED;
		n = n * 10 + (unsigned)(*text - '0');
	}
	if (n < 1 || n > MUX_STREAMS_MAX)
		return -ERR_MALFORMED;
	*out = n;
	return 0;
}

static bool is_word(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && !memcmp(text, word, len);
}

int mux_conf_parse(const char *text, struct outbound_mux *out)
{
	static const struct {
		const char *word;
		const struct mux_client_kind *kind;
		bool pads, no_tcp;
	} words[] = {
		{"cool", &muxcool_client, false, false},
		{"xudp", &muxcool_client, false, true},
		{"smux", &singmux_smux_client, true, false},
		{"yamux", &singmux_yamux_client, true, false},
		{"h2mux", &singmux_h2mux_client, true, false},
	};
	size_t word = strcspn(text, ":,");
	const char *at = text + word, *end = at + strcspn(at, ",");
	struct outbound_mux m = {.streams = MUX_STREAMS};
	bool pads = false;

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!is_word(text, word, words[i].word))
			continue;
		m.kind = words[i].kind;
		m.no_tcp = words[i].no_tcp;
		pads = words[i].pads;
	}
	if (!m.kind || (*at == ':' && parse_streams(at + 1, end, &m.streams)))
		return -ERR_MALFORMED;
	m.padding = *end == ',';
	if (m.padding && (!pads || strcmp(end, ",padding") != 0))
		return -ERR_MALFORMED;
	*out = m;
	return 0;
}

/* ---- Xray's ------------------------------------------------------------------------------ */

/* Negative: these are not multiplexed. */
static int concurrency(const struct json_value *v, const char *key, int64_t *out)
{
	*out = 0;
	if (json_to_int(json_get(v, key), out) < 0 || *out > MUX_STREAMS_MAX)
		return -ERR_CONFIG;
	return 0;
}

static int quic_of(const struct json_value *v, enum outbound_quic *out)
{
	static const char *const words[] = {
		[QUIC_ALLOWED] = "allow", [QUIC_REJECTED] = "reject", [QUIC_ALONE] = "skip"};

	*out = QUIC_REJECTED;
	if (!v || v->type == JSON_T_NULL || (v->type == JSON_T_STRING && v->len == 0))
		return 0;
	for (unsigned i = 0; v->type == JSON_T_STRING && i < ARRAY_LEN(words); i++) {
		if (is_word(v->text, v->len, words[i])) {
			*out = (enum outbound_quic)i;
			return 0;
		}
	}
	return -ERR_CONFIG;
}

int mux_conf_of_xray(const struct json_value *mux, struct outbound_mux *out, const char **why)
{
	struct outbound_mux m = {.kind = &muxcool_client};
	bool enabled = false;
	int64_t tcp, udp;

	if (json_to_bool(json_get(mux, "enabled"), &enabled) < 0) {
		*why = "mux: enabled is a boolean";
		return -ERR_CONFIG;
	}
	if (concurrency(mux, "concurrency", &tcp) || concurrency(mux, "xudpConcurrency", &udp)) {
		*why = "mux: concurrency and xudpConcurrency are numbers up to 1024";
		return -ERR_CONFIG;
	}
	if (quic_of(json_get(mux, "xudpProxyUDP443"), &m.quic)) {
		*why = "mux: xudpProxyUDP443 is allow, reject or skip";
		return -ERR_CONFIG;
	}
	m.no_tcp = tcp < 0;
	m.no_udp = udp < 0 || (udp == 0 && tcp < 0);
	m.streams = tcp > 0 ? (unsigned)tcp : MUX_STREAMS;
	m.udp_streams = udp > 0 ? (unsigned)udp : 0;
	if (enabled && !(m.no_tcp && m.no_udp))
		*out = m;
	return 0;
}

int mux_conf_settle(struct outbound_conf *c, const char **why)
{
	struct outbound_mux *m = &c->mux;

	if (!m->kind || !c->vision)
		return 0;
	if (m->kind != &muxcool_client || !m->no_tcp) {
		*why = "with a flow only packets share connections: --mux xudp, or concurrency -1";
		return -ERR_CONFIG;
	}
	if (!c->udp443)
		m->quic = QUIC_REJECTED;
	return 0;
}
