/* sink.h - where new streams go: what a listener or a multiplexer feeds.
 *
 * A 1:1 layer wraps and passes on to the sink above it; every inbound ends in the session's sink.
 */
#ifndef WEIR_STREAM_SINK_H
#define WEIR_STREAM_SINK_H

#include "stream/dgram.h"
#include "stream/stream.h"

struct sink {
	void (*stream)(struct sink *k,
		       struct stream *s); /* ownership passes; open() is still to be driven */
	void (*dgram)(struct sink *k, struct dgram *d);
	void (*closed)(struct sink *k); /* the feeding side is gone; nothing more will come */
};

#endif
