/* opt.h - the options of a command, as a table: parsing, usage text, and the right exit status.
 *
 *     const char *file = CONFIG_DEFAULT_PATH;
 *     bool watch = true;
 *     const struct opt opts[] = {
 *             {"config", 'c', OPT_TEXT, &file, "FILE", "the configuration"},
 *             {"watch", 'w', OPT_FLAG, &watch, NULL, "follow changes of the file"},
 *             {0},
 *     };
 *     const struct opt_page page = {"weir run", "[-c FILE]", "Serves nodes.", "weir run -c
 * weir.json", opts}; int n = opt_parse(&page, argc, argv);
 *
 *     if (n < 0)
 *             return ~n;
 *     use(argv[1] .. argv[n]);
 *
 * Forms: `--name value`, `--name=value`, `-n value`, `-nvalue`; a flag stands alone or takes
 * `=true`,
 * `=false`.  Options and operands may mix; `--` ends the options.  -h and --help print the usage on
 * standard output.
 */
#ifndef WEIR_CMD_OPT_H
#define WEIR_CMD_OPT_H

#include <stdio.h>

#include "base/base.h"

#define OPT_MANY_MAX 64

enum opt_type {
	OPT_FLAG, /* bool */
	OPT_TEXT, /* const char * */
	OPT_INT,  /* int64_t, within min and max unless both are 0 */
	OPT_MANY, /* struct opt_many: may be given several times */
};

struct opt_many {
	const char *v[OPT_MANY_MAX];
	size_t n;
};

struct opt {
	const char *name; /* without dashes; "": the letter alone; NULL ends the table */
	char letter;	  /* 0: none */
	enum opt_type type;
	void *value;
	const char *arg; /* what the usage calls the value */
	const char *help;
	int64_t min, max;
};

struct opt_page {
	const char *command;  /* "weir check" */
	const char *operands; /* "[-c FILE]", "LINK" */
	const char *what;     /* a sentence or some lines */
	const char *example;
	const struct opt *opts; /* NULL: none */
};

/* How many operands there are; they stand in argv[1] and up.  Negative: the usage or an error has
 * been printed, ~result is the exit status.
 */
MUST_CHECK int opt_parse(const struct opt_page *page, int argc, char **argv);

/* "weir check: MESSAGE" and where to find help, on standard error; returns CMD_USAGE. */
int opt_wrong(const struct opt_page *page, const char *fmt, ...) PRINTF(2, 3);

void opt_usage(const struct opt_page *page, FILE *to);

#endif
