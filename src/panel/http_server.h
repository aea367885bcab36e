/* http_server.h - between the daemon (panel.c) and its requests (http.c). */
#ifndef WEIR_PANEL_HTTP_SERVER_H
#define WEIR_PANEL_HTTP_SERVER_H

#include "panel/http.h"

enum MHD_Result http_on_request(void *cls, struct MHD_Connection *conn, const char *url,
				const char *method, const char *version, const char *bytes,
				size_t *n, void **slot);
void http_on_completed(void *cls, struct MHD_Connection *conn, void **slot,
		       enum MHD_RequestTerminationCode how);

/* Queue what was decided. */
enum MHD_Result request_end(struct request *req);

#endif
