#include "event/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

void child_init(struct child *c, struct loop *l, void (*exited)(struct child *c, int status))
{
	*c = (struct child){.loop = l, .exited = exited, .watch.fd = -1};
	timer_init(&c->kill, NULL);
}

static void signal_group(struct child *c, int signo)
{
	if (c->pid > 0)
		kill(-c->pid, signo);
}

/* What is left of the group goes too: a helper would keep ports and pipes open. */
static int reap(struct child *c)
{
	int status = 0;

	signal_group(c, SIGKILL);
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	timer_stop(&c->kill);
	if (watch_set(c->loop, &c->watch, 0) == 0)
		close(c->watch.fd);
	c->watch.fd = -1;
	c->pid = 0;
	return status;
}

static void on_exit_seen(struct watch *w, unsigned ev)
{
	struct child *c = container_of(w, struct child, watch);
	int status = reap(c);

	c->exited(c, status);
}

static void on_grace_over(struct timer *t)
{
	signal_group(container_of(t, struct child, kill), SIGKILL);
}

/* ---- between fork and exec: only what is safe in a process of one thread out of many ----- */

static int place_fd(int fd, int at)
{
	if (fd < 0)
		fd = open("/dev/null", at == STDIN_FILENO ? O_RDONLY : O_WRONLY);
	if (fd < 0)
		return -errno;
	if (fd == at)
		return fcntl(fd, F_SETFD, 0) < 0 ? -errno : 0;
	return dup2(fd, at) < 0 ? -errno : 0;
}

/* A descriptor given for one place may lie in another's: lift those out of the way first. */
static int place_fds(const struct child_spec *spec)
{
	int fd[3] = {spec->fd_in, spec->fd_out, spec->fd_err}, err = 0;

	for (int i = 0; i < 3; i++) {
		if (fd[i] >= 0 && fd[i] < 3 && fd[i] != i)
			fd[i] = fcntl(fd[i], F_DUPFD_CLOEXEC, 3);
	}
	for (int i = 0; i < 3 && !err; i++)
		err = place_fd(fd[i], i);
	return err;
}

static int become(const struct child_spec *spec, char *const *env, pid_t parent)
{
	struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t none;
	int err;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		return -ESRCH; /* the parent went before the line above */
	sigemptyset(&none);
	for (int s = 1; s < NSIG; s++)
		sigaction(s, &plain, NULL);
	err = place_fds(spec);
	if (err)
		return err;
	/* Ours are close-on-exec; a library's may not be. */
	syscall(SYS_close_range, 3u, ~0u, 1u << 2 /* CLOSE_RANGE_CLOEXEC */);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (spec->dir && chdir(spec->dir) < 0)
		return -errno;
	execvpe(spec->file ? spec->file : spec->argv[0], (char *const *)(uintptr_t)spec->argv, env);
	return -errno;
}

/* ---- before fork ------------------------------------------------------------------------- */

static bool same_name(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return strncmp(a, b, n) == 0 && b[n] == '=';
}

static bool overridden(const char *entry, const char *const *env)
{
	for (; env && *env; env++) {
		if (same_name(*env, entry))
			return true;
	}
	return false;
}

/* Our environment under the child's own entries. The array is the caller's, its strings are not. */
static char **merge_env(const char *const *env, char *const *ours)
{
	size_t n = 0, extra = 0;
	char **out;

	while (ours && ours[n])
		n++;
	while (env && env[extra])
		extra++;
	out = calloc(n + extra + 1, sizeof(*out));
	if (!out)
		return NULL;
	n = 0;
	for (char *const *e = ours; e && *e; e++) {
		if (!overridden(*e, env))
			out[n++] = *e;
	}
	for (size_t i = 0; i < extra; i++)
		out[n++] = (char *)(uintptr_t)env[i];
	return out;
}

/* Fork; the child reports a failed exec through a pipe that a successful one closes. */
static int spawn(const struct child_spec *spec, char *const *env, pid_t *out)
{
	pid_t parent = getpid(), pid;
	int fd[2], err = 0;
	ssize_t n;

	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		/* Out of the way of descriptors 0 to 2. */
		int tell = fcntl(fd[1], F_DUPFD_CLOEXEC, 3);

		err = become(spec, env, parent);
		n = write(tell, &err, sizeof(err));
		_exit(n < 0 ? 126 : 127);
	}
	if (pid < 0)
		err = -errno;
	close(fd[1]);
	if (pid > 0) {
		while ((n = read(fd[0], &err, sizeof(err))) < 0 && errno == EINTR)
			;
		if (n > 0)
			waitpid(pid, NULL, 0);
	}
	close(fd[0]);
	if (!err)
		*out = pid;
	return err;
}

int child_start(struct child *c, const struct child_spec *spec)
{
	char **env = merge_env(spec->env, spec->env_only ? NULL : environ);
	int err, fd;
	pid_t pid = -1;

	if (!env)
		return -ENOMEM;
	err = spawn(spec, env, &pid);
	free(env);
	if (err)
		return err;
	c->pid = pid;
	c->watch = (struct watch){.fd = -1, .fire = on_exit_seen};
	c->kill.fire = on_grace_over;
	fd = (int)syscall(SYS_pidfd_open, pid, 0u); /* close-on-exec by itself */
	err = fd < 0 ? -errno : 0;
	if (!err) {
		c->watch.fd = fd;
		err = watch_set(c->loop, &c->watch, IO_RD);
	}
	if (err)
		reap(c);
	return err;
}

void child_stop(struct child *c, nsec_t grace)
{
	if (c->pid == 0)
		return;
	signal_group(c, grace > 0 ? SIGTERM : SIGKILL);
	if (grace > 0)
		timer_set(c->loop, &c->kill, loop_now(c->loop) + grace);
}

void child_done(struct child *c)
{
	if (c->pid > 0)
		reap(c);
}
