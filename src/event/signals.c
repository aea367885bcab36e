#include "event/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static sigset_t set_of(const int *list)
{
	sigset_t set;

	sigemptyset(&set);
	for (; *list; list++)
		sigaddset(&set, *list);
	return set;
}

void signals_block(const int *list)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t set = set_of(list);

	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

static void on_readable(struct watch *w, unsigned ev)
{
	struct signals *s = container_of(w, struct signals, watch);
	struct signalfd_siginfo info;

	/* The callback may close us. */
	while (s->watch.fd >= 0 && read(s->watch.fd, &info, sizeof(info)) == sizeof(info))
		s->caught(s, (int)info.ssi_signo);
}

int signals_open(struct signals *s, struct loop *l, const int *list,
		 void (*caught)(struct signals *s, int signo))
{
	sigset_t set = set_of(list);
	int fd, err;

	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	*s = (struct signals){
		.loop = l, .watch = {.fd = fd, .fire = on_readable}, .caught = caught};
	err = watch_set(l, &s->watch, IO_RD);
	if (err)
		close(fd);
	return err;
}

void signals_close(struct signals *s)
{
	if (s->watch.fd < 0)
		return;
	if (watch_set(s->loop, &s->watch, 0) == 0) /* removing does not fail */
		close(s->watch.fd);
	s->watch.fd = -1;
}

const char *signal_name(int signo)
{
	static const char *const names[] = {
		[SIGHUP] = "SIGHUP",   [SIGINT] = "SIGINT",   [SIGQUIT] = "SIGQUIT",
		[SIGILL] = "SIGILL",   [SIGTRAP] = "SIGTRAP", [SIGABRT] = "SIGABRT",
		[SIGBUS] = "SIGBUS",   [SIGFPE] = "SIGFPE",   [SIGKILL] = "SIGKILL",
		[SIGUSR1] = "SIGUSR1", [SIGSEGV] = "SIGSEGV", [SIGUSR2] = "SIGUSR2",
		[SIGPIPE] = "SIGPIPE", [SIGALRM] = "SIGALRM", [SIGTERM] = "SIGTERM",
		[SIGXCPU] = "SIGXCPU", [SIGXFSZ] = "SIGXFSZ", [SIGSYS] = "SIGSYS",
	};

	return (unsigned)signo < ARRAY_LEN(names) && names[signo] ? names[signo] : "a signal";
}
