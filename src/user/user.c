#include "user/user.h"

#include <errno.h>
#include <sched.h>

#include "base/err.h"
#include "user/live.h"

/* Rule CL1: these may go before older ones that are in use. */
#define IDLE_TCP (15 * NSEC_SEC)
#define IDLE_UDP (8 * NSEC_SEC)

/* Of carriers, which are not connections: as many as he may have connections, since each association of
 * XUDP comes in one of its own, but a few in any case; and some number where nothing else is limited. */
#define CARRIERS_MIN 8u
#define CARRIERS_MAX 1024u

bool user_get(struct user *u)
{
	uint32_t v = atomic_load_explicit(&u->refs, memory_order_relaxed);

	for (;;) {
		if (v & USER_REMOVED)
			return false;
		if (v & USER_BUSY) { /* a few instructions of the control thread */
			sched_yield();
			v = atomic_load_explicit(&u->refs, memory_order_relaxed);
			continue;
		}
		if (atomic_compare_exchange_weak_explicit(&u->refs, &v, v + 1, memory_order_acquire,
							  memory_order_relaxed))
			return true;
	}
}

/* Release: whoever sees the last reference gone sees all that was counted under it. */
void user_put(struct user *u)
{
	atomic_fetch_sub_explicit(&u->refs, 1, memory_order_release);
}

static bool removed(const struct user *u)
{
	return atomic_load(&u->refs) & USER_REMOVED;
}

/* ---- kicking ------------------------------------------------------------------------------------
 * A connection that must go may live on another worker.  Under the lock of its user it moves from
 * the user's list to the kicks of its worker; that worker's message hands it its waiter.  It leaves
 * the kicks either there or in user_conn_end(), both on its own thread.
 */
static void run_kicks(struct message *m)
{
	struct user_worker *w = container_of(m, struct user_worker, message);
	struct list_node *n;

	pthread_mutex_lock(&w->lock);
	w->posted = false;
	while ((n = list_pop(&w->kicks))) {
		struct user_conn *c = list_entry(n, struct user_conn, link);

		if (c->kicked)
			loop_queue(w->loop, c->kicked);
	}
	pthread_mutex_unlock(&w->lock);
}

void user_worker_init(struct user_worker *w, struct loop *loop, const struct counters *counters,
		      unsigned index)
{
	*w = (struct user_worker){.home = w,
				  .loop = loop,
				  .counters = counters,
				  .index = index,
				  .message = {.run = run_kicks}};
	pthread_mutex_init(&w->lock, NULL);
	list_init(&w->kicks);
}

void user_worker_share(struct user_worker *w, struct user_worker *home,
		       const struct counters *counters)
{
	*w = (struct user_worker){.home = home, .counters = counters, .index = home->index};
}

void user_worker_done(struct user_worker *w)
{
	pthread_mutex_destroy(&w->lock);
}

/* How many there are of its like: connections, or carriers. */
static uint32_t *kin(struct user_live *live, const struct user_conn *c)
{
	return c->carrier ? &live->ncarriers : &live->nconns;
}

static void leave(struct user_live *live, struct user_conn *c)
{
	list_del(&c->link);
	--*kin(live, c);
}

/* The lock of its user is held. */
static void condemn(struct user_live *live, struct user_conn *c, int why)
{
	struct user_worker *w = c->worker ? c->worker->home : NULL;
	bool post;

	leave(live, c);
	c->condemned = true;
	if (!w) {
		c->why = (int16_t)why;
		return;
	}
	pthread_mutex_lock(&w->lock);
	c->why = (int16_t)why;
	list_add_tail(&w->kicks, &c->link);
	post = !w->posted;
	w->posted = true;
	pthread_mutex_unlock(&w->lock);
	if (post && w->loop)
		loop_post(w->loop, &w->message);
}

void user_live_kick_all(struct user_live *live)
{
	struct list_node *n, *next;

	pthread_mutex_lock(&live->lock);
	list_for_each_safe(n, next, &live->conns)
		condemn(live, list_entry(n, struct user_conn, link), -ERR_KICKED);
	pthread_mutex_unlock(&live->lock);
}

static bool idle(const struct user_conn *c, nsec_t now)
{
	nsec_t quiet = now - atomic_load_explicit(&c->active, memory_order_relaxed);

	return quiet > (c->udp ? IDLE_UDP : IDLE_TCP);
}

/* The oldest idle one of its like, else the oldest; never `self`. */
static struct user_conn *pick_victim(struct user_live *live, const struct user_conn *self,
				     nsec_t now)
{
	struct user_conn *oldest = NULL;
	struct list_node *n;

	list_for_each(n, &live->conns) {
		struct user_conn *c = list_entry(n, struct user_conn, link);

		if (c == self || c->carrier != self->carrier)
			continue;
		if (idle(c, now))
			return c;
		if (!oldest)
			oldest = c;
	}
	return oldest;
}

static void enforce_conn_limit(struct user_live *live, struct user_conn *self, nsec_t now)
{
	uint32_t limit = atomic_load_explicit(&self->user->conn_limit, memory_order_relaxed);

	if (self->carrier)
		limit = limit ? MAX(limit, CARRIERS_MIN) : CARRIERS_MAX;
	while (limit && *kin(live, self) > limit) {
		struct user_conn *victim = pick_victim(live, self, now);

		if (!victim)
			return;
		condemn(live, victim, -ERR_LIMIT);
	}
}

/* ---- connections ------------------------------------------------------------------------- */

void user_conn_init(struct user_conn *c, struct user_worker *w, struct waiter *kicked)
{
	*c = (struct user_conn){.worker = w, .kicked = kicked};
	list_init(&c->link);
}

static int enter(struct user_live *live, struct user_conn *c, struct user *u,
		 const struct addr *peer, nsec_t now)
{
	int err;

	/* Control marks first and then takes this lock to kick: one of us sees the other. */
	if (removed(u))
		return -ERR_KICKED;
	if (peer) {
		err = user_live_admit(live, u, peer, now, &c->device);
		if (err)
			return err;
	}
	c->user = u;
	list_add_tail(&live->conns, &c->link);
	++*kin(live, c);
	enforce_conn_limit(live, c, now);
	return 0;
}

int user_conn_begin(struct user_conn *c, struct user *u, const struct addr *peer, bool udp,
		    nsec_t now)
{
	struct user_live *live;
	int err;

	if (!user_get(u))
		return -ERR_KICKED;
	live = user_live_get(u, c->worker ? c->worker->counters : NULL);
	if (!live) {
		user_put(u);
		return -ENOMEM;
	}
	c->udp = udp;
	c->why = 0;
	c->condemned = false;
	c->device = NULL;
	atomic_store_explicit(&c->active, now, memory_order_relaxed);

	pthread_mutex_lock(&live->lock);
	err = enter(live, c, u, peer, now);
	pthread_mutex_unlock(&live->lock);
	if (err)
		user_put(u);
	return err;
}

static void leave_kicks(struct user_conn *c)
{
	if (!c->worker)
		return;
	pthread_mutex_lock(&c->worker->home->lock);
	list_del(&c->link);
	pthread_mutex_unlock(&c->worker->home->lock);
}

void user_conn_end(struct user_conn *c, nsec_t now)
{
	struct user *u = c->user;
	struct user_live *live;

	if (!u)
		return;
	live = atomic_load_explicit(&u->live, memory_order_acquire);
	pthread_mutex_lock(&live->lock);
	if (c->condemned) {
		leave_kicks(c);
	} else {
		leave(live, c);
	}
	if (c->device) {
		c->device->conns--;
		c->device->last = now;
	}
	pthread_mutex_unlock(&live->lock);
	c->user = NULL;
	c->device = NULL;
	user_put(u);
}
