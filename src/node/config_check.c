#include "node/config_check.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/json_value.h"
#include "net/addr.h"
#include "net/dest.h"
#include "node/info.h"
#include "proto/shadowsocks/ss_method.h"

const char *check_ip(const char *text)
{
	struct addr a;

	return addr_parse_ip(&a, text, 0)
		       ? "is no IP address; write one like 192.0.2.1 or 2001:db8::1"
		       : NULL;
}

const char *check_cidr(const char *text)
{
	struct cidr c;

	return cidr_parse(&c, text) ? "is no address range; write one like 10.0.0.0/8 or fc00::/7"
				    : NULL;
}

const char *check_http_url(const char *text)
{
	const char *host = strstr(text, "://");

	if (!host || (strncasecmp(text, "https:", 6) && strncasecmp(text, "http:", 5)))
		return "is no address of a panel; it begins with http:// or https://";
	if (strcspn(host + 3, "/?#") == 0)
		return "has no host; write https://panel.example.com/path";
	return text[strcspn(text, " \t\r\n")] ? "has blanks in it; take them out" : NULL;
}

const char *check_listen(const char *text)
{
	struct addr a;

	return addr_parse(&a, text) ? "is no address with port; write one like 127.0.0.1:9180"
				    : NULL;
}

const char *check_fallback_dest(const char *text)
{
	struct dest d;
	int64_t port;

	if (*text == '/' || *text == '@')
		return NULL;
	if (!json_int_of_text(text, strlen(text), &port))
		return port >= 1 && port <= 65535 ? NULL : "is no port; ports are 1 to 65535";
	return dest_parse(&d, text)
		       ? "is no target; write a port, host:port, or the path of a socket"
		       : NULL;
}

const char *check_node_id(const char *text)
{
	int64_t id;
	int err = json_int_of_text(text, strlen(text), &id);

	return err == -ERANGE || (!err && id < 1)
		       ? "is out of bounds; write the node's number, 1 or more"
		       : NULL;
}

const char *check_node_type(const char *text)
{
	return node_type_parse(text) == NODE_TYPE_NONE ? "is no type of node; write vless, vmess, "
							 "trojan, shadowsocks, hysteria2, tuic, "
							 "anytls, socks, http, naive or mieru"
						       : NULL;
}

const char *check_insecure_cipher(const char *text)
{
	const struct ss_method *m = ss_method_find(text);

	return m && ss_method_insecure(m) ? NULL
					  : "is no insecure cipher; write one like none or "
					    "aes-256-cfb, the others need no permission";
}
