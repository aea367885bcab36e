/* cipher_relay.c - a relay with nothing in it but reads, writes and, if asked, one AEAD pass: what
 * no TLS relay that copies can undercut.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "crypto/aead.h"
#include "tls_bench.h"

#define READ  (256 * 1024)
#define PLAIN 16384
#define SLOT  (PLAIN + 22) /* header, type, tag */
#define SLOTS (READ / PLAIN)

struct side {
	int fd;
	struct side *other;
	uint8_t *rest; /* read from the other, not yet written here */
	size_t len, at;
	bool readable, writable;
};

struct cipher {
	struct aead_key key;
	uint64_t seq;
	bool on;
};

static uint8_t storage[SLOTS * SLOT];
static struct cipher cipher;

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Records in place: slot by slot, the last one shorter. */
static size_t seal(size_t len)
{
	size_t out = 0;

	for (size_t done = 0; done < len; done += PLAIN) {
		size_t n = MIN(len - done, (size_t)PLAIN);
		uint8_t *rec = storage + out, nonce[12] = {0};

		memcpy(nonce + 4, &cipher.seq, 8);
		cipher.seq++;
		memcpy(rec, "\x17\3\3\0\0", 5);
		rec[5 + n] = 23;
		must(!aead_seal(&cipher.key, nonce, rec, 5, rec + 5, n + 1, rec + 5));
		out += n + 22;
	}
	return out;
}

static void flush(struct side *s)
{
	while (s->at < s->len) {
		ssize_t n = send(s->fd, s->rest + s->at, s->len - s->at, MSG_NOSIGNAL);

		if (n < 0) {
			s->writable = false;
			return;
		}
		s->at += (size_t)n;
	}
	free(s->rest);
	s->rest = NULL;
}

static void hand_on(struct side *to, size_t len)
{
	ssize_t n = send(to->fd, storage, len, MSG_NOSIGNAL);

	if (n == (ssize_t)len)
		return;
	must(n >= 0 || errno == EAGAIN);
	n = MAX(n, (ssize_t)0);
	to->writable = false;
	to->len = len - (size_t)n;
	to->at = 0;
	to->rest = malloc(to->len);
	must(to->rest);
	memcpy(to->rest, storage + n, to->len);
}

/* One read and what follows from it.  False when there is nothing more to do now. */
static bool step(struct side *from)
{
	struct side *to = from->other;
	struct iovec iov[SLOTS];
	ssize_t n;

	if (to->rest && to->writable)
		flush(to);
	if (to->rest || !from->readable)
		return false;
	if (cipher.on) {
		for (int i = 0; i < SLOTS; i++)
			iov[i] = (struct iovec){storage + i * SLOT + 5, PLAIN};
		n = readv(from->fd, iov, SLOTS);
	} else {
		n = recv(from->fd, storage, READ, 0);
	}
	if (n <= 0) {
		from->readable = false;
		if (n == 0)
			shutdown(to->fd, SHUT_WR);
		return false;
	}
	from->readable = n == READ;
	hand_on(to, cipher.on ? seal((size_t)n) : (size_t)n);
	return from->readable && !to->rest;
}

static void add(int ep, struct side *s)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s};

	s->writable = true;
	must(!epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &ev));
}

static void accept_one(const struct bench *b, int ep, int listener)
{
	struct side *pair = calloc(2, sizeof(*pair));

	must(pair);
	pair[0].fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	pair[1].fd = bench_connect(b->target_port);
	must(pair[0].fd >= 0 && pair[1].fd >= 0);
	pair[0].other = &pair[1];
	pair[1].other = &pair[0];
	add(ep, &pair[0]);
	add(ep, &pair[1]);
}

void cipher_relay(const struct bench *b, int listener)
{
	static const uint8_t raw[32] = "a key for measuring, no secret";
	struct epoll_event evs[64], ev = {.events = EPOLLIN};
	struct side *busy[128];
	int ep = epoll_create1(0), nbusy = 0;

	cipher.on = !strcmp(b->way, "cipher");
	aead_key_set(&cipher.key, AEAD_AES_128_GCM, raw);
	must(ep >= 0 && !epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev));
	for (;;) {
		int n = epoll_wait(ep, evs, 64, nbusy ? 0 : -1), had = nbusy;

		nbusy = 0;
		for (int i = 0; i < had; i++) {
			if (step(busy[i]))
				busy[nbusy++] = busy[i];
		}
		for (int i = 0; i < n; i++) {
			struct side *s = evs[i].data.ptr;

			if (!s) {
				accept_one(b, ep, listener);
				continue;
			}
			s->readable |= (evs[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) != 0;
			s->writable |= (evs[i].events & EPOLLOUT) != 0;
			/* One read a turn; who could go on is in the list once. */
			for (int d = 0; d < 2; d++) {
				struct side *from = d ? s->other : s;
				bool listed = false;

				for (int k = 0; k < nbusy; k++)
					listed |= busy[k] == from;
				if (!listed && step(from) && nbusy < 128)
					busy[nbusy++] = from;
			}
		}
	}
}
