/* probe.h - does anybody accept TCP connections there yet?  Inside plugin. */
#ifndef WEIR_PLUGIN_PROBE_H
#define WEIR_PLUGIN_PROBE_H

#include "event/loop.h"
#include "net/addr.h"

struct port_probe {
	struct loop *loop;
	struct addr at;
	nsec_t until;
	struct watch watch; /* fd -1: no connection under way */
	struct timer again;
	/* once: it does, or the time is over */
	void (*done)(struct port_probe *p, bool accepts);
};

void port_probe_init(struct port_probe *p, struct loop *l,
		     void (*done)(struct port_probe *p, bool accepts));

/* The first look is in a moment. */
void port_probe_start(struct port_probe *p, const struct addr *at, nsec_t patience);
void port_probe_stop(struct port_probe *p); /* no done() follows */

#endif
