"""Looks at servers from outside, many at once: what is sent, what comes back, when, and how it ends; and whether
what one port shows is what another shows."""
import collections
import contextlib
import dataclasses
import heapq
import itertools
import re
import resource
import select
import socket
import statistics
import time
import warnings

from . import SLOW
from .tlsprobe import records

# One more hop: two connections instead of one, and two more processes that have to be given the processor.
HOP = 0.02 * SLOW
# What a busy machine may do to one look among several.
STRAY = 0.3 * SLOW
# A machine on which looks at the same server differ by more is too busy for its looks to be believed at once.
CALM = 0.1 * SLOW

ANSWER = "answer"   # among what is sent: an answer, or an end, is waited for
PAUSE = 0.1         # behind it
REST = 0.02         # between two looks at a server that serves one after another
EVERY = 0.003       # from one look to the next elsewhere
BUSY = 8            # so many may wait for an answer at a time: the crowd is not to wait for itself
NO_ANSWER = 0.2     # who waits longer is not counted
FOR_SURE = 4.0      # who sees it stay open where others have seen an end waits this much longer

DATE = re.compile(rb"\r\nDate: [^\r]*")


@dataclasses.dataclass
class Script:
    """What somebody sends: bytes, as numbers the seconds between them, and ANSWER; `ends`: with an end of stream.
    After `watch` seconds he has seen it stay open, and `after` seconds behind an end that nothing meets who goes on; 0: he does not
    go on."""
    parts: list
    ends: bool = False
    watch: float = 1.5
    after: float = 2.0
    seen_end: bool = False


class Turn:
    """What is sent in one go, and what comes until the next."""

    def __init__(self):
        self.sent = time.monotonic()
        self.got, self.first = b"", None

    def take(self, data):
        if self.first is None:
            self.first = time.monotonic()
        self.got += data

    def outline(self):
        """What is the same whenever the same is said: not what is random or sealed."""
        found, rest = records(self.got)
        at, out = 0, []
        for kind, n in found:
            body, at = self.got[at + 5:at + n], at + n
            out.append((kind, n, plain(kind, body)))
        return tuple(out), DATE.sub(b"", rest)


def plain(kind, body):
    if kind == 21 and len(body) == 2 or kind == 20:
        return body.hex()
    if kind == 22 and body[:1] == b"\2" and len(body) > 38 + body[38] + 3:
        return body[38 + body[38] + 1:][:2].hex()  # the suite
    return ""


class Look:
    """One connection.  `end`: "fin", "reset" or "open", `ended` seconds after the last that was sent; `cut`: who goes
    on behind a "fin" is reset."""

    def __init__(self, crowd, port, script, done):
        self.crowd, self.script, self.done = crowd, script, done
        self.due = list(script.parts)
        self.end, self.ended, self.cut, self.over = None, 0.0, False, False
        self.turns, self.awaiting, self.behind = [], False, False
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10 * SLOW)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.turns.append(Turn())
        crowd.poll.register(self.sock, select.EPOLLIN | select.EPOLLRDHUP)
        crowd.looks[self.sock.fileno()] = self
        self.go_on()

    def shape(self):
        """All but time."""
        return tuple(t.outline() for t in self.turns), self.end, self.cut

    def times(self):
        """By name: seconds after what was sent last before it."""
        found = {f"answer {i + 1}": t.first - t.sent for i, t in enumerate(self.turns) if t.first}
        if self.end != "open":
            found["end"] = self.ended
        return found

    def go_on(self):
        while self.due and not self.over:
            part = self.due.pop(0)
            if part == ANSWER:
                self.awaiting = True
                self.crowd.at(FOR_SURE, self.answered, True)
                self.answered()
                return
            if isinstance(part, float):
                self.crowd.at(part, self.go_on)
                return
            self.send(part)
        if self.over:
            return
        if self.script.ends:
            with contextlib.suppress(OSError):  # it may have been reset; reading tells
                self.sock.shutdown(socket.SHUT_WR)
        self.turns[-1].sent = time.monotonic()
        self.crowd.at(self.script.watch, self.watched)
        if self.end == "fin":
            self.go_behind()

    def answered(self, at_last=False):
        if self.awaiting and (at_last or self.end or self.turns[-1].got):
            self.awaiting = False
            self.crowd.at(PAUSE, self.next_turn)

    def next_turn(self):
        if not self.end:
            self.turns.append(Turn())
        self.go_on()

    def busy(self):
        last = self.turns[-1]
        return not self.over and not self.end and not last.got and time.monotonic() - last.sent < NO_ANSWER

    def send(self, data):
        self.read()
        if self.over:
            return
        try:
            self.sock.send(data)
        except OSError:
            self.broken()
        if not self.end:
            self.turns[-1].sent = time.monotonic()

    def broken(self):
        """A reset has been met: what had come before it comes first."""
        self.read()
        if self.end == "fin":
            self.cut = True
            self.finish()
        elif not self.end:
            self.note("reset")

    def read(self):
        while not self.end:
            try:
                data = self.sock.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                self.note("reset")
                return
            if not data:
                self.note("fin")
                return
            self.turns[-1].take(data)
            self.answered()

    def note(self, end):
        self.end, self.ended = end, time.monotonic() - self.turns[-1].sent
        self.script.seen_end = True
        if end == "reset":
            self.finish()
            return
        self.crowd.poll.modify(self.sock, 0)  # of a reset one is told in any case
        self.answered()
        if not self.due and not self.awaiting:
            self.go_behind()

    def go_behind(self):
        """All has been said, and there has been an end: what meets who goes on?"""
        if self.script.ends or not self.script.after:
            self.finish()
        if self.over or self.behind:
            return
        self.behind = True
        with contextlib.suppress(OSError):
            self.sock.send(bytes(20))
        self.crowd.at(self.script.after, self.finish)

    def on_event(self, events):
        if events & select.EPOLLERR and self.end == "fin":
            self.cut = True
            self.finish()
        else:
            self.read()

    def watched(self, surely=False):
        if not self.over and not self.end:
            self.read()
        if self.end:
            return
        if self.script.seen_end and not surely:
            self.crowd.at(FOR_SURE, self.watched, True)
            return
        self.end = "open"
        self.finish()

    def finish(self):
        if self.over:
            return
        self.over = True
        del self.crowd.looks[self.sock.fileno()]
        self.sock.close()
        self.done(self)


class Crowd:
    """Looks side by side, on one thread."""

    def __init__(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.poll, self.looks, self.timers = select.epoll(), {}, []
        self._turn = itertools.count()

    def at(self, seconds, call, *args):
        heapq.heappush(self.timers, (time.monotonic() + seconds, next(self._turn), call, args))

    def run(self, busy):
        while busy():
            wait = self.timers[0][0] - time.monotonic() if self.timers else 1
            for fd, events in self.poll.poll(max(wait, 0)):
                if fd in self.looks:
                    self.looks[fd].on_event(events)
            while self.timers and self.timers[0][0] <= time.monotonic():
                _, _, call, args = heapq.heappop(self.timers)
                call(*args)
        self.poll.close()


def look_at(lanes, work, in_turn=False):
    """`work`: (key, index of a port in a lane, script), done in this order; the looks by (key, index).  `in_turn`: the
    servers of a lane serve one after another, and there are several lanes."""
    crowd, work, found = Crowd(), collections.deque(work), collections.defaultdict(list)
    left = len(work)

    def begin(lane):
        if not work:
            return
        if not in_turn and sum(look.busy() for look in crowd.looks.values()) >= BUSY:
            crowd.at(EVERY, begin, lane)
            return
        key, side, script = work.popleft()

        def done(look):
            nonlocal left
            left -= 1
            found[key, side].append(look)
            if in_turn:
                crowd.at(REST, begin, lane)

        Look(crowd, lane[side], script, done)
        if not in_turn:
            crowd.at(EVERY, begin, lane)

    for lane in lanes:
        begin(lane)
    crowd.run(lambda: left > 0)
    return found


def spread(looks):
    """How much later than the quickest of its kind a server's answers and ends are, three of four times; `looks`: those
    of each kind."""
    late = []
    for kind in looks:
        for seconds in by_name(kind).values():
            late += [s - min(seconds) for s in seconds]
    late.sort()
    return late[len(late) * 3 // 4] if late else 0.0


def out_of_time(direct, through, own):
    """What is late, or early, among the seconds of several looks each; "" when nothing is.  The quickest tell what is
    done in any case, the median what is done mostly, and the slowest what is done now and then: each may be off by one
    more hop, and by the server's `own` spread."""
    first, last, room = min(direct), max(direct), HOP + own
    if not first - room <= min(through) <= first + room or \
            not first - room <= statistics.median(through) <= last + room or max(through) > last + STRAY + room:
        return f"target {list_of(direct)}, node {list_of(through)}, own spread {own * 1000:.1f} ms"
    return ""


def list_of(seconds):
    return " ".join(f"{s * 1000:.1f}" for s in sorted(seconds)) + " ms"


def by_name(looks):
    found = collections.defaultdict(list)
    for look in looks:
        for name, seconds in look.times().items():
            found[name].append(seconds)
    return found


def different_times(direct, through, own):
    """Sentences.  Looks of either side that have no such time are a matter of their shapes."""
    theirs, ours = by_name(direct), by_name(through)
    return [f"{name}: {wrong}" for name in theirs if name in ours
            for wrong in (out_of_time(theirs[name], ours[name], own),) if wrong]


def different_shapes(direct, through):
    """What a look saw that none of the target's own has shown."""
    own = {look.shape() for look in direct}
    strange = {look.shape() for look in through} - own
    return [f"target {sorted(map(str, own))}\n    node {s}" for s in strange]


def differences(lanes, scripts, each=4, rounds=5, in_turn=False):
    """{key: sentence}: of which scripts the second port of a lane shows what the first does not.

    `each` looks of either side, one after the other.  A shape that the target has not shown is one too many, unless it
    does show it when asked more often.  Times are measured afresh where they differ, up to `rounds` times: what is
    always so stays so, a busy machine's do not.  A round on a machine that is too busy judges nothing and is held again,
    as many times; where none was calm the last one judges, and a warning says so.
    """
    def again(keys, ours=True):
        work = [(key, side, scripts[key]) for _ in range(each) for key in keys for side in range(1 + ours)]
        return look_at(lanes, work, in_turn)

    own, strange, due, late = collections.defaultdict(list), {}, list(scripts), {}
    calm = 0
    for left in reversed(range(2 * rounds)):
        seen = again(due)
        width = spread([seen[key, 0] for key in due])
        for key in due:
            own[key] += seen[key, 0]
        if width >= CALM and left:
            continue
        if width >= CALM:
            warnings.warn(f"a busy machine: answers of the same server are {width * 1000:.0f} ms apart")
        calm += 1
        late = {}
        for key in due:
            wrong = different_times(seen[key, 0], seen[key, 1], width)
            if wrong:
                late[key] = wrong
            if different_shapes(own[key], seen[key, 1]):
                strange.setdefault(key, []).extend(seen[key, 1])
        due = [key for key in due if key in late]
        if not due or calm == rounds:
            break
    for _ in range(6 if strange else 0):
        for (key, _), looks in again(strange, False).items():
            own[key] += looks
    odd = {key: wrong for key in strange for wrong in (different_shapes(own[key], strange[key]),) if wrong}
    return {key: "\n  ".join([str(key)] + odd.get(key, []) + late.get(key, [])) for key in {**odd, **late}}
