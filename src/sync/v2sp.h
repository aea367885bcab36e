/* v2sp.h - the v2sp dialect's readings that others share (panel-apis A).  Pure. */
#ifndef WEIR_SYNC_V2SP_H
#define WEIR_SYNC_V2SP_H

#include "sync/dialect.h"

/* A3: flat, or a full local configuration with our entry in it. */
enum answer_class v2sp_config(const struct panel *p, const char *body, size_t len,
			      struct node_info **out, struct notes *notes);

/* One element of a user list (A.6). */
unsigned v2sp_user(const struct json_value *element, struct user_entry *out);

#endif
