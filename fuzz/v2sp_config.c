/* v2sp_config.c - any bytes as a configuration: a node that is whole, or a class and a reason. */
#include <assert.h>
#include <string.h>

#include "sync/v2sp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_list(const struct text_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		assert(l->v[i]);
}

static void check(const struct node_info *i)
{
	assert(i->type > NODE_TYPE_NONE && i->type < NODE_TYPES && i->port > 0);
	assert(i->network < NODE_NETWORKS && i->security <= SECURITY_REALITY);
	assert(i->push_interval_s >= 1 && i->push_interval_s <= 86400);
	assert(i->pull_interval_s >= 1 && i->pull_interval_s <= 86400);
	assert(!i->hop_from || i->hop_from < i->hop_to);
	assert(i->vless.decryption);
	if (i->security == SECURITY_REALITY)
		assert(i->reality.server_names.n && i->reality.dest && i->reality.short_ids.n);
	if (i->type == NODE_SHADOWSOCKS)
		assert(i->ss.cipher);
	assert(!i->hysteria.obfs_type == !i->hysteria.obfs_password);
	check_list(&i->padding_scheme);
	for (size_t r = 0; r < i->routes.n; r++) {
		assert(i->routes.v[r].action);
		check_list(&i->routes.v[r].match);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const enum node_type types[] = {NODE_TYPE_NONE, NODE_VLESS, NODE_HYSTERIA,
					       NODE_MIERU};
	struct panel p = {.host = "http://p", .key = "k", .node_id = "7", .enable_vless = -1};
	struct node_info *a = NULL, *b = NULL;
	struct notes notes = {0};

	p.type = types[len % ARRAY_LEN(types)];
	p.allow_remote = p.accept_listen_ip = len & 8;
	if (v2sp_config(&p, (const char *)data, len, &a, &notes) != ANSWER_OK) {
		assert(!a && *notes.why);
		return 0;
	}
	check(a);
	assert(v2sp_config(&p, (const char *)data, len, &b, &notes) == ANSWER_OK);
	assert(node_info_equal(a, b));
	node_info_put(a);
	node_info_put(b);
	return 0;
}
