#include "sync/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/hex.h"
#include "crypto/hash.h"
#include "sync/users.h"

#define MAGIC	   "weir-snapshot 1 %" PRId64 "\n"
#define HEAD_MAX   64
#define CONFIG_MAX (4 << 20)
#define USERS_MAX  ((off_t)512 << 20)

int snapshot_name(const char *host, const char *node_id, const char *type,
		  char out[SNAPSHOT_NAME_LEN + 1])
{
	struct iovec iov[] = {{(void *)host, strlen(host) + 1},
			      {(void *)node_id, strlen(node_id) + 1},
			      {(void *)type, strlen(type) + 1}};
	uint8_t digest[HASH_MAX];
	int err = hash_iov(HASH_SHA256, iov, (int)ARRAY_LEN(iov), digest);

	if (err)
		return err;
	hex_format(digest, SNAPSHOT_NAME_LEN / 2, out);
	return 0;
}

/* --- writing --------------------------------------------------------------------------------- */

struct file {
	FILE *f;
	char *path, *tmp;
};

static void file_done(struct file *f)
{
	free(f->path);
	free(f->tmp);
}

static int file_create(struct file *f, const char *dir, const char *name, const char *suffix)
{
	int fd;

	*f = (struct file){0};
	if (asprintf(&f->path, "%s/%s.%s", dir, name, suffix) < 0)
		f->path = NULL;
	if (asprintf(&f->tmp, "%s/.%s.%s.new", dir, name, suffix) < 0)
		f->tmp = NULL;
	if (!f->path || !f->tmp) {
		file_done(f);
		return -ENOMEM;
	}
	unlink(f->tmp);
	fd = open(f->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	f->f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f->f) {
		int err = -errno;

		if (fd >= 0)
			close(fd);
		file_done(f);
		return err;
	}
	return 0;
}

static int file_commit(struct file *f)
{
	bool failed = ferror(f->f);
	int err = 0;

	errno = 0;
	if (fclose(f->f) || failed)
		err = errno ? -errno : -EIO;
	if (!err && rename(f->tmp, f->path))
		err = -errno;
	if (err)
		unlink(f->tmp);
	file_done(f);
	return err;
}

int snapshot_save_config(const char *dir, const char *name, int64_t wall, const char *body,
			 size_t len)
{
	struct file f;
	int err = file_create(&f, dir, name, "config");

	if (err)
		return err;
	fprintf(f.f, MAGIC, wall);
	fwrite(body, 1, len, f.f);
	return file_commit(&f);
}

static void write_text(FILE *f, const char *s, size_t len)
{
	putc_unlocked('"', f);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\')
			putc_unlocked('\\', f);
		if (c < 0x20)
			fprintf(f, "\\u%04x", c);
		else
			putc_unlocked(c, f);
	}
	putc_unlocked('"', f);
}

/* The panel's own form, so that one reader reads both. */
static void write_user(FILE *f, const struct user_entry *e, bool first)
{
	fprintf(f, "%s{\"id\":%" PRId64 ",\"uuid\":", first ? "" : ",\n", e->id);
	write_text(f, e->credential, e->credential_len);
	if (e->speed_bps)
		fprintf(f, ",\"speed_limit\":%" PRIu64 ".%06" PRIu64, e->speed_bps / 1000000,
			e->speed_bps % 1000000);
	if (e->device_limit)
		fprintf(f, ",\"device_limit\":%" PRIu32, e->device_limit);
	if (e->conn_limit)
		fprintf(f, ",\"conn_limit\":%" PRIu32, e->conn_limit);
	if (e->quota)
		fprintf(f, ",\"u\":%" PRIu64 ",\"transfer_enable\":%" PRIu64, e->used, e->quota);
	putc_unlocked('}', f);
}

int snapshot_save_users(const char *dir, const char *name, int64_t wall,
			const struct user_list *users)
{
	bool first = true;
	struct file f;
	int err = file_create(&f, dir, name, "users");

	if (err)
		return err;
	fprintf(f.f, MAGIC "{\"users\":[", wall);
	for (size_t i = 0; i < users->n; i++) {
		if (users->v[i].id <= 0 || !users->v[i].credential_len)
			continue;
		write_user(f.f, &users->v[i], first);
		first = false;
	}
	fputs("]}\n", f.f);
	return file_commit(&f);
}

/* --- reading --------------------------------------------------------------------------------- */

/* Opens one that is young enough and stands behind its first line. */
static int open_young(const char *dir, const char *name, const char *suffix, int64_t wall,
		      int64_t max_age, FILE **out)
{
	char head[HEAD_MAX];
	int64_t saved;
	char *path;
	FILE *f;

	if (asprintf(&path, "%s/%s.%s", dir, name, suffix) < 0)
		return -ENOMEM;
	f = fopen(path, "re");
	free(path);
	if (!f)
		return -ENOENT;
	if (!fgets(head, sizeof(head), f) || sscanf(head, MAGIC, &saved) != 1 ||
	    saved < wall - max_age) {
		fclose(f);
		return -ENOENT;
	}
	*out = f;
	return 0;
}

static off_t size_left(FILE *f)
{
	struct stat st;
	long at = ftell(f);

	return at < 0 || fstat(fileno(f), &st) ? -1 : st.st_size - at;
}

int snapshot_load_config(const char *dir, const char *name, int64_t wall, int64_t max_age,
			 char **body, size_t *len)
{
	off_t size;
	char *p;
	FILE *f;
	int err = open_young(dir, name, "config", wall, max_age, &f);

	if (err)
		return err;
	size = size_left(f);
	p = size < 0 || size > CONFIG_MAX ? NULL : malloc((size_t)size + 1);
	if (p && fread(p, 1, (size_t)size, f) == (size_t)size) {
		p[size] = '\0';
		*body = p;
		*len = (size_t)size;
	} else {
		free(p);
		err = -ENOENT;
	}
	fclose(f);
	return err;
}

int snapshot_load_users(const char *dir, const char *name, int64_t wall, int64_t max_age,
			struct user_list *out)
{
	struct users_reader r;
	struct notes notes = {0};
	char bytes[16384];
	size_t n;
	FILE *f;
	int err = open_young(dir, name, "users", wall, max_age, &f);

	if (err)
		return err;
	err = users_reader_init(&r, &dialect_v2sp);
	if (!err && size_left(f) > USERS_MAX)
		err = -ENOENT;
	while (!err && (n = fread(bytes, 1, sizeof(bytes), f)) > 0)
		err = users_reader_feed(&r, bytes, n);
	if (!err && (ferror(f) || users_reader_end(&r, out, &notes) != ANSWER_OK))
		err = -ENOENT;
	users_reader_done(&r);
	fclose(f);
	return err ? -ENOENT : 0;
}
