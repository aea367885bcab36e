#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "node/memory.h"

static char root[64];

static void put(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(full, 0700);
		*p = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int setup(void **state)
{
	snprintf(root, sizeof(root), "/tmp/weir-memory-XXXXXX");
	assert_non_null(mkdtemp(root));
	put("/proc/meminfo", "MemTotal:       24689356 kB\nMemFree: 1 kB\n");
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void without_a_group_it_is_the_machine_s(void **state)
{
	assert_int_equal(memory_there(root), 24689356ull * 1024);
}

static void a_group_without_a_limit_is_no_limit(void **state)
{
	put("/proc/self/cgroup", "0::/system.slice/weir.service\n");
	put("/sys/fs/cgroup/system.slice/weir.service/memory.max", "max\n");
	assert_int_equal(memory_there(root), 24689356ull * 1024);
}

static void the_least_limit_above_us_holds(void **state)
{
	put("/proc/self/cgroup", "0::/system.slice/weir.service\n");
	put("/sys/fs/cgroup/system.slice/weir.service/memory.max", "536870912\n");
	assert_int_equal(memory_there(root), 536870912);
	put("/sys/fs/cgroup/system.slice/memory.max", "268435456\n");
	assert_int_equal(memory_there(root), 268435456);
}

static void a_container_s_own_root_is_looked_at(void **state)
{
	put("/proc/self/cgroup", "0::/../elsewhere\n");
	put("/sys/fs/cgroup/memory.max", "134217728\n");
	assert_int_equal(memory_there(root), 134217728);
}

static void the_first_version_of_groups_is_understood(void **state)
{
	put("/proc/self/cgroup", "3:cpu,cpuacct:/a\n2:memory:/a\n1:name=systemd:/\n");
	put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "100663296\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	assert_int_equal(memory_there(root), 100663296);
}

static void where_nothing_says_it_is_0(void **state)
{
	assert_int_equal(memory_there("/nowhere"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_a_group_it_is_the_machine_s, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_group_without_a_limit_is_no_limit, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_least_limit_above_us_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(a_container_s_own_root_is_looked_at, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_first_version_of_groups_is_understood, setup,
						teardown),
		cmocka_unit_test(where_nothing_says_it_is_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
