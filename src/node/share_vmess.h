/* share_vmess.h - the vmess:// links that v2rayN made up: base64 of a JSON object.  Pure.
 *
 * Keys: v ps add port id aid scy net type host path tls sni alpn fp, of REALITY pbk sid spx; `type` is a
 * header, of gRPC its mode; `path` is a service name or a seed where the network has no path.
 */
#ifndef WEIR_NODE_SHARE_VMESS_H
#define WEIR_NODE_SHARE_VMESS_H

#include "node/share_link.h"

/* The object of such a link; texts lie in `a`.  As share_link_parse(); unknown keys go to `ignored`. */
MUST_CHECK int share_vmess_parse(const char *text, size_t len, struct arena *a,
				 struct share_link *out, const char **why);

/* What such a link says behind its scheme. */
void share_vmess_emit(const struct share_link *l, struct wr *w);

/* Can it be said in JSON?  -ERR_MALFORMED with *why: a text is not UTF-8. */
MUST_CHECK int share_vmess_check(const struct share_link *l, const char **why);

#endif
