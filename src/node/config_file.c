/* config_file.c - from a path to a tree, with everything that can be wrong on the way. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "node/config_load.h"

int config_note_file(struct conf_reader *r, struct config *c, const char *path)
{
	const char **files = arena_alloc(r->arena, (c->nfiles + 1) * sizeof(*files));

	if (!files)
		return -ENOMEM;
	if (c->nfiles)
		memcpy(files, c->files, c->nfiles * sizeof(*files));
	files[c->nfiles++] = path;
	c->files = files;
	return 0;
}

/* As v2sp has it, which knows the second only. */
const char *config_resolve(struct arena *a, const char *from, const char *path)
{
	const char *slash = strrchr(from, '/');
	const char *beside;

	if (*path == '/' || !slash)
		return path;
	beside = arena_printf(a, "%.*s/%s", (int)(slash - from), from, path);
	if (beside && access(beside, F_OK) && !access(path, F_OK))
		return path;
	return beside;
}

int config_text_load(struct config_loader *l, const char *text, size_t len, struct json_value **out)
{
	struct json_pos at = {0};
	const char *what = "";
	int err = json_parse(text, len, JSON_RELAXED, l->arena, out, &at, &what);

	if (err) {
		*out = NULL;
		conf_report_add(l->r.report, false, l->r.file, at, "", "%s", what);
	}
	return 0;
}

static bool is_open(const struct config_source *s)
{
	for (const struct config_source *p = s->parent; p; p = p->parent) {
		if (p->remote == s->remote &&
		    (s->remote ? !strcmp(p->path, s->path) : p->dev == s->dev && p->ino == s->ino))
			return true;
	}
	return false;
}

static void complain_of_circle(struct config_loader *l, const struct config_source *s,
			       struct json_pos at)
{
	conf_error(&l->r, at, NULL, "\"%s\" includes itself; take one of the Includes out",
		   s->shown);
}

/* The tree of a document that has been read; its mistakes are reported at its own name. */
static int load_read(struct config_loader *l, const struct config_source *source, const char *text,
		     size_t len, struct json_value **out)
{
	const char *file = l->r.file;
	int err;

	l->r.file = source->shown;
	err = config_text_load(l, text, len, out);
	l->r.file = file;
	return err;
}

int config_url_load(struct config_loader *l, const struct config_source *source, struct json_pos at,
		    struct json_value **out)
{
	char why[CONFIG_FETCH_WHY] = "it is not fetched here";
	char *text = NULL;
	size_t len = 0;
	int err;

	*out = NULL;
	if (is_open(source)) {
		complain_of_circle(l, source, at);
		return 0;
	}
	err = l->env.fetch ? l->env.fetch(source->path, &text, &len, why) : -ERR_UNSUPPORTED;
	if (err == -ENOMEM)
		return err;
	if (err) {
		conf_error(&l->r, at, NULL, "cannot read \"%s\": %s", source->shown, why);
		l->r.report->away = true;
		return 0;
	}
	err = load_read(l, source, text, len, out);
	free(text);
	return err;
}

int config_file_load(struct config_loader *l, struct config_source *source, struct json_pos at,
		     struct json_value **out)
{
	char why[FILE_WARNING_MAX];
	struct file file;
	int err = file_read(source->path, CONFIG_FILE_MAX, 0, &file);

	*out = NULL;
	if (err == -ENOMEM)
		return err;
	if (err) {
		if (at.line)
			conf_error(&l->r, at, NULL, "cannot read \"%s\": %s", source->path,
				   err_text(err));
		else /* the file itself, whose name begins the line */
			conf_error(&l->r, at, NULL, "cannot be read: %s", err_text(err));
		return 0;
	}
	source->dev = file.st.st_dev;
	source->ino = file.st.st_ino;
	if (is_open(source)) {
		complain_of_circle(l, source, at);
		file_done(&file);
		return 0;
	}
	err = config_note_file(&l->r, l->conf, source->path);
	if (!err && file_exposed(&file, why))
		conf_report_add(l->r.report, true, source->path, (struct json_pos){0}, "", "%s",
				why);
	if (!err)
		err = load_read(l, source, file.text, file.len, out);
	file_done(&file);
	return err;
}
