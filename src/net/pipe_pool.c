#include "net/pipe_pool.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct pipe_pool {
	struct loop_local local;
	struct pipe_pair *free;
	unsigned nfree;
};

static const char pool_key;

static void pair_free(struct pipe_pair *p)
{
	close(p->r);
	close(p->w);
	free(p);
}

static void pool_free(struct loop_local *local)
{
	struct pipe_pool *pool = container_of(local, struct pipe_pool, local);
	struct pipe_pair *p;

	while ((p = pool->free)) {
		pool->free = p->next;
		pair_free(p);
	}
	free(pool);
}

static struct pipe_pool *pool_of(struct loop *l)
{
	struct loop_local *local = loop_local_find(l, &pool_key);
	struct pipe_pool *pool;

	if (local)
		return container_of(local, struct pipe_pool, local);
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return NULL;
	pool->local.key = &pool_key;
	pool->local.free = pool_free;
	loop_local_add(l, &pool->local);
	return pool;
}

/* Beyond the user's share of pipe memory (pipe-user-pages-soft) an unprivileged process gets pipes
 * of one or two pages, and growing them is refused.  Splicing through those costs more than
 * copying.
 */
#define PIPE_WORTH_IT (64 * 1024)

static struct pipe_pair *pair_new(void)
{
	struct pipe_pair *p = malloc(sizeof(*p));
	int fd[2], size;

	if (!p)
		return NULL;
	if (pipe2(fd, O_NONBLOCK | O_CLOEXEC) < 0) {
		free(p);
		return NULL;
	}
	size = fcntl(fd[1], F_SETPIPE_SZ, PIPE_SIZE);
	if (size < 0)
		size = fcntl(fd[1], F_GETPIPE_SZ);
	*p = (struct pipe_pair){.r = fd[0], .w = fd[1], .size = size > 0 ? (uint32_t)size : 0};
	if (p->size < PIPE_WORTH_IT) {
		pair_free(p);
		return NULL;
	}
	return p;
}

struct pipe_pair *pipe_get(struct loop *l)
{
	struct pipe_pool *pool = pool_of(l);
	struct pipe_pair *p;

	if (!pool)
		return NULL;
	p = pool->free;
	if (!p)
		return pair_new();
	pool->free = p->next;
	pool->nfree--;
	p->next = NULL;
	return p;
}

void pipe_put(struct loop *l, struct pipe_pair *p, bool dirty)
{
	struct pipe_pool *pool;

	if (!p)
		return;
	pool = pool_of(l);
	if (dirty || !pool || pool->nfree >= PIPE_KEEP) {
		pair_free(p);
		return;
	}
	p->next = pool->free;
	pool->free = p;
	pool->nfree++;
}
