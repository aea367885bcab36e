/* ini.c - any bytes as an INI file: every section can be made into an object, whose texts are texts;
 * what is not in the object was complained about.
 */
#include <assert.h>
#include <string.h>

#include "conf/ini.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct conf_report report;
	const struct json_value *object;
	struct ini *ini;

	conf_report_init(&report);
	ini = ini_parse((const char *)data, len, "fuzz.cfg", &report);
	if (ini && ini_section(ini, ini_has_section(ini, "s") ? "s" : INI_DEFAULT, &report,
			       &object) == 0) {
		for (const struct json_value *v = object->child; v; v = v->next) {
			assert(v->len <= INI_VALUE_MAX && strlen(v->text) == v->len);
			assert(*v->key && v->at.line > 0);
		}
	}
	ini_free(ini);
	conf_report_done(&report);
	return 0;
}
