#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNKNOWN_SIZE 4096

void file_done(struct file *f)
{
	if (f->text)
		explicit_bzero(f->text, f->len);
	free(f->text);
	*f = (struct file){0};
}

/* Not by realloc(), which would leave a copy of what may be secret behind. */
static int grow(struct file *f, size_t cap)
{
	char *text = malloc(cap + 1);

	if (!text)
		return -ENOMEM;
	if (f->len)
		memcpy(text, f->text, f->len);
	if (f->text)
		explicit_bzero(f->text, f->len);
	free(f->text);
	f->text = text;
	return 0;
}

/* With room for a byte more than there should be, which tells the end from too much.  Size 0 tells
 * nothing: files of the kernel have it, too.
 */
static int read_all(int fd, size_t max, struct file *f)
{
	size_t cap = f->st.st_size > 0 ? (size_t)f->st.st_size : UNKNOWN_SIZE;
	ssize_t n = 1;
	int err;

	cap = MIN(cap, max) + 1;
	err = grow(f, cap);
	while (!err && n) {
		if (f->len == cap) {
			if (cap > max)
				return -EFBIG;
			cap = MIN(cap * 2, max + 1);
			err = grow(f, cap);
			continue;
		}
		n = read(fd, f->text + f->len, cap - f->len);
		if (n > 0)
			f->len += (size_t)n;
		else if (n < 0 && errno != EINTR)
			err = -errno;
	}
	return err;
}

int file_read_fd(int fd, size_t max, struct file *out)
{
	struct file f = {0};
	int err = 0;

	if (fstat(fd, &f.st) < 0)
		err = -errno;
	else if (S_ISDIR(f.st.st_mode))
		err = -EISDIR;
	else if (S_ISREG(f.st.st_mode) && f.st.st_size > (off_t)max)
		err = -EFBIG;
	if (!err)
		err = read_all(fd, max, &f);
	if (err) {
		file_done(&f);
		return err;
	}
	f.text[f.len] = '\0';
	*out = f;
	return 0;
}

int file_read(const char *path, size_t max, unsigned flags, struct file *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | (flags & FILE_NO_LINK ? O_NOFOLLOW : 0));
	int err;

	if (fd < 0)
		return -errno;
	err = file_read_fd(fd, max, out);
	close(fd);
	return err;
}

bool file_exposed(const struct file *f, char out[FILE_WARNING_MAX])
{
	if (!(f->st.st_mode & (S_IROTH | S_IWOTH)))
		return false;
	snprintf(out, FILE_WARNING_MAX,
		 "holds secrets and is open to others (mode %04o); chmod 600",
		 (unsigned)f->st.st_mode & 07777);
	return true;
}
