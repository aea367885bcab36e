/* The users of a node: registry, keys, and who leaves. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "node/node_apply.h"

#define REAP_EVERY NSEC_SEC

static int derive(void *arg, const char *credential, size_t len, uint8_t *key, uint8_t *secret)
{
	const struct node *n = arg;
	int err;

	if (n->proto->user_derive)
		return n->proto->user_derive(n->keyed->conf, credential, len, key, secret);
	err = n->proto->user_key(credential, len, key);
	return err || !n->proto->secret_len ? err : n->proto->user_secret(key, secret);
}

static void forget_proto(struct node *n)
{
	if (n->proto && n->proto->memory_free)
		n->proto->memory_free(n->memory);
	n->proto = NULL;
	n->memory = NULL;
}

/* Of a configuration that came to nothing. */
static void forget_attempt(struct node *n)
{
	if (n->keyed || !n->users || user_registry_table(n->users))
		return;
	user_registry_free(n->users);
	n->users = NULL;
	forget_proto(n);
}

static int same_proto(const struct node *n, const struct proto *proto, char why[INBOUND_WHY_MAX])
{
	if (proto == n->proto)
		return 0;
	snprintf(why, INBOUND_WHY_MAX, "its type was %s and is now %s: restart weir",
		 n->proto->name, proto->name);
	return -ERR_CONFIG;
}

int node_users_make(struct node *n, const struct node_info *info, char why[INBOUND_WHY_MAX])
{
	struct user_registry_conf conf = {
		.node = n->ledger_node,
		.counters = n->env.counters,
		.derive = derive,
	};
	const struct proto *proto = inbound_type(info, why);
	int err;

	if (!proto)
		return -ERR_UNSUPPORTED;
	forget_attempt(n);
	if (n->users)
		return same_proto(n, proto, why);
	inbound_user_rules(n->conf, info, &conf.rules);
	conf.key_len = proto->key_len;
	conf.secret_len = proto->secret_len;
	conf.pack = proto->pack;
	conf.derive_arg = n;
	err = proto->memory_new ? proto->memory_new(&n->memory) : 0;
	if (err)
		return err;
	n->proto = proto;
	err = user_registry_new(&conf, &n->users);
	if (err)
		forget_proto(n);
	return err;
}

void node_reap(struct node *n)
{
	if (n->users && user_registry_reap(n->users, n->env.settle, n->env.settle_arg) != 0)
		timer_set(node_loop(n), &n->reap, loop_now(node_loop(n)) + REAP_EVERY);
}

static void on_reap(struct timer *t)
{
	node_reap(container_of(t, struct node, reap));
}

static int apply_users(struct node *n, const struct user_list *list, struct apply *a)
{
	struct user_changes c;
	int err;

	err = user_registry_apply(n->users, list, &c, &a->pub);
	if (err)
		return err;
	a->table = user_registry_table(n->users);
	if (c.added || c.removed || c.rekeyed || c.changed)
		log_msg(LOG_INFO, "node",
			"%s: users: %u added, %u removed, %u re-keyed, %u changed, %u kept", n->tag,
			c.added, c.removed, c.rekeyed, c.changed, c.kept);
	if (c.invalid || c.duplicates)
		log_msg(LOG_WARN, "node", "%s: users left out: %u invalid, %u duplicate", n->tag,
			c.invalid, c.duplicates);
	return 0;
}

static bool same_keys(const struct node *n, const struct inbound *in)
{
	if (!n->proto->same_users)
		return true;
	return n->keyed && n->proto->same_users(n->keyed->conf, in->conf);
}

/* Everybody has another key (Shadowsocks' cipher): they come anew, with the list that there is. */
static int change_keys(struct node *n, const struct user_list *list, struct apply *a)
{
	struct inbound *before = n->keyed;
	struct user_list mine;
	int err = 0;

	user_list_init(&mine);
	if (!list)
		err = user_registry_list(n->users, &mine);
	n->keyed = a->in;
	if (!err) {
		user_registry_renew(n->users, true);
		err = apply_users(n, list ? list : &mine, a);
		user_registry_renew(n->users, false);
	}
	n->keyed = before;
	user_list_done(&mine);
	return err;
}

/* The newest of those with the same keys: an old one may go. */
static void keep_keyed(struct node *n, struct inbound *in)
{
	in->refs++;
	inbound_put(n->keyed);
	n->keyed = in;
}

int node_users_prepare(struct node *n, const struct user_list *list, struct apply *a)
{
	int err = 0;

	if (a->in && !same_keys(n, a->in))
		err = change_keys(n, list, a);
	else if (list)
		err = apply_users(n, list, a);
	if (!err && a->in)
		keep_keyed(n, a->in);
	return err;
}

void node_users_init(struct node *n)
{
	timer_init(&n->reap, on_reap);
}

void node_users_done(struct node *n)
{
	timer_stop(&n->reap);
	user_registry_free(n->users);
	forget_proto(n);
}
