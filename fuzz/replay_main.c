/* replay_main.c - runs a fuzz target over kept inputs, where libFuzzer is not at hand.
 *
 *     replay_NAME FILE-OR-FOLDER...
 *
 * Each input is also given cut short at every length (below CUTS), for that is how it comes
 * from a socket.  The copies have no byte to spare behind them, so that a sanitizer sees one
 * read too many.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CUTS = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static size_t replayed;

static void run_exact(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		abort();
	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static int replay_file(const char *path, size_t size)
{
	uint8_t *data = malloc(size + 1);
	FILE *f = fopen(path, "rb");
	size_t len;

	if (!data || !f) {
		perror(path);
		free(data);
		if (f)
			fclose(f);
		return -1;
	}
	len = fread(data, 1, size, f);
	fclose(f);

	run_exact(data, len);
	for (size_t cut = 0; cut < len && cut < CUTS; cut++)
		run_exact(data, cut);
	replayed++;
	free(data);
	return 0;
}

static int replay(const char *path)
{
	struct dirent *entry;
	struct stat st;
	int err = 0;
	DIR *dir;

	if (stat(path, &st) < 0) {
		perror(path);
		return -1;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path, st.st_size);

	dir = opendir(path);
	if (!dir) {
		perror(path);
		return -1;
	}
	while (!err && (entry = readdir(dir)) != NULL) {
		char *child;

		if (entry->d_name[0] == '.')
			continue;
		if (asprintf(&child, "%s/%s", path, entry->d_name) < 0)
			abort();
		err = replay(child);
		free(child);
	}
	closedir(dir);
	return err;
}

int main(int argc, char **argv)
{
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		if (replay(argv[i]) < 0)
			return 1;
	}
	if (replayed == 0) {
		fprintf(stderr, "%s: an empty corpus proves nothing\n", argv[0]);
		return 1;
	}
	printf("%zu inputs\n", replayed);
	return 0;
}
