#include "unit.h"

#include <stdio.h>

#include "dns/cache.h"

static struct dns_entry *get(struct dns_cache *c, unsigned i)
{
	char name[32];

	snprintf(name, sizeof(name), "name-%u.test", i);
	return dns_cache_get(c, name);
}

static void a_name_has_one_entry_whatever_its_case(void **state)
{
	struct dns_cache c;
	struct dns_entry *e;

	dns_cache_init(&c, 1);
	e = dns_cache_get(&c, "Some.Name.Test");
	assert_non_null(e);
	assert_string_equal(e->name, "some.name.test");
	assert_ptr_equal(dns_cache_get(&c, "some.NAME.test"), e);
	assert_ptr_not_equal(dns_cache_get(&c, "some.other.test"), e);
	assert_int_equal(c.n, 2);
	dns_cache_done(&c);
}

static void the_oldest_goes_first_and_one_just_used_stays(void **state)
{
	struct dns_cache c;
	struct dns_entry *second;

	dns_cache_init(&c, 1);
	for (unsigned i = 0; i < DNS_CACHE_MAX; i++)
		get(&c, i)->expires = 1;
	second = get(&c, 1);
	get(&c, 0); /* used again: the youngest now */
	get(&c, 1); /* and this one younger still */
	get(&c, DNS_CACHE_MAX);
	assert_int_equal(c.n, DNS_CACHE_MAX);
	assert_int_equal(get(&c, 0)->expires, 1);
	assert_ptr_equal(get(&c, 1), second);
	assert_int_equal(get(&c, 2)->expires, 0); /* made anew */
	dns_cache_done(&c);
}

static void what_is_being_asked_for_is_not_thrown_out(void **state)
{
	struct dns_cache c;
	struct dns_entry *first;

	dns_cache_init(&c, 1);
	first = get(&c, 0);
	for (unsigned i = 0; i < DNS_CACHE_MAX; i++)
		dns_cache_state(&c, get(&c, i), DNS_ASKED);
	assert_null(get(&c, DNS_CACHE_MAX));
	assert_ptr_equal(get(&c, 0), first);
	dns_cache_state(&c, first, DNS_KNOWN);
	assert_non_null(get(&c, DNS_CACHE_MAX));
	assert_int_equal(c.n, DNS_CACHE_MAX);
	assert_null(dns_cache_find(&c, "name-0.test"));
	dns_cache_done(&c);
}

static void who_is_not_waited_for_gives_way_first_then_the_oldest(void **state)
{
	struct dns_cache c;

	dns_cache_init(&c, 1);
	for (unsigned i = 0; i < DNS_CACHE_MAX; i++) {
		assert_null(dns_cache_in_the_way(&c));
		dns_cache_state(&c, get(&c, i), DNS_ASKED);
	}
	assert_ptr_equal(dns_cache_in_the_way(&c), get(&c, 0)); /* asking again changes nothing */
	dns_cache_state(&c, get(&c, 0), DNS_DUE);
	dns_cache_state(&c, get(&c, 1), DNS_DUE);
	assert_ptr_equal(dns_cache_in_the_way(&c), get(&c, 0));
	dns_cache_state(&c, get(&c, 0), DNS_AGAIN); /* it is as old as before */
	assert_ptr_equal(dns_cache_in_the_way(&c), get(&c, 0));
	dns_cache_state(&c, get(&c, 0), DNS_KNOWN);
	dns_cache_state(&c, get(&c, 0), DNS_ASKED);
	assert_ptr_equal(dns_cache_in_the_way(&c), get(&c, 1));
	dns_cache_state(&c, get(&c, 3), DNS_UNHEARD);
	assert_ptr_equal(dns_cache_in_the_way(&c), get(&c, 3));
	dns_cache_state(&c, get(&c, 4), DNS_KNOWN);
	assert_null(dns_cache_in_the_way(&c));
	dns_cache_done(&c);
}

static void a_name_that_no_name_can_be_has_no_entry(void **state)
{
	struct dns_cache c;
	char name[300];

	memset(name, 'a', sizeof(name));
	name[256] = '\0';
	dns_cache_init(&c, 1);
	assert_null(dns_cache_get(&c, name));
	name[255] = '\0';
	assert_non_null(dns_cache_get(&c, name));
	dns_cache_done(&c);
}

static void an_answer_replaces_the_one_before(void **state)
{
	struct addr two[2] = {{.len = 1}, {.len = 2}};
	struct dns_cache c;
	struct dns_entry *e;

	dns_cache_init(&c, 1);
	e = dns_cache_get(&c, "a.test");
	dns_entry_set(e, two, 2, 0, 5);
	assert_int_equal(e->n, 2);
	assert_int_equal(e->addrs[1].len, 2);
	dns_entry_set(e, NULL, 0, -ERR_RESOLVE, 6);
	assert_int_equal(e->n, 0);
	assert_int_equal(e->err, -ERR_RESOLVE);
	dns_entry_set(e, two, 1, 0, 7);
	assert_int_equal(e->n, 1);
	assert_int_equal(e->err, 0);
	assert_int_equal(e->expires, 7);
	dns_cache_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_has_one_entry_whatever_its_case),
		cmocka_unit_test(the_oldest_goes_first_and_one_just_used_stays),
		cmocka_unit_test(what_is_being_asked_for_is_not_thrown_out),
		cmocka_unit_test(who_is_not_waited_for_gives_way_first_then_the_oldest),
		cmocka_unit_test(a_name_that_no_name_can_be_has_no_entry),
		cmocka_unit_test(an_answer_replaces_the_one_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
