#include "user/user_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"

#define BLOCK_SIZE (256 * 1024) /* large enough that malloc maps it, and gives it back when freed */

struct user_list_block {
	struct user_list_block *next;
	size_t used, cap;
	char text[];
};

void user_list_init(struct user_list *l)
{
	*l = (struct user_list){0};
}

void user_list_done(struct user_list *l)
{
	struct user_list_block *b, *next;

	for (b = l->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	free(l->v);
	user_list_init(l);
}

static char *room_for_text(struct user_list *l, size_t n)
{
	struct user_list_block *b = l->blocks;
	size_t cap = MAX(n, (size_t)BLOCK_SIZE);

	if (!b || b->cap - b->used < n) {
		b = malloc(sizeof(*b) + cap);
		if (!b)
			return NULL;
		b->next = l->blocks;
		b->used = 0;
		b->cap = cap;
		l->blocks = b;
	}
	b->used += n;
	return b->text + b->used - n;
}

static int room_for_entry(struct user_list *l)
{
	struct user_entry *v = grow(l->v, l->n, &l->cap, sizeof(*v));

	if (!v)
		return -ENOMEM;
	l->v = v;
	return 0;
}

int user_list_add(struct user_list *l, const struct user_entry *e)
{
	char *text;

	if (room_for_entry(l) < 0)
		return -ENOMEM;
	text = room_for_text(l, (size_t)e->credential_len + 1);
	if (!text)
		return -ENOMEM;
	if (e->credential_len)
		memcpy(text, e->credential, e->credential_len);
	text[e->credential_len] = '\0';
	l->v[l->n] = *e;
	l->v[l->n].credential = text;
	l->n++;
	return 0;
}
