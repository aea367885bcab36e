#include "proto/shadowsocks/ss_udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "crypto/random.h"
#include "proto/shadowsocks/ss_udp_impl.h"
#include "proto/shadowsocks/ss_wire.h"

#define BATCH_START 4
#define SWEEP_EVERY (10 * NSEC_SEC)

/* A packet on its way in. */
struct arrival {
	struct mmsg *m;
	struct buf *b; /* m's; NULL: an association has it */
	bool refused;
};

static const struct user_table *users_of(const struct ss_udp *u)
{
	return *u->service.users;
}

/* ---- associations ------------------------------------------------------------------------ */

/* A packet whose address cannot be read opens nothing and goes nowhere. */
static bool first_dest(const struct buf *b, struct dest *out)
{
	struct rd r = rd_of(b->data + b->start, buf_len(b));

	rd_dest(&r, DEST_SOCKS, out);
	return !r.err && out->port;
}

/* Give `b` to `a`, whose owner is found first if it has none. */
static void deliver(struct ss_udp *u, struct ss_assoc *a, struct arrival *in, struct user *user)
{
	struct stream_request req = {.user = user, .network = NETWORK_UDP};

	if (!first_dest(in->b, &req.dest)) {
		in->refused = true;
		if (!a->live && a->method->class != SS_2022)
			ss_assoc_free(a);
		else if (!a->live)
			ss_assoc_rest(a);
		return;
	}
	ss_assoc_take(a, in->b, &in->m->peer, &in->m->local);
	in->b = NULL;
	if (a->live)
		return;
	a->live = true;
	u->opened(u->arg, &a->d, &req, &a->peer);
}

static struct ss_assoc *assoc_new(struct ss_udp *u, const struct user *user, const uint8_t *key,
				  uint64_t hash)
{
	struct ss_assoc *a = ss_assoc_new(u, u->service.method);

	if (!a)
		return NULL;
	memcpy(a->name, user_key(user), SS_KEY_MAX);
	memcpy(a->key, key, SS_KEY_MAX);
	if (ss_assoc_add(u, a, hash)) {
		ss_assoc_free(a);
		return NULL;
	}
	if (!timer_armed(&u->sweep))
		timer_set(u->loop, &u->sweep, loop_now(u->loop) + SWEEP_EVERY);
	return a;
}

static bool forgettable(const struct ss_assoc *a, nsec_t now)
{
	return !a->live && now - a->used >= SS_UDP_REMEMBER;
}

/* Sessions that have ended, once nothing of them could be accepted. */
static void on_sweep(struct timer *t)
{
	struct ss_udp *u = container_of(t, struct ss_udp, sweep);
	nsec_t now = loop_now(u->loop);
	struct list_node *pos, *tmp;

	list_for_each_safe(pos, tmp, &u->ended) {
		struct ss_assoc *a = list_entry(pos, struct ss_assoc, link);

		if (forgettable(a, now))
			ss_assoc_free(a);
	}
	if (u->n > 0)
		timer_set(u->loop, t, now + SWEEP_EVERY);
}

/* ---- SIP004 ------------------------------------------------------------------------------ */

static uint64_t hash_of_addr(const struct ss_udp *u, const struct addr *peer)
{
	uint8_t bytes[18];
	uint16_t port = addr_port(peer);

	addr_ip16(peer, bytes);
	memcpy(bytes + 16, &port, sizeof(port));
	return hash_bytes(&u->hash, bytes, sizeof(bytes));
}

/* A salt that has come before is a recording. */
static bool seen(struct ss_udp *u, const uint8_t *salt)
{
	return u->service.replay &&
	       replay_add(u->service.replay, salt, u->service.method->salt_len, loop_now(u->loop));
}

/* Whoever has been at this address.  NULL: none of them. */
static struct ss_assoc *known_by_addr(struct ss_udp *u, struct arrival *in, uint64_t hash)
{
	struct ss_assoc *a;

	for (a = ss_assoc_first(u, hash); a; a = ss_assoc_next(a)) {
		if (a->live && addr_equal(&a->peer, &in->m->peer) &&
		    !ss_packet_open(a->method, a->key, in->b, loop_scratch(u->loop)))
			return a;
	}
	return NULL;
}

static void arrived_aead(struct ss_udp *u, struct arrival *in)
{
	const struct ss_method *m = u->service.method;
	uint64_t hash = hash_of_addr(u, &in->m->peer);
	uint8_t salt[SS_SALT_MAX];
	struct ss_found found = {0};
	struct ss_assoc *a;
	int err = 0;

	in->refused = true;
	if (buf_len(in->b) < (size_t)m->salt_len + AEAD_TAG)
		return;
	memcpy(salt, buf_head(in->b), m->salt_len);
	a = known_by_addr(u, in, hash);
	if (!a) {
		const struct ss_asker asker = {
			users_of(u),
			u->service.hidden ? NULL : &in->m->peer,
			loop_now(u->loop),
		};

		err = ss_find_packet(u->service.finder, &asker, buf_head(in->b), buf_len(in->b),
				     &found);
		if (!err)
			err = ss_packet_open(m, user_key(found.user), in->b, loop_scratch(u->loop));
		cleanse(found.subkey, sizeof(found.subkey));
	}
	if (err || seen(u, salt))
		return;
	if (!a)
		a = assoc_new(u, found.user, user_key(found.user), hash);
	in->refused = false;
	if (a)
		deliver(u, a, in, found.user);
}

/* ---- without integrity ------------------------------------------------------------------- */

static struct ss_assoc *assoc_of(const struct ss_udp *u, const struct arrival *in, uint64_t hash,
				 const uint8_t *key)
{
	struct ss_assoc *a = ss_assoc_first(u, hash);

	while (a &&
	       !(a->live && addr_equal(&a->peer, &in->m->peer) && !memcmp(a->key, key, SS_KEY_MAX)))
		a = ss_assoc_next(a);
	return a;
}

/* Whatever makes sense is the port's one user's: nothing in it says whose it is. */
static void arrived_plain(struct ss_udp *u, struct arrival *in)
{
	struct user *user =
		user_table_count(users_of(u)) > 0 ? user_table_at(users_of(u), 0) : NULL;
	uint64_t hash = hash_of_addr(u, &in->m->peer);
	struct ss_assoc *a;

	in->refused = true;
	if (!user || ss_packet_open(u->service.method, user_key(user), in->b, NULL))
		return;
	in->refused = false;
	a = assoc_of(u, in, hash, user_key(user));
	if (!a)
		a = assoc_new(u, user, user_key(user), hash);
	if (a)
		deliver(u, a, in, user);
}

/* ---- 2022 -------------------------------------------------------------------------------- */

static bool time_ok(const struct ss_udp *u, uint64_t time)
{
	return ss_time_ok(time, loop_wall(u->loop));
}

static uint64_t hash_of_session(const struct ss_udp *u, const uint8_t *session)
{
	return hash_bytes(&u->hash, session, SS_SESSION_LEN);
}

static struct ss_assoc *session_find(const struct ss_udp *u, const uint8_t *session)
{
	struct ss_assoc *a = ss_assoc_first(u, hash_of_session(u, session));

	while (a && memcmp(a->s->client, session, SS_SESSION_LEN) != 0)
		a = ss_assoc_next(a);
	return a;
}

static struct ss_assoc *session_new(struct ss_udp *u, const struct user *user,
				    const struct ss_separate *sep, const struct aead_key *open)
{
	const struct ss_method *m = u->service.method;
	uint8_t sub[SS_KEY_MAX];
	struct ss_assoc *a;

	a = assoc_new(u, user, user_secret(user), hash_of_session(u, sep->session));
	if (!a)
		return NULL;
	memcpy(a->s->client, sep->session, SS_SESSION_LEN);
	random_bytes(a->s->out.session, SS_SESSION_LEN);
	if (open)
		a->s->open = *open;
	if (ss_subkey(m, a->key, a->s->out.session, SS_SESSION_LEN, sub)) {
		ss_assoc_free(a);
		return NULL;
	}
	aead_key_set(&a->s->seal, (enum aead_alg)m->alg, sub);
	cleanse(sub, sizeof(sub));
	return a;
}

/* The one user of a port without identity headers. */
static struct user *only_user(const struct ss_udp *u)
{
	return user_table_count(users_of(u)) == 1 ? user_table_at(users_of(u), 0) : NULL;
}

/* Right in every respect: it counts from here on. */
static void accept_2022(struct ss_udp *u, struct ss_assoc *a, const struct ss_separate *sep,
			struct arrival *in)
{
	struct user *user = a->live ? NULL : user_table_find(users_of(u), a->name);

	replay_window_mark(&a->s->window, sep->packet);
	in->refused = !a->live && !user; /* removed since the session began */
	if (in->refused)
		ss_assoc_rest(a);
	else
		deliver(u, a, in, user);
}

/* A session that is there.  Its key tells who has sealed the packet; the identity header must not say
 * otherwise.
 */
static void arrived_in_session(struct ss_udp *u, struct ss_assoc *a, const struct ss_separate *sep,
			       size_t skip, struct arrival *in)
{
	uint8_t name[SS_IDENTITY_LEN];
	struct ss_body body;

	if (!replay_window_fresh(&a->s->window, sep->packet))
		return;
	if (u->service.psk && (ss_packet_name(a->method, u->service.psk, sep,
					      buf_head(in->b) + SS_SEPARATE_LEN, name) ||
			       !ct_equal(name, a->name, sizeof(name))))
		return;
	if (ss_body_open(&a->s->open, sep, skip, false, in->b, &body) || !time_ok(u, body.time))
		return;
	accept_2022(u, a, sep, in);
}

/* It is right, and of a session that this worker does not know: a new one, or NULL: another worker knows
 * it, and has the packet now; or no memory.
 */
static struct ss_assoc *session_begin(struct ss_udp *u, const struct user *user,
				      const struct ss_separate *sep, const struct aead_key *open,
				      struct arrival *in)
{
	int err = u->member ? ss_sessions_claim(u->member, sep->session) : 0;
	struct ss_assoc *a;

	in->refused = false;
	if (err == -EALREADY) {
		ss_sessions_hand(u->service.sessions, sep, user_key(user), &in->m->peer,
				 &in->m->local, buf_head(in->b), buf_len(in->b));
		return NULL;
	}
	a = session_new(u, user, sep, open); /* unclaimed where there was no memory for that */
	if (!a && u->member)
		ss_sessions_release(u->member, sep->session);
	return a;
}

/* From another worker, which has authenticated it: the session has moved to an address of theirs. */
static void on_handed(void *arg, const struct ss_handed *h)
{
	struct ss_udp *u = arg;
	struct mmsg m = {.peer = h->peer, .local = h->local};
	struct arrival in = {.m = &m, .b = buf_new(loop_pool(u->loop))};
	struct ss_assoc *a = session_find(u, h->separate.session);

	if (!in.b || !a || !ct_equal(h->name, a->name, sizeof(a->name)) ||
	    !replay_window_fresh(&a->s->window, h->separate.packet)) {
		u->count.refused++;
		buf_free(in.b);
		return;
	}
	memcpy(in.b->data + in.b->end, h->bytes, h->len);
	in.b->end += (uint32_t)h->len;
	accept_2022(u, a, &h->separate, &in);
	u->count.refused += in.refused;
	buf_free(in.b);
}

static void arrived_first(struct ss_udp *u, struct user *user, const struct ss_separate *sep,
			  size_t skip, struct arrival *in)
{
	const struct ss_method *m = u->service.method;
	struct ss_assoc *a = NULL;
	uint8_t sub[SS_KEY_MAX];
	struct aead_key open;
	struct ss_body body;

	if (!user || ss_subkey(m, user_secret(user), sep->session, SS_SESSION_LEN, sub))
		return;
	aead_key_set(&open, (enum aead_alg)m->alg, sub);
	cleanse(sub, sizeof(sub));
	if (!ss_body_open(&open, sep, skip, false, in->b, &body) && time_ok(u, body.time))
		a = session_begin(u, user, sep, &open, in);
	if (a)
		accept_2022(u, a, sep, in);
	else
		aead_key_clear(&open);
}

static void arrived_aes(struct ss_udp *u, struct arrival *in)
{
	const struct ss_method *m = u->service.method;
	size_t skip = SS_SEPARATE_LEN + (u->service.psk ? SS_IDENTITY_LEN : 0u);
	struct user *user = u->service.psk ? NULL : only_user(u);
	uint8_t name[SS_IDENTITY_LEN];
	struct ss_separate sep;
	struct ss_assoc *a;
	uint8_t *head = buf_head(in->b);

	in->refused = true;
	if (buf_len(in->b) < skip + AEAD_TAG || (!u->service.psk && !user))
		return;
	if (ss_separate_open(m, user ? user_secret(user) : u->service.psk, head, &sep))
		return;
	a = session_find(u, sep.session);
	if (a) {
		arrived_in_session(u, a, &sep, skip, in);
		return;
	}
	if (u->service.psk &&
	    !ss_packet_name(m, u->service.psk, &sep, head + SS_SEPARATE_LEN, name))
		user = ss_find_identity(users_of(u), name);
	arrived_first(u, user, &sep, skip, in);
}

/* No session is named in the clear: the whole packet opens under the one key. */
static void arrived_x(struct ss_udp *u, struct arrival *in)
{
	struct user *user = only_user(u);
	struct ss_separate sep;
	struct ss_assoc *a;
	struct ss_body body;

	in->refused = true;
	if (!user || ss_body_open_x(user_secret(user), false, in->b, &sep, &body) ||
	    !time_ok(u, body.time))
		return;
	a = session_find(u, sep.session);
	if (a && !replay_window_fresh(&a->s->window, sep.packet))
		return;
	if (!a)
		a = session_begin(u, user, &sep, NULL, in);
	if (a)
		accept_2022(u, a, &sep, in);
}

/* ---- the socket -------------------------------------------------------------------------- */

static void arrived(struct ss_udp *u, struct mmsg *m)
{
	const struct ss_method *method = u->service.method;
	struct arrival in = {.m = m, .b = m->buf};

	u->count.packets++;
	if (ss_method_insecure(method))
		arrived_plain(u, &in);
	else if (method->class == SS_AEAD)
		arrived_aead(u, &in);
	else if (method->alg == AEAD_CHACHA20_POLY1305)
		arrived_x(u, &in);
	else
		arrived_aes(u, &in);
	u->count.refused += in.refused;
	buf_free(in.b);
}

static void on_readable(struct waiter *w)
{
	struct ss_udp *u = container_of(w, struct ss_udp, run);
	UNINIT struct mmsg m[MMSG_BATCH];
	uint64_t cut = 0;
	int n;

	n = mmsg_recv(u->io.fd, loop_pool(u->loop), m, u->batch, &cut);
	u->count.packets += cut;
	u->count.dropped += cut;
	for (int i = 0; i < n; i++)
		arrived(u, &m[i]);
	if (n == -EAGAIN || (n >= 0 && n + (int)cut < u->batch))
		u->io.ready &= ~IO_RD;
	if (n == u->batch && u->batch < MMSG_BATCH)
		u->batch *= 2;
	else if (n <= u->batch / 4 && u->batch > BATCH_START)
		u->batch /= 2;
	io_want(u->loop, &u->io, IO_RD, &u->run);
}

static void on_writable(struct waiter *w)
{
	struct ss_udp *u = container_of(w, struct ss_udp, writable);
	struct list_node *pos, *tmp;

	list_for_each_safe(pos, tmp, &u->blocked) {
		struct ss_assoc *a = list_entry(pos, struct ss_assoc, blocked);

		list_del(&a->blocked);
		loop_queue(u->loop, a->wr);
	}
}

/* Without memory to join, this worker's sessions are its own. */
static void set_service(struct ss_udp *u, const struct ss_udp_service *service,
			ss_udp_opened *opened, void *arg)
{
	if (!u->member && service->sessions)
		u->member = ss_sessions_join(service->sessions, u->loop, on_handed, u);
	u->service = *service;
	u->opened = opened;
	u->arg = arg;
}

int ss_udp_new(struct loop *loop, int fd, int family, const struct ss_udp_service *service,
	       ss_udp_opened *opened, void *arg, struct ss_udp **out)
{
	struct ss_udp *u;
	int err;

	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	u->loop = loop;
	u->family = family;
	u->batch = BATCH_START;
	list_init(&u->all);
	list_init(&u->ended);
	list_init(&u->blocked);
	waiter_init(&u->run, on_readable);
	waiter_init(&u->writable, on_writable);
	timer_init(&u->sweep, on_sweep);
	random_bytes(&u->hash, sizeof(u->hash));
	set_service(u, service, opened, arg);
	err = mmsg_want_local(fd, family);
	if (!err)
		err = io_add(loop, &u->io, fd);
	if (err) {
		ss_sessions_leave(u->member);
		free(u);
		return err;
	}
	io_want(loop, &u->io, IO_RD, &u->run);
	*out = u;
	return 0;
}

static void end_all(struct ss_udp *u)
{
	struct list_node *pos, *tmp;

	list_for_each_safe(pos, tmp, &u->all)
		ss_assoc_end(list_entry(pos, struct ss_assoc, link));
	list_for_each_safe(pos, tmp, &u->ended)
		ss_assoc_free(list_entry(pos, struct ss_assoc, link));
}

void ss_udp_use(struct ss_udp *u, const struct ss_udp_service *service, ss_udp_opened *opened,
		void *arg)
{
	bool same =
		service->method == u->service.method && !service->psk == !u->service.psk &&
		(!service->psk || ct_equal(service->psk, u->service.psk, service->method->key_len));

	if (!same)
		end_all(u);
	set_service(u, service, opened, arg);
}

void ss_udp_let_go(struct ss_udp *u)
{
	if (!u)
		return;
	end_all(u);
	ss_sessions_leave(u->member);
	timer_stop(&u->sweep);
	waiter_cancel(&u->run);
	waiter_cancel(&u->writable);
	io_del(u->loop, &u->io);
	free(u->buckets);
	loop_free_later(u->loop, u);
}

void ss_udp_close(struct ss_udp *u)
{
	int fd = u ? u->io.fd : -1;

	ss_udp_let_go(u);
	if (u)
		close(fd);
}

void ss_udp_count(const struct ss_udp *u, struct ss_udp_count *out)
{
	*out = u->count;
	out->associations = u->n;
}
