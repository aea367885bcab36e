/* Against the openssl program as client and as server, over loopback; skipped where it is not. */
#include "unit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/listener.h"
#include "stream/tcp.h"
#include "tls/client.h"
#include "tls/self_signed.h"
#include "tls/server.h"

static char dir[] = "/tmp/weir-interop-XXXXXX", cert[100], key[100], why[200];
static struct loop *loop;

static int make_cert(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(cert, sizeof(cert), "%s/c.pem", dir);
	snprintf(key, sizeof(key), "%s/k.pem", dir);
	loop = loop_new(LOOP_EPOLL, 0);
	return self_signed_files("a.example", cert, key);
}

static int drop_cert(void **state)
{
	unlink(cert);
	unlink(key);
	rmdir(dir);
	loop_free(loop);
	return 0;
}

/* openssl with these arguments, its standard input and output on pipes. */
struct child {
	pid_t pid;
	int in, out;
};

static bool have_openssl(void)
{
	return system("openssl version >/dev/null 2>&1") == 0; /* NOLINT: fixed text */
}

static struct child start_openssl(const char *const *args)
{
	int in[2], out[2];
	struct child c;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	c.pid = fork();
	if (c.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(open("/dev/null", O_WRONLY), 2);
		execvp("openssl", (char *const *)args);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	c.in = in[1];
	c.out = out[0];
	fcntl(c.out, F_SETFL, O_NONBLOCK);
	return c;
}

static void stop_child(struct child *c)
{
	close(c->in);
	close(c->out);
	kill(c->pid, SIGTERM);
	waitpid(c->pid, NULL, 0);
}

/* Turn until the child has said `text`, ten seconds at most. */
static bool child_says(struct child *c, const char *text)
{
	char got[20000] = "";
	size_t len = 0;

	for (int i = 0; i < 1000; i++) {
		ssize_t n;

		loop_turn(loop, 10 * NSEC_MS);
		n = read(c->out, got + len, sizeof(got) - 1 - len);
		if (n > 0)
			len += (size_t)n;
		got[len] = '\0';
		if (memmem(got, len, text, strlen(text)))
			return true;
		if (n == 0)
			return false;
	}
	return false;
}

static void say(struct child *c, const char *text)
{
	assert_int_equal(write(c->in, text, strlen(text)), strlen(text));
}

/* A letter that s_client itself obeys must be alone in what it reads. */
static void command(struct child *c, const char *text)
{
	say(c, text);
	for (int i = 0; i < 10; i++) {
		loop_turn(loop, 10 * NSEC_MS);
		usleep(10000);
	}
}

/* ---- our server -------------------------------------------------------------------------- */

struct echo {
	struct listener l;
	struct tls_server_conf *conf;
	struct stream *s;
	struct bufq q;
	struct waiter w;
};

static void echo_step(struct waiter *w)
{
	struct echo *e = container_of(w, struct echo, w);
	ssize_t n = stream_open(e->s);

	if (n == 0)
		n = stream_pull(e->s, &e->q, 100000);
	while (!bufq_empty(&e->q) && stream_push(e->s, &e->q) > 0)
		;
	if (n > 0)
		loop_queue(loop, w);
	else if (n == -EAGAIN)
		stream_want(e->s, STREAM_RD, w);
	else if (n == 0)
		(void)stream_shut(e->s);
}

static void accepted(struct listener *l, int fd, const struct addr *peer)
{
	struct echo *e = container_of(l, struct echo, l);

	assert_null(e->s);
	e->s = tls_server_new(tcp_stream_new(loop, fd, peer), e->conf);
	loop_queue(loop, &e->w);
}

static uint16_t echo_start(struct echo *e, struct tls_server_options o)
{
	struct addr at;
	struct sockaddr_in got;
	socklen_t len = sizeof(got);

	o.certs = cert_store_new();
	assert_int_equal(cert_store_add_files(o.certs, cert, key, why, sizeof(why)), 0);
	*e = (struct echo){.conf = tls_server_conf_new(&o, why, sizeof(why))};
	cert_store_put(o.certs);
	bufq_init(&e->q, loop_pool(loop), SIZE_MAX);
	waiter_init(&e->w, echo_step);
	listener_init(&e->l, loop, accepted);
	assert_int_equal(addr_parse_ip(&at, "127.0.0.1", 0), 0);
	assert_int_equal(listener_open(&e->l, &at, &(struct listener_conf){0}), 0);
	assert_int_equal(getsockname(e->l.fd, (struct sockaddr *)&got, &len), 0);
	return ntohs(got.sin_port);
}

static void echo_stop(struct echo *e)
{
	listener_close(&e->l);
	waiter_cancel(&e->w);
	stream_free(e->s);
	bufq_done(&e->q);
	tls_server_conf_put(e->conf);
	loop_turn(loop, 0);
}

static void talk_as_server(struct tls_server_options o, const char *option, const char *value,
			   bool updates)
{
	static const char *const alpn[] = {"h2", "http/1.1", NULL};
	char at[40];
	const char *args[] = {"openssl",
			      "s_client",
			      "-connect",
			      at,
			      "-CAfile",
			      cert,
			      "-servername",
			      "a.example",
			      "-alpn",
			      "h2",
			      "-verify_return_error",
			      option,
			      value,
			      NULL};
	struct echo e;
	struct child c;

	o.alpn = alpn;
	snprintf(at, sizeof(at), "127.0.0.1:%u", echo_start(&e, o));
	c = start_openssl(args);
	assert_true(child_says(&c, "ALPN protocol: h2"));
	say(&c, "hello there\n");
	assert_true(child_says(&c, "hello there"));
	if (updates) {
		command(&c, "k\n"); /* KeyUpdate, then one that asks for ours */
		command(&c, "K\n");
		say(&c, "once more\n");
		assert_true(child_says(&c, "once more"));
	}
	stop_child(&c);
	echo_stop(&e);
}

static void s_client_is_served(void **state)
{
	if (!have_openssl())
		skip();
	talk_as_server((struct tls_server_options){.tickets = 2}, "-tls1_3", NULL, true);
	talk_as_server((struct tls_server_options){0}, "-tls1_2", NULL, false);
	talk_as_server((struct tls_server_options){.tickets = 1}, "-ciphersuites",
		       "TLS_CHACHA20_POLY1305_SHA256", true);
	talk_as_server((struct tls_server_options){0}, "-maxfraglen", "512", true);
	talk_as_server((struct tls_server_options){0}, "-groups", "P-384", true);
}

/* ---- our client -------------------------------------------------------------------------- */

static int free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	close(fd);
	return ntohs(at.sin_port);
}

static struct stream *connect_to(int port, struct tls_client_conf *conf)
{
	struct addr to;
	struct stream *tcp, *s;
	int err;

	assert_int_equal(addr_parse_ip(&to, "127.0.0.1", (uint16_t)port), 0);
	for (int i = 0; i < 2000; i++) { /* until it listens */
		assert_int_equal(tcp_connect(loop, &to, NULL, &tcp), 0);
		s = tls_client_new(tcp, conf);
		while ((err = stream_open(s)) == -EAGAIN)
			loop_turn(loop, 10 * NSEC_MS);
		if (!err)
			return s;
		assert_int_equal(err, -ECONNREFUSED);
		stream_free(s);
		loop_turn(loop, 0);
		usleep(20000);
	}
	return NULL;
}

static void talk_as_client(const char *version)
{
	struct tls_client_options o = {.server_name = "a.example", .ca_file = cert};
	char port[10], text[7];
	const char *args[] = {"openssl", "s_server", "-accept", port,	 "-cert", cert,
			      "-key",	 key,	     "-rev",	version, NULL};
	struct tls_client_conf *conf = tls_client_conf_new(&o, why, sizeof(why));
	struct stream *s;
	struct child c;
	struct bufq q;
	ssize_t n;

	snprintf(port, sizeof(port), "%d", free_port());
	c = start_openssl(args);
	s = connect_to(atoi(port), conf);
	assert_non_null(s);
	bufq_init(&q, loop_pool(loop), SIZE_MAX);
	assert_int_equal(bufq_append(&q, "hello\n", 6), 0);
	assert_int_equal(stream_push(s, &q), 6);
	while (bufq_len(&q) < 6) {
		n = stream_pull(s, &q, 100);
		assert_true(n > 0 || n == -EAGAIN);
		loop_turn(loop, 10 * NSEC_MS);
	}
	bufq_take(&q, text, 6);
	assert_memory_equal(text, "olleh\n", 6);
	stream_free(s);
	tls_client_conf_put(conf);
	loop_turn(loop, 0);
	stop_child(&c);
}

static void s_server_is_understood(void **state)
{
	if (!have_openssl())
		skip();
	talk_as_client("-tls1_3");
	talk_as_client("-tls1_2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(s_client_is_served),
		cmocka_unit_test(s_server_is_understood),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, make_cert, drop_cert);
}
