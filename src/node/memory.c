#include "node/memory.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The number that a file begins with, behind `word`; UINT64_MAX: none. */
static uint64_t number_in(const char *root, const char *dir, const char *file, const char *word)
{
	uint64_t v = UINT64_MAX;
	char path[PATH_MAX], line[256];
	FILE *f;

	if (snprintf(path, sizeof(path), "%s%s/%s", root, dir, file) >= (int)sizeof(path))
		return v;
	f = fopen(path, "re");
	if (!f)
		return v;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, word, strlen(word)) == 0) {
			if (sscanf(line + strlen(word), "%" SCNu64, &v) != 1)
				v = UINT64_MAX; /* "max" */
			break;
		}
	}
	fclose(f);
	return v;
}

/* A limit may stand at any level from our own group up to the root. */
static uint64_t least_above(const char *root, const char *mount, char *group, const char *file)
{
	uint64_t least = UINT64_MAX;

	for (;;) {
		char dir[PATH_MAX];
		char *slash;

		if (snprintf(dir, sizeof(dir), "%s%s", mount, group) < (int)sizeof(dir))
			least = MIN(least, number_in(root, dir, file, ""));
		slash = strrchr(group, '/');
		if (!slash)
			return least;
		*slash = '\0';
	}
}

/* Lines of /proc/self/cgroup: "0::/path" is v2, "4:memory:/path" v1.  In a container the path may
 * be the host's while the mount shows our own group as its root: that is looked at in any case.
 */
static uint64_t group_limit(const char *root)
{
	char path[PATH_MAX], line[PATH_MAX];
	uint64_t least = UINT64_MAX;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	f = fopen(path, "re");
	if (!f)
		return least;
	while (fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':');
		char *group = controllers ? strchr(controllers + 1, ':') : NULL;
		uint64_t v = UINT64_MAX;

		if (!group)
			continue;
		*group++ = '\0';
		group[strcspn(group, "\n")] = '\0';
		if (!controllers[1])
			v = least_above(root, "/sys/fs/cgroup", group, "memory.max");
		else if (strstr(controllers, "memory"))
			v = least_above(root, "/sys/fs/cgroup/memory", group,
					"memory.limit_in_bytes");
		least = MIN(least, v);
	}
	fclose(f);
	return least;
}

uint64_t memory_there(const char *root)
{
	uint64_t total = number_in(root, "/proc", "meminfo", "MemTotal:"), least;

	if (total != UINT64_MAX)
		total *= 1024;
	least = MIN(total, group_limit(root));
	return least == UINT64_MAX ? 0 : least;
}
