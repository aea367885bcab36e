/* load_way.h - the way to a server under test, by share link, and what the server spends. */
#ifndef WEIR_BENCH_LOAD_WAY_H
#define WEIR_BENCH_LOAD_WAY_H

#include "client/outbound.h"
#include "proto/direct/direct.h"

struct load_way {
	struct direct_conf anywhere;
	struct direct direct;
	struct outbound_conf conf;
	struct outbound outbound;
	struct dialer *dialer; /* this is it */
};

/* `link` NULL: straight to the target; `source` NULL: any.  Errors end the program. */
void load_way_open(struct load_way *w, struct loop *l, const char *link, const struct addr *source);

/* CPU seconds of all threads of a process, those that have ended too. */
double load_cpu_of(pid_t pid);

#endif
