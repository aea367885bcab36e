/* sections.h - the configuration of `weir run` with all its sections: the nodes', which node/ knows, and
 * those of Manager and Yassp, which it does not.
 *
 * Threads: control only.
 */
#ifndef WEIR_CMD_SECTIONS_H
#define WEIR_CMD_SECTIONS_H

#include "cmd/site.h"
#include "manager/manager_file.h"
#include "node/config.h"

struct sections {
	struct manager_file *manager; /* NULL: none */
	struct site_conf **sites;
	size_t nsites;
};

/* As config_load(), nodes that do not say it having `api_type`, with what Manager and Yassp say in *s,
 * which is empty where the result is NULL.  INI files are part of the configuration: their mistakes are
 * its mistakes.
 */
struct config *sections_load(const char *path, int64_t api_type, struct sections *s,
			     struct conf_report *report);
void sections_done(struct sections *s);

/* What differs between two files that matters to the manager; never true of one that was not there. */
bool sections_same_manager(const struct config *a, const struct config *b);

/* The same of two sites that are one. */
bool sections_same_site(const struct site_conf *a, const struct site_conf *b);

#endif
