/* framed_len.h - the framing of packets that have nothing but their length (u16) in front: all are
 * for and from the one destination of their association.
 *
 * Several protocols have it, each in a struct framing with a limit of its own.  To some a packet
 * without text is one like others (framed_len_*), to some it says something else or nothing: those
 * send none and pass over what comes (framed_some_*).
 *
 * There is no word for who else has sent a packet: what cannot be attributed is not handed on
 * (docs/protocols/udp.md, section 1).
 */
#ifndef WEIR_STREAM_FRAMED_LEN_H
#define WEIR_STREAM_FRAMED_LEN_H

#include "stream/framed.h"

int framed_len_parse(struct framed_state *st, struct rd *in, struct framed_head *out);
int framed_len_emit(struct framed_state *st, struct wr *w, const struct dest *dest, size_t len);

int framed_some_parse(struct framed_state *st, struct rd *in, struct framed_head *out);
int framed_some_emit(struct framed_state *st, struct wr *w, const struct dest *dest, size_t len);

#endif
