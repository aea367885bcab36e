/* version.c - `weir version`: what this is, and what is in this build. */
#include <ares.h>
#include <curl/curl.h>
#include <jansson.h>
#include <microhttpd.h>
#include <nghttp2/nghttp2.h>
#include <qrencode.h>
#include <sqlite3.h>
#include <stdio.h>
#include <zlib.h>

#include "cmd/cmd.h"
#include "cmd/opt.h"
#include "crypto/aead.h"
#include "crypto/library.h"
#include "node/info.h"
#include "proto/proto.h"
#include "sync/dialect.h"

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static void print_protocols(void)
{
	printf("protocols ");
	for (enum node_type t = NODE_TYPE_NONE + 1; t < NODE_TYPES; t++) {
		if (proto_find(node_type_name(t)))
			printf(" %s", node_type_name(t));
	}
	putchar('\n');
}

static void print_dialects(void)
{
	static const char *const known[] = {"v2sp", "uniproxy", "xboard2", "v2node", "sspanel"};

	printf("panels    ");
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (dialect_find(known[i]))
			printf(" %s", known[i]);
	}
	putchar('\n');
}

static void print_libraries(void)
{
	printf("libraries  %s, libcurl %s, SQLite %s, libmicrohttpd %s, c-ares %s, zlib %s, "
	       "nghttp2 %s, jansson " JANSSON_VERSION ", libqrencode %s\n",
	       crypto_library(), curl_version_info(CURLVERSION_NOW)->version, sqlite3_libversion(),
	       MHD_get_version(), ares_version(NULL), zlibVersion(),
	       nghttp2_version(0)->version_str, QRcode_APIVersionString());
}

int cmd_version(int argc, char **argv)
{
	const struct opt_page page = {"weir version", "", "Prints name, version and features.",
				      "weir version", NULL};
	int n = opt_parse(&page, argc, argv);

	if (n)
		return n < 0 ? ~n : opt_wrong(&page, "no operands");
	puts("weir " WEIR_VERSION);
	puts("a proxy node that a panel drives, with a panel and a client");
	puts("build      " COMPILER);
	print_protocols();
	print_dialects();
	printf("AEAD       %s%s\n", aead_init("auto") ? "none" : aead_engine(),
	       aead_has_hw_aes() ? ", AES in hardware" : "");
	print_libraries();
	return CMD_OK;
}
