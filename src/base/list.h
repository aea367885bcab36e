/* list.h - doubly linked list, intrusive, circular.  A node that is in no list points at itself or
 * is zero-filled: list_linked() is false for both, list_del() is harmless on both.
 */
#ifndef WEIR_LIST_H
#define WEIR_LIST_H

#include "base/base.h"

struct list_node {
	struct list_node *next, *prev;
};

static inline void list_init(struct list_node *n)
{
	n->next = n->prev = n;
}

static inline bool list_linked(const struct list_node *n)
{
	return n->next && n->next != n;
}

static inline bool list_empty(const struct list_node *head)
{
	return !list_linked(head);
}

/* Put `n` (in no list) before `at`: at the end when `at` is the head. */
static inline void list_add_tail(struct list_node *at, struct list_node *n)
{
	n->prev = at->prev;
	n->next = at;
	at->prev->next = n;
	at->prev = n;
}

static inline void list_add(struct list_node *at, struct list_node *n)
{
	list_add_tail(at->next, n);
}

static inline void list_del(struct list_node *n)
{
	if (list_linked(n)) {
		n->prev->next = n->next;
		n->next->prev = n->prev;
	}
	list_init(n);
}

static inline struct list_node *list_pop(struct list_node *head)
{
	struct list_node *n = head->next;

	if (list_empty(head))
		return NULL;
	list_del(n);
	return n;
}

/* Everything of `from` goes to the end of `to`; `from` is left empty. */
static inline void list_splice_tail(struct list_node *to, struct list_node *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_entry(node, type, member) container_of(node, type, member)

#define list_for_each(pos, head) for ((pos) = (head)->next; (pos) != (head); (pos) = (pos)->next)

/* The node at `pos` may be deleted in the body. */
#define list_for_each_safe(pos, tmp, head)                               \
	for ((pos) = (head)->next, (tmp) = (pos)->next; (pos) != (head); \
	     (pos) = (tmp), (tmp) = (pos)->next)

#endif
