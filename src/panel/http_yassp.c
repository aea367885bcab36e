/* The YaSSP API: /yassp/services/ and /yassp/traffics/, with or without the slash (spec D.8). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "crypto/ct.h"
#include "crypto/hash.h"
#include "panel/http.h"
#include "panel/yassp.h"

#define BASIC_MAX 1024 /* of host:psk */

/* "host:psk" of Basic authentication into `out`, with *psk behind the colon.  False: none. */
static bool basic_read(struct request *req, char out[BASIC_MAX + 1], char **psk)
{
	const char *header = request_header(req, "Authorization");
	ssize_t n;

	if (!header || strncasecmp(header, "Basic ", 6) != 0)
		return false;
	header += 6;
	header += strspn(header, " ");
	n = base64_decode(header, strlen(header), out, BASIC_MAX);
	if (n < 0)
		return false;
	out[n] = '\0';
	*psk = memchr(out, ':', (size_t)n);
	if (!*psk || strlen(out) != (size_t)n)
		return false;
	*(*psk)++ = '\0';
	return true;
}

static bool psk_fits(const struct roster_node *n, const char *psk)
{
	const char *is = json_string_value(json_object_get(n->node.settings, "yassp_psk"));
	uint8_t a[HASH_MAX], b[HASH_MAX];

	return is && *is && hash(HASH_SHA256, is, strlen(is), a) == 0 &&
	       hash(HASH_SHA256, psk, strlen(psk), b) == 0 &&
	       ct_equal(a, b, hash_size(HASH_SHA256));
}

/* The node whose host asks.  403 is what the original program takes for a wrong key. */
static struct roster_node *host_asking(struct request *req)
{
	char text[BASIC_MAX + 1], *psk;
	struct roster_node *n;

	if (!basic_read(req, text, &psk)) {
		request_refuse_with(req, 401, "WWW-Authenticate", "Basic realm=\"yassp\"",
				    "no host name and key");
		return NULL;
	}
	n = yassp_node(&req->panel->roster, text);
	if (n && psk_fits(n, psk))
		return n;
	request_refuse(req, 403, "wrong host name or key");
	return NULL;
}

static int profiles_make(struct roster *r, struct roster_node *n, struct resource **out)
{
	*out = &n->profiles;
	return yassp_profiles(r, n, wall_now());
}

static void profiles_serve(struct request *req)
{
	request_answer_node(req, profiles_make);
}

/* Ports become users as of now; a node that is gone has none. */
static int ports_resolve(struct request *req, struct push_report *report)
{
	struct panel *p = req->panel;
	struct roster_node *n;

	pthread_mutex_lock(&p->read_lock);
	n = roster_node(&p->roster, req->node);
	if (n)
		yassp_ports_to_users(n, report);
	pthread_mutex_unlock(&p->read_lock);
	return n ? 0 : -ENOENT;
}

/* 204, and never a tag: the original would send it back as a condition. */
static void traffics_serve(struct request *req)
{
	struct push_result result;

	if (request_push(req, port_report_parse, ports_resolve, &result))
		request_answer(req, 204, NULL, 0);
}

static bool path_is(const char *path, const char *name)
{
	size_t len = strlen(name);

	return strncmp(path, name, len) == 0 && (!path[len] || !strcmp(path + len, "/"));
}

/* Which of the two it is, or a refusal. */
static void method_check(struct request *req, const struct roster_node *n)
{
	const char *m = req->method;

	if (path_is(req->path, "/yassp/services")) {
		req->yassp = profiles_serve;
		if (!req->get)
			request_refuse_with(req, 405, "Allow", "GET, HEAD",
					    "services: wrong method");
	} else if (path_is(req->path, "/yassp/traffics")) {
		req->yassp = traffics_serve;
		/* Its document says PUSH, its program says POST. */
		if (strcmp(m, "POST") != 0 && strcmp(m, "PUT") != 0 && strcmp(m, "PUSH") != 0)
			request_refuse_with(req, 405, "Allow", "POST, PUT, PUSH",
					    "traffics: wrong method");
	} else {
		request_refuse(req, 404, "nothing here");
	}
}

static void yassp_check(struct request *req)
{
	request_from_node(req, host_asking, method_check);
}

static void yassp_serve(struct request *req)
{
	req->yassp(req);
}

const struct http_part http_yassp = {yassp_check, yassp_serve};
