#include "stream/pace.h"

void pace_init(struct pace *p, struct loop *l, struct meter *meter, void (*fire)(struct timer *t))
{
	*p = (struct pace){.loop = l, .meter = meter, .last = loop_now(l)};
	timer_init(&p->timer, fire);
}

size_t pace_allow(struct pace *p, enum relay_dir dir, size_t want)
{
	nsec_t now = loop_now(p->loop), pause = 0;

	if (p->pause_until[dir] > now)
		return 0;
	p->pause_until[dir] = 0;
	if (!p->meter)
		return want;
	want = p->meter->allow(p->meter, dir, want, now, &pause);
	if (want == 0)
		p->pause_until[dir] = now + MAX(pause, NSEC_MS);
	return want;
}

void pace_count(struct pace *p, enum relay_dir dir, size_t bytes)
{
	p->last = loop_now(p->loop);
	if (p->meter && bytes > 0)
		p->meter->count(p->meter, dir, bytes, p->last);
}

nsec_t pace_silence(const struct pace *p, nsec_t limit)
{
	nsec_t paused = MAX(p->pause_until[RELAY_UP], p->pause_until[RELAY_DOWN]);

	return limit ? MAX(p->last, paused) + limit : 0;
}

void pace_arm(struct pace *p, nsec_t at)
{
	if (at && (!timer_armed(&p->timer) || at < p->timer.at))
		timer_set(p->loop, &p->timer, at);
}

void pace_arm_all(struct pace *p, nsec_t limit)
{
	pace_arm(p, pace_silence(p, limit));
	pace_arm(p, p->pause_until[RELAY_UP]);
	pace_arm(p, p->pause_until[RELAY_DOWN]);
}

bool pace_resume(struct pace *p)
{
	nsec_t now = loop_now(p->loop);
	bool over = false;

	for (int dir = RELAY_UP; dir <= RELAY_DOWN; dir++) {
		nsec_t until = p->pause_until[dir];

		if (!until || until > now)
			continue;
		p->last = MAX(p->last, until);
		p->pause_until[dir] = 0;
		over = true;
	}
	return over;
}
