/* config.c - any bytes as a configuration: it is read or refused with a reason, and shown without
 * harm; so is what it says of a manager. */
#include <assert.h>
#include <string.h>

#include "conf/diff.h"
#include "conf/print.h"
#include "manager/manager_file.h"
#include "node/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_manager(const struct config *c, struct conf_report *report)
{
	const struct manager_args none = MANAGER_ARGS_NONE;
	size_t before = report->errors;
	struct manager_file *f = NULL;
	struct arena mem;
	struct conf_reader r = {.arena = &mem, .report = report, .file = "fuzz.json"};

	arena_init(&mem, 0);
	assert(!manager_file_read(&r, c->manager, &none, &f) == (report->errors == before));
	arena_done(&mem);
	assert(!f || (f->stat_interval_s >= 1 && f->server_mode));
	manager_file_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct conf_report report;
	struct config *c;

	if (memmem(data, len, "nclude", 6) || memmem(data, len, "NCLUDE", 6) ||
	    memchr(data, '\\', len))
		return 0; /* no file is opened because some bytes say so */
	conf_report_init(&report);
	c = config_parse((const char *)data, len, "fuzz.json", &report);
	assert(c || report.errors);
	if (c) {
		json_t *j = conf_to_json(&config_schema, c, CONF_PRINT_DEFAULTS);

		for (size_t i = 0; i < c->nnodes; i++)
			json_decref(conf_to_json(&config_node_schema, c->nodes[i], 0));
		assert(conf_diff(&config_schema, c, c, NULL, NULL) == 0);
		if (c->manager)
			read_manager(c, &report);
		json_decref(j);
	}
	config_free(c);
	conf_report_done(&report);
	return 0;
}
