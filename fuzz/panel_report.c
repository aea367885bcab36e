/* panel_report.c - any bytes as the body of push, of YaSSP's traffic and of alive: refused, or what
 * comes out keeps its promises.
 */
#include <assert.h>
#include <errno.h>

#include "panel/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

typedef int push_parser(const char *text, size_t len, struct push_report *out, struct fault *why);

static void push(push_parser *parse, const char *text, size_t len)
{
	struct push_report r;
	struct fault why;

	if (parse(text, len, &r, &why) < 0)
		return;
	for (size_t i = 0; i < r.n; i++) {
		assert(r.entries[i].user >= 0 && r.entries[i].up >= 0 && r.entries[i].down >= 0);
		assert(i == 0 || r.entries[i - 1].user < r.entries[i].user);
	}
	push_report_done(&r);
}

static void alive(const char *text, size_t len)
{
	struct alive_report r;
	struct fault why;

	if (alive_report_parse(text, len, &r, &why) < 0)
		return;
	for (size_t i = 0; i < r.n; i++) {
		assert(r.users[i].n <= ALIVE_IPS_MAX);
		assert((size_t)r.users[i].first + r.users[i].n <= r.n_ips);
	}
	alive_report_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	push(push_report_parse, (const char *)data, len);
	push(port_report_parse, (const char *)data, len);
	alive((const char *)data, len);
	return 0;
}
