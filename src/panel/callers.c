#include "panel/callers.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/list.h"

struct callers {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	nsec_t patience;
	struct list_node
		owing; /* struct caller; all have the same patience: the first to be cut off first */
	bool stopping;
};

struct caller {
	struct callers *all;
	struct list_node link;
	nsec_t until;
	int fd;
};

static nsec_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NSEC_SEC + t.tv_nsec;
}

/* Those whose time is up; returns when the next one's is.  A descriptor is closed only after its caller has
 * left the list, under the lock.
 */
static nsec_t cut_off(struct callers *c)
{
	nsec_t t = now();

	while (!list_empty(&c->owing)) {
		struct caller *first = list_entry(c->owing.next, struct caller, link);

		if (first->until > t)
			return first->until;
		list_del(&first->link);
		shutdown(first->fd, SHUT_RDWR);
	}
	return t + c->patience;
}

static void *watch(void *arg)
{
	struct callers *c = arg;

	pthread_mutex_lock(&c->lock);
	while (!c->stopping) {
		nsec_t at = cut_off(c);
		struct timespec t = {.tv_sec = at / NSEC_SEC, .tv_nsec = at % NSEC_SEC};

		pthread_cond_timedwait(&c->changed, &c->lock, &t);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

struct callers *callers_start(nsec_t patience)
{
	struct callers *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (!c)
		return NULL;
	c->patience = patience;
	list_init(&c->owing);
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (!pthread_create(&c->thread, NULL, watch, c))
		return c;
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
}

void callers_stop(struct callers *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* Last in line: the thread wakes for the first, or sooner than needed. */
static void owes(struct caller *who, bool does)
{
	struct callers *c = who->all;

	pthread_mutex_lock(&c->lock);
	list_del(&who->link);
	if (does) {
		who->until = now() + c->patience;
		list_add_tail(&c->owing, &who->link);
	}
	pthread_mutex_unlock(&c->lock);
}

static struct caller *caller_of(struct MHD_Connection *conn)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

void caller_let_in(struct MHD_Connection *conn)
{
	struct caller *who = caller_of(conn);

	if (who)
		owes(who, false);
}

void caller_answered(struct MHD_Connection *conn)
{
	struct caller *who = caller_of(conn);

	if (who)
		owes(who, true);
}

void callers_on_connection(void *callers, struct MHD_Connection *conn, void **context,
			   enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *info;
	struct caller *who = *context;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (who)
			owes(who, false);
		free(who);
		*context = NULL;
		return;
	}
	info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
	who = calloc(1, sizeof(*who));
	if (!who || !info) { /* without a deadline, then */
		free(who);
		return;
	}
	*who = (struct caller){.all = callers, .fd = info->connect_fd};
	owes(who, true);
	*context = who;
}
