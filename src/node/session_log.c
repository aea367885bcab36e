#include "node/session_log.h"

#include "base/log.h"

void session_log(const struct session_report *r, const char *node, uint16_t port)
{
	char peer[ADDR_TEXT_MAX] = "-", dest[DEST_TEXT_MAX] = "-";
	struct log_line line;

	if (!log_begin(&line, LOG_DEBUG, "session", "ended"))
		return;
	if (r->peer)
		addr_format(r->peer, peer);
	if (r->dest)
		dest_format(r->dest, dest);
	if (node)
		log_str(&line, "node", node);
	else
		log_num(&line, "port", port);
	log_str(&line, "peer", peer);
	if (node)
		log_num(&line, "user", r->user ? user_id(r->user) : 0);
	log_str(&line, "net", r->carrier ? "mux" : r->network == NETWORK_UDP ? "udp" : "tcp");
	log_str(&line, "dest", dest);
	log_num(&line, "up", (int64_t)r->up);
	log_num(&line, "down", (int64_t)r->down);
	log_num(&line, "spliced", (int64_t)r->spliced);
	log_num(&line, "ms", r->lasted / NSEC_MS);
	log_error_of(&line, r->err);
	log_end(&line);
}
