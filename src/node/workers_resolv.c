/* Name servers change while a node runs: DHCP, a VPN, a laptop's lid. */
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/log.h"
#include "node/workers_impl.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define SETTLING    (500 * NSEC_MS)

/* Another file, or another text in it, has another number. */
static uint64_t stamp(void)
{
	struct stat st;

	if (stat(RESOLV_CONF, &st) < 0)
		return 0;
	return (uint64_t)st.st_ino * 31 + (uint64_t)st.st_dev * 17 + (uint64_t)st.st_size +
	       (uint64_t)st.st_mtim.tv_sec * NSEC_SEC + (uint64_t)st.st_mtim.tv_nsec;
}

static void reread(struct node_worker *w, void *arg)
{
	int err = dns_reread(w->dns);

	if (err)
		log_msg(LOG_WARN, "dns", "cannot read %s again: %s", RESOLV_CONF, err_text(err));
}

void workers_reread_resolv(struct workers *ws, bool always)
{
	uint64_t now = stamp();

	if (!ws->n || (now == ws->resolv_stamp && !always))
		return;
	if (workers_each(ws, reread, NULL, NULL))
		return; /* the next minute tries again */
	if (now != ws->resolv_stamp)
		log_msg(LOG_INFO, "dns", "%s has changed, reading it again", RESOLV_CONF);
	ws->resolv_stamp = now;
}

static void on_changed(struct file_watch *f)
{
	workers_reread_resolv(container_of(f, struct workers, resolv), false);
}

/* Often it is a link to a file that somebody else keeps: that one is watched, too. */
void workers_resolv_watch(struct workers *ws)
{
	const char *paths[2] = {RESOLV_CONF};
	char *real = realpath(RESOLV_CONF, NULL);
	size_t n = 1;

	ws->resolv_stamp = stamp();
	if (real)
		paths[n++] = real;
	if (file_watch_open(&ws->resolv, ws->control, paths, n, SETTLING, on_changed))
		log_msg(LOG_DEBUG, "dns", "cannot watch %s: looking at it once a minute",
			RESOLV_CONF);
	free(real);
}
