/* crowd.c - two hundred users of one inbound, who come, talk, break off, are limited, removed and
 * taken in again, on a virtual clock.
 *
 * After every single turn, for every user and both directions:
 *
 *     received by the far side  <=  billed  <=  sent by the near side
 *
 * and nobody has moved more than his rate allows.  At the end nothing is left, and what was not
 * broken off has arrived to the byte.  WEIR_SIM_SEED=n is another crowd.
 */
#include "unit.h"

#include <stdio.h>

#include "hostile.h"
#include "packets.h"
#include "stage.h"
#include "stream/pair.h"

#define USERS		 200
#define GUESTS		 700
#define SLOTS_MAX	 64	      /* that one user ever has */
#define RATE_SLACK_BYTES (600 * 1024) /* a quantum per look, a batch of packets */

enum kind {
	TALKS,	    /* to the end, both ways */
	HANGS_UP,   /* a reset, at some time */
	IS_REFUSED, /* by the target */
	WAITS,	    /* for a target that never answers */
	SAYS_NOISE, /* a stranger */
	IS_SILENT,
	SENDS_PACKETS,
	KINDS,
};

struct guest {
	struct crowd *c;
	unsigned who, index;
	enum kind kind;
	struct talker client, target;
	struct correspondent uc, ut;
	struct stream *raw; /* the client's end where no talker has it */
	struct timer leaves;
};

struct person {
	bool present;
	unsigned mbps, conns;
	uint32_t slots[SLOTS_MAX];
	unsigned nslots;
	struct traffic allowed; /* by the rate so far */
	struct traffic moved;	/* billed, at the last look */
};

struct crowd {
	struct stage g;
	struct person people[USERS];
	struct guest guests[GUESTS];
	unsigned nguests;
	struct timer director;
	nsec_t last_look;
	uint64_t turns, checks;
	unsigned changes;
};

static uint32_t roll(struct crowd *c, uint32_t sides)
{
	uint32_t v;

	loop_random(c->g.l, &v, sizeof(v));
	return v % sides;
}

static const char *name_of(unsigned who)
{
	static char name[4][16];
	static unsigned turn;

	turn = (turn + 1) % 4;
	snprintf(name[turn], sizeof(name[turn]), "user-%u", who);
	return name[turn];
}

/* ---- users ------------------------------------------------------------------------------- */

/* people_set() numbers users by their first letter; two hundred need their own. */
static void publish(struct crowd *c)
{
	struct people *p = &c->g.people;
	struct user_publication *pub = NULL;
	struct user_changes changes;
	struct user_list list;

	user_list_init(&list);
	for (unsigned i = 0; i < USERS; i++) {
		const char *name = name_of(i);
		struct user_entry e = {
			.id = i + 1,
			.credential = name,
			.credential_len = (uint32_t)strlen(name),
			.speed_bps = c->people[i].mbps * 1000000ull,
			.conn_limit = c->people[i].conns,
		};

		if (c->people[i].present)
			assert_int_equal(user_list_add(&list, &e), 0);
	}
	assert_int_equal(user_registry_apply(p->reg, &list, &changes, &pub), 0);
	user_list_done(&list);
	if (!pub)
		return;
	p->in.users = c->g.in.proto.users = pub->table;
	pub->acks = 1;
	assert_true(user_publication_ack(pub));
}

/* Every slot that a user has ever had stays his: nothing is reaped before the end. */
static void note_slots(struct crowd *c)
{
	for (unsigned i = 0; i < USERS; i++) {
		struct user *u = user_registry_find(c->g.people.reg, i + 1);
		struct person *p = &c->people[i];
		uint32_t slot;

		if (!u)
			continue;
		slot = atomic_load(&u->slot);
		if (p->nslots && p->slots[p->nslots - 1] == slot)
			continue;
		assert_true(p->nslots < SLOTS_MAX);
		p->slots[p->nslots++] = slot;
	}
}

static void change_people(struct crowd *c)
{
	static const unsigned speeds[] = {0, 0, 0, 2, 8, 20};

	for (int n = 0; n < 5; n++) {
		struct person *p = &c->people[roll(c, USERS)];

		switch (roll(c, 4)) {
		case 0:
			p->present = !p->present;
			break;
		case 1:
			p->mbps = speeds[roll(c, ARRAY_LEN(speeds))];
			break;
		case 2:
			p->conns = roll(c, 3) ? 0 : 1 + roll(c, 3);
			break;
		default:
			p->present = true;
		}
	}
	publish(c);
	note_slots(c);
	c->changes++;
}

/* ---- guests ------------------------------------------------------------------------------ */

static void on_accept(struct stage_dialer *d, struct stream *target)
{
	struct crowd *c = d->arg;
	struct guest *t;
	unsigned i;

	assert_int_equal(sscanf(d->to, "t%u.example:", &i), 1);
	t = &c->guests[i];
	t->target.appetite = 1 + roll(c, 20000);
	talker_start(&t->target, target, roll(c, 3) ? roll(c, 3000) : roll(c, 200000), 2, 1);
}

static void on_leave(struct timer *timer)
{
	struct guest *t = container_of(timer, struct guest, leaves);
	static const union stream_value yes = {.num = 1};

	if (t->client.s) {
		waiter_cancel(&t->client.w);
		stream_set(t->client.s, STREAM_ABORT, yes);
		talker_stop(&t->client);
	}
	if (t->uc.d)
		correspondent_stop(&t->uc);
	stream_free(t->raw);
	t->raw = NULL;
}

static void start_packets(struct guest *t, struct stream *far)
{
	struct crowd *c = t->c;
	char to[32];

	t->uc = (struct correspondent){.total = 1 + roll(c, 40), .min = 1, .max = 1400};
	t->ut = (struct correspondent){.total = 1 + roll(c, 40), .min = 1, .max = 1400};
	t->uc.expected = t->ut.total;
	t->ut.expected = t->uc.total;
	snprintf(to, sizeof(to), "t%u.example:53", t->index);
	assert_int_equal(dest_parse(&t->uc.to, to), 0);
	t->ut.to = t->uc.to;
	correspondent_start(&t->uc, stage_client_udp(&c->g, far, name_of(t->who), to), 1, 2);
}

static void start_noise(struct guest *t)
{
	uint8_t noise[300];
	size_t len = 1 + roll(t->c, sizeof(noise));

	loop_random(t->c->g.l, noise, sizeof(noise));
	put_bytes(t->raw, noise, len);
}

static void arrive(struct crowd *c)
{
	unsigned i = c->nguests++;
	struct guest *t = &c->guests[i];
	char from[64], to[64];
	struct stream *far;

	t->c = c;
	t->index = i;
	t->who = roll(c, 3) ? roll(c, USERS) : roll(c, 10);
	t->kind = roll(c, 2) ? TALKS : (enum kind)roll(c, KINDS);
	timer_init(&t->leaves, on_leave);
	snprintf(from, sizeof(from), "192.0.2.%u:%u", 1 + t->who % 250, 1000 + i);
	snprintf(to, sizeof(to), "t%u.example:80", i);
	c->g.dribble = roll(c, 20) == 0;
	far = stage_connect(&c->g, from);
	switch (t->kind) {
	case SENDS_PACKETS:
		start_packets(t, far);
		break;
	case SAYS_NOISE:
		t->raw = far;
		start_noise(t);
		break;
	case IS_SILENT:
		t->raw = far;
		break;
	default:
		t->client.appetite = 1 + roll(c, 20000);
		talker_start(&t->client, stage_client(&c->g, far, name_of(t->who), to),
			     roll(c, 3) ? roll(c, 3000) : roll(c, c->g.dribble ? 5000 : 200000), 1,
			     2);
	}
	if (t->kind == HANGS_UP || t->kind >= SAYS_NOISE)
		timer_set(c->g.l, &t->leaves,
			  loop_now(c->g.l) + (1 + roll(c, 100)) * 100 * NSEC_MS);
}

/* How the target of a guest behaves is decided when it is dialled. */
static struct dial *dial(struct dialer *dialer, struct loop *l, const struct dest *to,
			 struct waiter *w);
static int dgram(struct dialer *dialer, struct loop *l, const struct dest *first,
		 struct dgram **out);

static const struct dialer_ops *plain_dialer;
static const struct dialer_ops crowd_dialer = {.name = "crowd", .dial = dial, .dgram = dgram};

static struct guest *guest_of(struct crowd *c, const struct dest *to)
{
	unsigned i;

	assert_int_equal(sscanf((const char *)to->bytes, "t%u.example", &i), 1);
	return &c->guests[i];
}

static struct dial *dial(struct dialer *dialer, struct loop *l, const struct dest *to,
			 struct waiter *w)
{
	struct stage_dialer *d = container_of(dialer, struct stage_dialer, dialer);
	struct crowd *c = d->arg;
	enum kind kind = guest_of(c, to)->kind;

	d->delay = roll(c, 200) * NSEC_MS;
	d->answer = kind == IS_REFUSED ? STAGE_REFUSES
		    : kind == WAITS    ? STAGE_IS_SILENT
				       : STAGE_ACCEPTS;
	return plain_dialer->dial(dialer, l, to, w);
}

static int dgram(struct dialer *dialer, struct loop *l, const struct dest *first,
		 struct dgram **out)
{
	struct stage_dialer *d = container_of(dialer, struct stage_dialer, dialer);
	struct crowd *c = d->arg;
	struct guest *t = guest_of(c, first);
	int err;

	d->answer = STAGE_ACCEPTS;
	err = plain_dialer->dgram(dialer, l, first, out);
	if (err)
		return err;
	assert_null(t->ut.d);
	correspondent_start(&t->ut, d->dgram, 2, 1);
	d->dgram = NULL;
	return 0;
}

static void direct_crowd(struct timer *timer)
{
	struct crowd *c = container_of(timer, struct crowd, director);

	for (unsigned n = roll(c, 4); n > 0 && c->nguests < GUESTS; n--)
		arrive(c);
	if (roll(c, 10) == 0)
		change_people(c);
	if (c->nguests < GUESTS)
		timer_set(c->g.l, &c->director, loop_now(c->g.l) + (1 + roll(c, 100)) * NSEC_MS);
}

/* ---- what always holds ------------------------------------------------------------------- */

struct sums {
	struct traffic sent, received;
};

static void sum_guests(struct crowd *c, struct sums sums[USERS])
{
	for (unsigned i = 0; i < c->nguests; i++) {
		struct guest *t = &c->guests[i];
		struct sums *s = &sums[t->who];

		s->sent.up += t->client.sent + t->uc.bytes_sent;
		s->received.up += t->target.received + t->ut.bytes_received;
		s->sent.down += t->target.sent + t->ut.bytes_sent;
		s->received.down += t->client.received + t->uc.bytes_received;
	}
}

static struct traffic billed(struct crowd *c, unsigned who)
{
	struct person *p = &c->people[who];
	struct traffic sum = {0}, t;

	for (unsigned i = 0; i < p->nslots; i++) {
		counters_total(c->g.people.counters, p->slots[i], &t);
		sum.up += t.up;
		sum.down += t.down;
	}
	return sum;
}

static void check_user(struct crowd *c, unsigned who, const struct sums *s, nsec_t passed)
{
	struct person *p = &c->people[who];
	struct traffic b = billed(c, who);

	if (s->received.up > b.up || b.up > s->sent.up || s->received.down > b.down ||
	    b.down > s->sent.down)
		fail_msg("turn %lu, user %u: up %lu <= %lu <= %lu, down %lu <= %lu <= %lu",
			 (unsigned long)c->turns, who, (unsigned long)s->received.up,
			 (unsigned long)b.up, (unsigned long)s->sent.up,
			 (unsigned long)s->received.down, (unsigned long)b.down,
			 (unsigned long)s->sent.down);
	if (p->mbps) {
		uint64_t more = (uint64_t)passed * p->mbps / 8000;

		p->allowed.up += more;
		p->allowed.down += more;
		assert_true(b.up <= p->allowed.up + RATE_SLACK_BYTES);
		assert_true(b.down <= p->allowed.down + RATE_SLACK_BYTES);
	} else {
		/* nobody holds him: from here on he starts afresh */
		p->allowed = b;
	}
	p->moved = b;
	c->checks++;
}

static void check_all(struct crowd *c)
{
	static struct sums sums[USERS];
	nsec_t now = loop_now(c->g.l), passed = now - c->last_look;

	memset(sums, 0, sizeof(sums));
	sum_guests(c, sums);
	for (unsigned i = 0; i < USERS; i++)
		check_user(c, i, &sums[i], passed);
	c->last_look = now;
}

static bool over(struct crowd *c)
{
	return c->nguests == GUESTS && c->g.in.nsessions == 0;
}

static void check_end(struct crowd *c)
{
	unsigned whole = 0, packets = 0;

	for (unsigned i = 0; i < GUESTS; i++) {
		struct guest *t = &c->guests[i];

		if (t->kind == TALKS && t->client.s && !t->client.err && t->target.s &&
		    !t->target.err && t->client.eof && t->target.eof) {
			assert_int_equal(t->client.received, t->target.total);
			assert_int_equal(t->target.received, t->client.total);
			whole++;
		}
		packets += t->ut.received + t->uc.received;
	}
	assert_true(whole > GUESTS / 5);
	assert_true(packets > 100);
	assert_true(c->changes > 10);
	assert_int_equal(c->g.ended, GUESTS);
}

static void free_guests(struct crowd *c)
{
	for (unsigned i = 0; i < GUESTS; i++) {
		struct guest *t = &c->guests[i];

		timer_stop(&t->leaves);
		if (t->client.s)
			talker_stop(&t->client);
		if (t->target.s)
			talker_stop(&t->target);
		if (t->uc.d)
			correspondent_stop(&t->uc);
		if (t->ut.d)
			correspondent_stop(&t->ut);
		stream_free(t->raw);
	}
}

static void start(struct crowd *c, struct loop *l, const char *proto)
{
	stage_init(&c->g, l, proto, "nobody-yet");
	c->g.capacity = 20000;
	c->g.in.reject = REJECT_DRAIN;
	c->g.plain_udp = true; /* XUDP would not say at once whose association it is */
	c->g.times.relay.idle = 60 * NSEC_SEC;
	c->g.out.accepted = on_accept;
	c->g.out.arg = c;
	plain_dialer = c->g.out.dialer.ops;
	c->g.out.dialer.ops = &crowd_dialer;
	for (unsigned i = 0; i < USERS; i++)
		c->people[i] = (struct person){.present = i % 7 != 0, .mbps = i % 5 ? 0 : 8};
	publish(c);
	note_slots(c);
	c->last_look = loop_now(l);
	timer_init(&c->director, direct_crowd);
	timer_set(l, &c->director, loop_now(l));
}

static void simulate(const char *proto, uint64_t seed)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, seed);
	struct crowd *c = calloc(1, sizeof(*c));
	nsec_t begun = loop_now(l);

	assert_non_null(c);
	start(c, l, proto);
	while (!over(c)) {
		if (loop_turn(l, -1) == 0)
			fail_msg("stalled with %zu sessions", c->g.in.nsessions);
		c->turns++;
		check_all(c);
	}
	check_end(c);
	print_message("%s, seed %lu: %lu turns, %.0f s of its time, %lu checks\n", proto,
		      (unsigned long)seed, (unsigned long)c->turns,
		      (double)(loop_now(l) - begun) / 1e9, (unsigned long)c->checks);
	free_guests(c);
	timer_stop(&c->director);
	loop_turn(l, 0);
	assert_int_equal(user_registry_reap(c->g.people.reg, NULL, NULL), 0);
	stage_done(&c->g);
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
	free(c);
}

static uint64_t seed_or(uint64_t usual)
{
	const char *text = getenv("WEIR_SIM_SEED");

	return text ? strtoull(text, NULL, 10) : usual;
}

static void a_crowd_over_vless_is_billed_to_the_byte(void **state)
{
	simulate("vless", seed_or(1));
}

static void a_crowd_over_trojan_is_billed_to_the_byte(void **state)
{
	simulate("trojan", seed_or(2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crowd_over_vless_is_billed_to_the_byte),
		cmocka_unit_test(a_crowd_over_trojan_is_billed_to_the_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
