/* Shadowsocks packets, as the server and as the client gets them.
 *
 * The first byte chooses the method (bits 0-2), whether what follows is sealed under the right key, so
 * that the parsers behind the seal are reached (bit 3), the role (bit 4), and that clock and session are
 * as the input has them (bit 5).  Held are: nothing is
 * answered; what comes out has an address; raw bytes come out of nothing; every chunk is back.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wr.h"
#include "crypto/aes_block.h"
#include "net/sock.h"
#include "proto/shadowsocks/shadowsocks.h"
#include "proto/shadowsocks/ss_packet.h"
#include "proto/shadowsocks/ss_udp.h"
#include "stream/pair.h"
#include "user/table.h"

#define NEED(what)               \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

#define METHODS 8

static const char *const names[METHODS] = {
	"aes-128-gcm",
	"aes-192-gcm",
	"aes-256-gcm",
	"chacha20-ietf-poly1305",
	"xchacha20-ietf-poly1305",
	"2022-blake3-aes-128-gcm",
	"2022-blake3-aes-256-gcm",
	"2022-blake3-chacha20-poly1305",
};

/* A port, its one user, and the socket of somebody else. */
struct house {
	const struct ss_method *method;
	struct user *user;
	struct user_table *table;
	const struct user_table *users;
	struct ss_finder *finder;
	struct ss_udp *udp;
	struct addr at;
	int fd;
};

static struct loop *l;
static struct house houses[METHODS];
static struct dgram *opened_now;
static const uint8_t psk[SS_KEY_MAX] = "24920decf83f6960b80f737a28eeafc1";
static const uint8_t session[SS_SESSION_LEN] = {1, 2, 3, 4, 5, 6, 7, 8};

static void opened(void *arg, struct dgram *client, const struct stream_request *request,
		   const struct addr *peer)
{
	NEED(!opened_now && request->user && request->dest.type != DEST_NONE);
	opened_now = client;
}

static int bound(struct addr *at)
{
	int fd;

	NEED(addr_parse(at, "127.0.0.1:0") == 0);
	NEED(sock_udp_open(at, false, &fd) == 0);
	NEED(sock_local(fd, at) == 0);
	return fd;
}

static void house_open(struct house *h, const char *name)
{
	static const struct hash_key hash = {1, 2};
	const struct ss_method *m = ss_method_find(name);
	struct ss_finder_conf fc = {.method = m, .psk = m->identity ? psk : NULL};
	struct ss_udp_service s = {.method = m, .psk = fc.psk, .users = &h->users};
	static const char uuid[] = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";

	h->method = m;
	h->user = calloc(1, sizeof(*h->user) + 2 * SS_KEY_MAX + 1);
	NEED(h->user);
	h->user->key_len = h->user->secret_len = SS_KEY_MAX;
	NEED(ss_user_derive(m, SS_CREDENTIAL_TEXT, uuid, 36, h->user->bytes,
			    h->user->bytes + SS_KEY_MAX) == 0);
	h->users = h->table = user_table_new(1, SS_KEY_MAX, &hash);
	NEED(h->table && user_table_add(h->table, h->user));
	NEED(ss_finder_new(&fc, &h->finder) == 0);
	s.finder = h->finder;
	NEED(ss_udp_new(l, bound(&h->at), AF_INET, &s, opened, NULL, &h->udp) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	l = loop_new(LOOP_EPOLL, 0);
	NEED(l);
	for (int i = 0; i < METHODS; i++)
		house_open(&houses[i], names[i]);
	return 0;
}

/* ---- sealing any text -------------------------------------------------------------------- */

static const uint8_t *key_of(const struct house *h)
{
	return h->method->class == SS_2022 ? user_secret(h->user) : user_key(h->user);
}

static size_t seal(const struct house *h, bool answer, const uint8_t *text, size_t len,
		   uint8_t *out)
{
	static uint64_t count;
	const struct ss_method *m = h->method;
	enum aead_alg alg = (enum aead_alg)m->alg;
	uint8_t header[SS_SEPARATE_LEN], name[SS_IDENTITY_LEN], sub[SS_KEY_MAX], nonce[24] = {0};
	struct wr w = wr_of(header, sizeof(header));
	struct aead_key k;
	size_t front;

	wr_bytes(&w, session, sizeof(session));
	wr_be64(&w, count++);
	memset(out, 7, SS_SALT_MAX);
	if (m->class == SS_AEAD) {
		front = m->salt_len;
		NEED(ss_subkey(m, key_of(h), out, front, sub) == 0);
	} else if (!m->identity) {
		alg = AEAD_XCHACHA20_POLY1305;
		front = SS_XNONCE_LEN;
		memcpy(nonce, out, sizeof(nonce));
		memcpy(sub, key_of(h), sizeof(sub));
	} else {
		front = answer ? SS_SEPARATE_LEN : SS_SEPARATE_LEN + SS_IDENTITY_LEN;
		memcpy(nonce, header + 4, 12);
		NEED(ss_subkey(m, key_of(h), session, sizeof(session), sub) == 0);
		NEED(aes_block_encrypt(answer ? key_of(h) : psk, m->key_len, header, out) == 0);
		for (int i = 0; i < SS_IDENTITY_LEN; i++)
			name[i] = user_key(h->user)[i] ^ header[i];
		NEED(answer || aes_block_encrypt(psk, m->key_len, name, out + 16) == 0);
	}
	aead_key_set(&k, alg, sub);
	NEED(aead_seal(&k, nonce, NULL, 0, text, len, out + front) == 0);
	aead_key_clear(&k);
	return front + len + AEAD_TAG;
}

/* The clock, and the session that an answer is for, are not left to chance: what is behind them is under
 * test.  Bit 5 leaves them as they are.
 */
static void set_right(const struct house *h, uint8_t *text, size_t len, const uint8_t *client)
{
	uint64_t now = htobe64((uint64_t)loop_wall(l));

	if (h->method->class != SS_2022)
		return;
	if (len >= 9)
		memcpy(text + 1, &now, sizeof(now));
	if (client && len >= 17)
		memcpy(text + 9, client, SS_SESSION_LEN);
}

/* What the server would get, or from it the client. */
static size_t make(const struct house *h, const uint8_t *data, size_t len, const uint8_t *client,
		   uint8_t *out)
{
	static uint8_t text[4096];

	memcpy(text, data + 1, len - 1);
	if (!(data[0] & 32))
		set_right(h, text, len - 1, client);
	if (data[0] & 8)
		return seal(h, client != NULL, text, len - 1, out);
	memcpy(out, data + 1, len - 1);
	return len - 1;
}

/* ---- the roles --------------------------------------------------------------------------- */

static void drain(struct dgram *d, bool nothing)
{
	struct packet p[4];
	int n;

	while ((n = dgram_recv(d, p, 4)) > 0) {
		for (int i = 0; i < n; i++) {
			NEED(!nothing && p[i].dest.type != DEST_NONE);
			NEED(buf_len(p[i].buf) <= BUF_PAYLOAD);
			buf_free(p[i].buf);
		}
	}
}

static void as_server(struct house *h, const uint8_t *data, size_t size)
{
	static uint8_t bytes[4096];
	size_t len = make(h, data, size, NULL, bytes);
	bool raw = !(data[0] & 8);
	struct addr at;
	int fd = bound(&at);
	uint8_t any[64];

	opened_now = NULL;
	(void)!sendto(fd, bytes, len, 0, &h->at.sa, h->at.len);
	for (int i = 0; i < 3; i++)
		loop_turn(l, 0);
	NEED(!raw || !opened_now);
	if (opened_now) {
		drain(opened_now, false);
		dgram_free(opened_now);
	}
	NEED(recv(fd, any, sizeof(any), MSG_DONTWAIT) < 0);
	close(fd);
}

/* What the client calls its session: off a packet of its own. */
static void session_of(const struct house *h, struct dgram *d, struct dgram *far,
		       uint8_t out[SS_SESSION_LEN])
{
	struct packet p = {.buf = buf_new(loop_pool(l))};
	struct ss_separate sep = {0};
	struct ss_body body;

	NEED(p.buf && dest_parse(&p.dest, "192.0.2.1:1") == 0 && dgram_send(d, &p, 1) == 1);
	NEED(dgram_recv(far, &p, 1) == 1);
	if (h->method->identity)
		NEED(ss_separate_open(h->method, psk, buf_head(p.buf), &sep) == 0);
	else if (h->method->class == SS_2022)
		NEED(ss_body_open_x(key_of(h), false, p.buf, &sep, &body) == 0);
	memcpy(out, sep.session, SS_SESSION_LEN);
	buf_free(p.buf);
}

static void as_client(struct house *h, const uint8_t *data, size_t size)
{
	bool raw = !(data[0] & 8);
	uint8_t mine[SS_SESSION_LEN];
	struct ss_client_conf conf = {.method = h->method, .nipsk = h->method->identity};
	struct packet p = {.buf = buf_new(loop_pool(l))};
	struct dgram *near, *far, *d;

	NEED(p.buf && pair_dgram_new(l, 4, &near, &far) == 0);
	memcpy(conf.key, key_of(h), SS_KEY_MAX);
	memcpy(conf.ipsk[0], psk, SS_KEY_MAX);
	dest_set_addr(&p.dest, &h->at);
	d = ss_client_udp(near, &p.dest, &conf);
	NEED(d);
	session_of(h, d, far, mine);
	p.buf->end += (uint32_t)make(h, data, size, mine, p.buf->data + p.buf->end);
	NEED(dgram_send(far, &p, 1) == 1);
	drain(d, raw);
	dgram_free(d);
	dgram_free(far);
	loop_turn(l, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct house *h;

	if (len < 1 || len > 3000)
		return 0;
	h = &houses[data[0] % METHODS];
	if (data[0] & 16)
		as_client(h, data, len);
	else
		as_server(h, data, len);
	NEED(loop_pool(l)->nused == 0);
	return 0;
}
