/* body.h - the report as YaSSP wants it: {"9101":20971520,"9102":4711}.  Pure. */
#ifndef WEIR_YASSP_BODY_H
#define WEIR_YASSP_BODY_H

#include "sync/ledger.h"
#include "sync/url.h"

/* Of a batch whose users are traffic ids: all of a port becomes one number.  The same batch always
 * gives the same bytes.  `out->err` when memory runs out.
 */
void yassp_body(const struct ledger_batch *b, struct text *out);

#endif
