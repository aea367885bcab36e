/* snapshot.c - any bytes as a file of the last good state: no snapshot, or one that is the same
 * once it has been saved and loaded again.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sync/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { NOW = 1763730000, AGE = 7 * 86400 };

/* In memory where that can be: three renames for each input are slow on a disk. */
static char in_memory[] = "/dev/shm/weir-fuzz-XXXXXX", on_disk[] = "/tmp/weir-fuzz-XXXXXX";
static const char *dir;

static void path_of(const char *kind, char path[64])
{
	snprintf(path, 64, "%s/n.%s", dir, kind);
}

static void sweep(void)
{
	char path[64];

	path_of("config", path);
	unlink(path);
	path_of("users", path);
	unlink(path);
	rmdir(dir);
}

static void store(const char *kind, const uint8_t *data, size_t len)
{
	char path[64];
	FILE *f;

	path_of(kind, path);
	f = fopen(path, "w");
	assert(f && fwrite(data, 1, len, f) == len);
	fclose(f);
}

static void try_config(void)
{
	size_t len, len_again;
	char *body, *again;

	if (snapshot_load_config(dir, "n", NOW, AGE, &body, &len))
		return;
	assert(body[len] == '\0');
	assert(snapshot_save_config(dir, "n", NOW, body, len) == 0);
	assert(snapshot_load_config(dir, "n", NOW, AGE, &again, &len_again) == 0);
	assert(len == len_again && !memcmp(body, again, len));
	free(body);
	free(again);
}

static void check_same(const struct user_list *a, const struct user_list *b)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n; i++) {
		const struct user_entry *x = &a->v[i], *y = &b->v[n];

		if (x->id <= 0 || !x->credential_len)
			continue;
		assert(n++ < b->n && x->id == y->id && x->credential_len == y->credential_len);
		assert(!memcmp(x->credential, y->credential, x->credential_len));
		assert(x->speed_bps == y->speed_bps && x->device_limit == y->device_limit);
		assert(x->conn_limit == y->conn_limit && x->quota == y->quota);
		assert(!x->quota || x->used == y->used);
	}
	assert(n == b->n);
}

static void try_users(void)
{
	struct user_list list, again;

	user_list_init(&list);
	user_list_init(&again);
	if (!snapshot_load_users(dir, "n", NOW, AGE, &list)) {
		assert(snapshot_save_users(dir, "n", NOW, &list) == 0);
		assert(snapshot_load_users(dir, "n", NOW, AGE, &again) == 0);
		check_same(&list, &again);
	}
	user_list_done(&list);
	user_list_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static bool ready;

	if (!ready) {
		dir = mkdtemp(in_memory);
		dir = dir ? dir : mkdtemp(on_disk);
		ready = dir && atexit(sweep) == 0;
		assert(ready);
	}
	store("config", data, len);
	try_config();
	store("users", data, len);
	try_users();
	return 0;
}
