/* manager_file.c - any bytes as the configuration file of a manager: refused with a sentence, or ports
 * that can be told apart and defaults that a port may have.
 */
#include <assert.h>
#include <string.h>

#include "manager/manager_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_port(const struct profile *p)
{
	assert(p->port && *p->password && *p->method);
	assert(p->mode >= PROFILE_TCP && p->mode <= PROFILE_BOTH);
	assert(p->plugin ? p->plugin_mode >= PROFILE_TCP && *p->plugin : !p->plugin_opts);
	assert(strlen(p->password) <= PROFILE_PASSWORD_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct manager_args none = MANAGER_ARGS_NONE;
	struct conf_report report;
	struct manager_file *f = NULL;
	static uint8_t seen[65536];
	int err;

	conf_report_init(&report);
	err = manager_file_parse((const char *)data, len, "fuzz.json", &none, &report, &f);
	assert(!err == !report.errors);
	conf_report_done(&report);
	if (err) {
		assert(!f);
		return 0;
	}
	memset(seen, 0, sizeof(seen));
	for (size_t i = 0; i < f->nports; i++) {
		check_port(f->ports[i]);
		assert(!seen[f->ports[i]->port]++);
	}
	assert(f->stat_interval_s >= 1 && f->plugin_stop_timeout_s >= 1 && f->server_mode);
	manager_file_drop_ports(f);
	manager_file_free(f);
	return 0;
}
