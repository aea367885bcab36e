#include "cmd/manager_send.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "manager/command.h"
#include "net/sock.h"

#define ANSWER_MS 15000 /* a port of `ss-server` closes when that has told its last count */
#define MORE_MS	  100	/* until the next part of an answer that comes in several */

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "weir ss-manager: %s: %s\n", what, why);
	return CMD_FAILED;
}

/* A unix client without a name is heard and gets no answer: the kernel finds us one, in no folder. */
static int open_socket(const struct endpoint_conf *to, int *out, char why[ENDPOINT_WHY_MAX])
{
	struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
	struct peer at;
	int fd, err = endpoint_resolve(to, &at, why);

	if (!err)
		err = sock_new(at.sa.sa_family, SOCK_DGRAM, &fd);
	if (err)
		return err;
	if (at.sa.sa_family == AF_UNIX &&
	    bind(fd, (const struct sockaddr *)&unnamed, sizeof(unnamed.sun_family)) < 0)
		err = -errno;
	if (!err && connect(fd, &at.sa, at.len) < 0)
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

/* 0 with it in `text`, or -errno; -ETIMEDOUT: nothing. */
static int print_answer(int fd, char *text, int wait_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n = poll(&p, 1, wait_ms);

	if (n == 0)
		return -ETIMEDOUT;
	n = recv(fd, text, DATAGRAM_MAX, 0);
	if (n < 0)
		return -errno;
	while (n && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	printf("%s\n", text);
	return fflush(stdout) ? -errno : 0;
}

/* Quietly: whoever speaks is told what is moved from then on, and he who bills must not miss it for us. */
static int send_quietly(int fd, const char *command, char *text)
{
	int word, len;

	command += strspn(command, " \t\r\n");
	word = (int)strcspn(command, ": \t\r\n");
	len = snprintf(text, DATAGRAM_MAX, "%.*s quiet%s", word, command, command + word);
	if (len >= DATAGRAM_MAX)
		return -EMSGSIZE;
	return send(fd, text, (size_t)len, 0) == len ? 0 : -errno;
}

static bool is_change(const char *command)
{
	struct command c;

	command_parse(command, strlen(command), &c);
	return c.word == COMMAND_ADD || c.word == COMMAND_REMOVE;
}

/* 0; -ECANCELED: it was answered, and not done. */
static int say(int fd, const char *command, char *text)
{
	int err = send_quietly(fd, command, text);
	bool done;

	if (!err)
		err = print_answer(fd, text, ANSWER_MS);
	if (err)
		return err;
	done = !is_change(command) || !strcmp(text, "ok");
	while (print_answer(fd, text, MORE_MS) == 0)
		;
	return done ? 0 : -ECANCELED;
}

/* What nobody would answer is not sent: the sender would wait in vain. */
static bool all_known(const struct opt_many *commands)
{
	struct command c;

	for (size_t i = 0; i < commands->n; i++) {
		command_parse(commands->v[i], strlen(commands->v[i]), &c);
		if (c.word != COMMAND_UNKNOWN && c.word != COMMAND_STAT)
			continue;
		fprintf(stderr,
			"weir ss-manager: --send '%s': expected ping, list, add: {...} or remove: "
			"{...}\n",
			commands->v[i]);
		return false;
	}
	return true;
}

/* What is refused keeps none of the others from being said. */
static int say_all(int fd, const struct opt_many *commands, char *text)
{
	int err = 0, result = 0;

	for (size_t i = 0; i < commands->n && (!err || err == -ECANCELED); i++) {
		err = say(fd, commands->v[i], text);
		if (err)
			result = err;
	}
	return result;
}

int manager_send(const struct endpoint_conf *to, const struct opt_many *commands)
{
	char why[ENDPOINT_WHY_MAX] = "", *text;
	int fd = -1, err;

	if (!all_known(commands))
		return CMD_USAGE;
	text = malloc(DATAGRAM_MAX + 1);
	err = text ? open_socket(to, &fd, why) : -ENOMEM;
	if (!err)
		err = say_all(fd, commands, text);
	if (fd >= 0)
		close(fd);
	free(text);
	if (!err)
		return CMD_OK;
	if (err == -ECANCELED) /* the answer has said it */
		return CMD_FAILED;
	return fail(to->address, *why					  ? why
				 : err == -ETIMEDOUT			  ? "no answer"
				 : err == -ENOENT || err == -ECONNREFUSED ? "no manager runs there"
									  : err_text(err));
}
