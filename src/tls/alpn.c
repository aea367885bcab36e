#include "tls/alpn.h"

#include <stdlib.h>
#include <string.h>

bool alpn_list_set(struct alpn_list *l, const char *const *names)
{
	size_t total = 0;
	uint8_t *p;

	*l = (struct alpn_list){0};
	for (size_t i = 0; names && names[i]; i++) {
		size_t n = strlen(names[i]);

		if (n == 0 || n > 255)
			return false;
		total += 1 + n;
	}
	if (total == 0)
		return true;
	l->wire = p = malloc(total);
	if (!p)
		return false;
	for (size_t i = 0; names[i]; i++) {
		size_t n = strlen(names[i]);

		*p++ = (uint8_t)n;
		memcpy(p, names[i], n);
		p += n;
	}
	l->len = (unsigned)total;
	return true;
}

void alpn_list_done(struct alpn_list *l)
{
	free(l->wire);
	*l = (struct alpn_list){0};
}

/* The entry of `list` that is `name`, or NULL. */
static const uint8_t *find(const uint8_t *list, unsigned len, const void *name, size_t n)
{
	for (unsigned i = 0; i + 1 + list[i] <= len; i += 1u + list[i]) {
		if (list[i] == n && !memcmp(list + i + 1, name, n))
			return list + i;
		if (i + 1 + list[i] == len)
			break;
	}
	return NULL;
}

enum alpn_choice alpn_choose(const struct alpn_list *ours, const uint8_t *offer, unsigned len,
			     const uint8_t **out, uint8_t *outlen)
{
	if (len == 0)
		return ALPN_SILENT;
	for (unsigned i = 0; i < ours->len; i += 1u + ours->wire[i]) {
		const uint8_t *found = find(offer, len, ours->wire + i + 1, ours->wire[i]);

		if (found) {
			*out = found + 1;
			*outlen = *found;
			return ALPN_CHOSEN;
		}
	}
	if (ours->len > 0 && find(ours->wire, ours->len, "h2", 2) &&
	    find(offer, len, "http/1.1", 8))
		return ALPN_SILENT;
	return ALPN_NONE;
}
