/* yassp_conf.c - any bytes as yassp-server's INI file: a section without an error has what a site needs.
 */
#include <assert.h>
#include <string.h>

#include "yassp/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct yassp_conf *c)
{
	assert(*c->url && *c->hostname && *c->psk && !strchr(c->hostname, ':'));
	assert(!c->push || (*c->push_token && c->push_port >= 0 && c->push_port <= 65535));
	assert(*yassp_daemon_name(c->daemon) && c->pull_interval_s >= 1 && c->timeout_s >= 0);
	assert(c->daemon == YASSP_BUILTIN || *c->program);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct conf_report report;
	struct yassp_conf conf;
	struct arena mem;
	struct ini *ini;

	conf_report_init(&report);
	arena_init(&mem, 0);
	ini = ini_parse((const char *)data, len, "fuzz.cfg", &report);
	if (ini) {
		const char *section = ini_has_section(ini, "s") ? "s" : INI_DEFAULT;
		int err = yassp_conf_read(ini, section, "fuzz.cfg", &mem, &report, &conf);

		if (!err && !report.errors)
			check(&conf);
	}
	ini_free(ini);
	arena_done(&mem);
	conf_report_done(&report);
	return 0;
}
