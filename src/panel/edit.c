#include "panel/edit.h"

#include <errno.h>

#include "panel/field.h"

/* Ends the transaction as `err` says. */
static int edit_end(struct store *s, int err)
{
	if (!err)
		err = store_commit(s);
	if (err)
		store_rollback(s);
	return err;
}

/* The id that a new row asks for, taken out of its object; 0 when it does not mind. */
static int wanted_id(json_t *from, int64_t *id, struct fault *why)
{
	json_t *v = json_object_get(from, "id");
	int err;

	*id = 0;
	if (!v)
		return 0;
	err = field_int(v, "id", 1, (int64_t)1 << 53, id, why);
	if (!err)
		json_object_del(from, "id");
	return err;
}

int edit_user_add(struct store *s, json_t *from, struct panel_user *out, struct fault *why)
{
	struct panel_user u;
	int64_t id;
	int err = wanted_id(from, &id, why);

	panel_user_init(&u);
	if (!err)
		err = panel_user_read(&u, from, why);
	u.id = id;
	if (!err)
		err = store_user_add(s, &u);
	if (!err)
		*out = u;
	return err;
}

int edit_users_add(struct store *s, json_t *list, json_t *made, struct fault *why)
{
	struct panel_user u;
	struct fault at;
	int err = store_begin(s);

	if (err)
		return err;
	for (size_t i = 0; i < json_array_size(list) && !err; i++) {
		err = edit_user_add(s, json_array_get(list, i), &u, &at);
		if (err == -EINVAL)
			fault_set(why, "[%zu]: %s", i, at.text);
		if (err == -EEXIST)
			err = fault_set(why, "[%zu]: the id or credential is already taken", i);
		if (!err && json_array_append_new(made, panel_user_emit(&u)) < 0)
			err = -ENOMEM;
	}
	return edit_end(s, err);
}

int edit_user_change(struct store *s, int64_t id, json_t *from, struct panel_user *out,
		     struct fault *why)
{
	struct panel_user u;
	int err = store_begin(s);

	if (err)
		return err;
	err = store_user_get(s, id, &u);
	if (!err)
		err = panel_user_read(&u, from, why);
	if (!err)
		err = store_user_set(s, &u);
	err = edit_end(s, err);
	if (!err)
		*out = u;
	return err;
}

int edit_node_add(struct store *s, json_t *from, struct panel_node *out, struct fault *why)
{
	struct panel_node n;
	int64_t id;
	int err = panel_node_init(&n);

	if (!err)
		err = wanted_id(from, &id, why);
	if (!err)
		err = panel_node_read(&n, from, why);
	if (!err) {
		n.id = id;
		err = store_node_add(s, &n);
	}
	if (err)
		panel_node_done(&n);
	else
		*out = n;
	return err;
}

int edit_node_change(struct store *s, int64_t id, json_t *from, struct panel_node *out,
		     struct fault *why)
{
	struct panel_node n = {0};
	int err = store_begin(s);

	if (err)
		return err;
	err = store_node_get(s, id, &n);
	if (!err)
		err = panel_node_read(&n, from, why);
	if (!err)
		err = store_node_set(s, &n);
	err = edit_end(s, err);
	if (err)
		panel_node_done(&n);
	else
		*out = n;
	return err;
}

int edit_traffic_reset(struct store *s, int64_t user)
{
	int err = store_begin(s);

	return err ? err : edit_end(s, store_traffic_reset(s, user));
}
