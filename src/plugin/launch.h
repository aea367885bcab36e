/* launch.h - inside plugin: which program, and with what around it. */
#ifndef WEIR_PLUGIN_LAUNCH_H
#define WEIR_PLUGIN_LAUNCH_H

#include <limits.h>

#include "plugin/plugin.h"

/* The file to run: `name` itself if it holds a slash, else the first executable of that name in the
 * folders of `path`, then of PATH.  The current folder is none of them.  0, -ENOENT, -EACCES,
 * -ENAMETOOLONG.
 */
MUST_CHECK int plugin_find(const char *name, const char *const *path, char out[PATH_MAX]);

/* Ours without secrets, and the variables of SIP003.  A NULL-terminated array of strings, to be
 * freed with plugin_environ_free().  NULL: no memory.
 */
char **plugin_environ(const struct plugin_spec *s);
void plugin_environ_free(char **env);

#endif
