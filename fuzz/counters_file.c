/* counters_file.c - any bytes as the counters of a process that is gone: not such a file, or owners
 * and totals that can be read to the last slot.
 *
 * The first byte: bit 0, put a right check sum over the head, or nothing would come behind it; the
 * rest, how many pages of zeros follow the input.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "user/counters.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HEAD = 48, CHECKED = 40, PAGE = 65536 };

static void sign(uint8_t head[HEAD])
{
	uint64_t sum = 0xcbf29ce484222325u;

	for (size_t i = 0; i < CHECKED; i++)
		sum = (sum ^ head[i]) * 0x100000001b3u;
	memcpy(head + CHECKED, &sum, sizeof(sum));
}

static int make(const uint8_t *data, size_t len)
{
	int fd = memfd_create("counters", 0);
	uint8_t head[HEAD];
	off_t zeros = (data[0] >> 1) * (off_t)PAGE;

	assert(fd >= 0);
	data++;
	len--;
	assert(write(fd, data, len) == (ssize_t)len);
	if (len >= HEAD) {
		memcpy(head, data, HEAD);
		sign(head);
		if (data[-1] & 1)
			assert(pwrite(fd, head, HEAD, 0) == HEAD);
	}
	assert(ftruncate(fd, (off_t)len + zeros) == 0);
	return fd;
}

static void read_all(const struct counters *c)
{
	struct counters_owner owner;
	struct traffic sum;

	for (uint32_t i = 0; i < counters_slots(c); i++) {
		counters_owner(c, i, &owner);
		counters_total(c, i, &sum);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct counters *c;
	char path[32];
	int fd, err;

	if (len == 0)
		return 0;
	fd = make(data, len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = counters_open(path, &c);
	assert(err == 0 || err == -ERR_MALFORMED);
	if (!err) {
		read_all(c);
		counters_free(c);
	}
	close(fd);
	return 0;
}
