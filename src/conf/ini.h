/* ini.h - INI files as Python's ConfigParser reads them, made into objects that schemas read
 * (docs/manual/yassp.md).  Pure.
 *
 *     ini = ini_parse(text, len, "sites.cfg", &report);
 *     ini_section(ini, "site-1", &report, &object);      texts, with those of [DEFAULT], expanded
 *     conf_read(&reader, &site_schema, object, &site);
 *
 * Keys are in lower case; a line indented deeper than its key goes on with the value; `%(key)s` is
 * replaced, `%%` is a percent sign; comments fill their line.
 *
 * Threads: one at a time; what came of it is only read.
 */
#ifndef WEIR_CONF_INI_H
#define WEIR_CONF_INI_H

#include "base/json_value.h"
#include "conf/report.h"

#define INI_FILE_MAX  (1 << 20)
#define INI_VALUE_MAX (64 * 1024) /* after replacement */
#define INI_KEYS_MAX  1000	  /* of a section */
#define INI_DEFAULT   "DEFAULT"

struct ini;

/* Whatever is wrong goes to the report, with its line.  NULL: no memory.  `file` outlives it. */
struct ini *ini_parse(const char *text, size_t len, const char *file, struct conf_report *report);
void ini_free(struct ini *ini);

/* [DEFAULT] is always there. */
bool ini_has_section(const struct ini *ini, const char *name);

/* "site-1, site-2", as much as there is room for, for people; how many there are beside [DEFAULT]. */
size_t ini_section_names(const struct ini *ini, char *out, size_t cap);

/* All keys of a section that is there, and of [DEFAULT]; they live as long as `ini`.  What cannot be
 * expanded goes to the report.  0 or -ENOMEM.
 */
MUST_CHECK int ini_section(struct ini *ini, const char *name, struct conf_report *report,
			   const struct json_value **out);

#endif
