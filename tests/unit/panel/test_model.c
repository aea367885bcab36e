#include "unit.h"

#include <stdio.h>

#include <jansson.h>

#include "panel/field.h"
#include "panel/model.h"

static json_t *json(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(v);
	return v;
}

static int read_user(struct panel_user *u, const char *text, struct fault *why)
{
	json_t *from = json(text);
	int err = panel_user_read(u, from, why);

	json_decref(from);
	return err;
}

static int read_node(struct panel_node *n, const char *text, struct fault *why)
{
	json_t *from = json(text);
	int err = panel_node_read(n, from, why);

	json_decref(from);
	return err;
}

static void a_new_user_has_a_uuid_and_no_limits(void **state)
{
	struct panel_user a, b;

	panel_user_init(&a);
	panel_user_init(&b);
	assert_int_equal(strlen(a.credential), 36);
	assert_string_not_equal(a.credential, b.credential);
	assert_true(panel_user_active(&a, a.created));
}

static void user_values_may_be_texts(void **state)
{
	struct panel_user u;
	struct fault why;

	panel_user_init(&u);
	assert_int_equal(
		read_user(&u,
			  "{\"name\":\"Ann\",\"speed_limit\":\"0.5\",\"device_limit\":\"3\","
			  "\"quota\":\"2GiB\",\"expire\":\"2026-01-31\",\"enabled\":\"off\"}",
			  &why),
		0);
	assert_string_equal(u.name, "Ann");
	assert_true(u.speed_mbps == 0.5);
	assert_true(u.device_limit == 3);
	assert_true(u.quota == 2147483648);
	assert_true(u.expire == 1769903999);
	assert_false(u.enabled);
	assert_int_equal(
		read_user(&u, "{\"speed_limit\":null,\"expire\":null,\"name\":null}", &why), 0);
	assert_true(u.speed_mbps == 0 && u.expire == 0 && u.name[0] == '\0');
}

static void wrong_user_values_are_named(void **state)
{
	static const char *const wrong[][2] = {
		{"[]", "expected an object"},
		{"{\"sped\":1}", "sped"},
		{"{\"id\":5}", "id"},
		{"{\"created\":5}", "created"},
		{"{\"uuid\":\"\"}", "uuid"},
		{"{\"uuid\":null}", "uuid"},
		{"{\"uuid\":7}", "uuid"},
		{"{\"uuid\":\"a\\nb\"}", "uuid"},
		{"{\"speed_limit\":-1}", "speed_limit"},
		{"{\"speed_limit\":\"nan\"}", "speed_limit"},
		{"{\"speed_limit\":\"1.2.3\"}", "speed_limit"},
		{"{\"speed_limit\":\"\"}", "speed_limit"},
		{"{\"speed_limit\":[]}", "speed_limit"},
		{"{\"device_limit\":1.5}", "device_limit"},
		{"{\"device_limit\":-1}", "device_limit"},
		{"{\"quota\":\"9999999999TB\"}", "quota"},
		{"{\"quota\":\"5 parsecs\"}", "quota"},
		{"{\"expire\":\"2026-02-31\"}", "expire"},
		{"{\"expire\":\"soon\"}", "expire"},
		{"{\"enabled\":2}", "enabled"},
		{"{\"enabled\":null}", "enabled"},
		{"{\"u\":-1}", "u"},
	};
	struct panel_user u;
	struct fault why;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		panel_user_init(&u);
		assert_int_equal(read_user(&u, wrong[i][0], &why), -EINVAL);
		assert_non_null(strstr(why.text, wrong[i][1]));
	}
}

static void only_enabled_unexpired_users_under_quota_are_active(void **state)
{
	struct panel_user u;

	panel_user_init(&u);
	u.expire = 1000;
	assert_true(panel_user_active(&u, 1000));
	assert_false(panel_user_active(&u, 1001));
	u.expire = 0;
	u.quota = 10;
	u.up = 4;
	u.down = 5;
	assert_true(panel_user_active(&u, 0));
	u.down = 6;
	assert_false(panel_user_active(&u, 0));
	u.up = u.down = INT64_MAX;
	assert_false(panel_user_active(&u, 0));
	u.quota = 0;
	assert_true(panel_user_active(&u, 0));
	u.enabled = false;
	assert_false(panel_user_active(&u, 0));
}

static void dates_are_days_moments_and_distances(void **state)
{
	int64_t t;

	assert_int_equal(date_parse("1970-01-02", 0, &t), 0);
	assert_true(t == 2 * 86400 - 1);
	assert_int_equal(date_parse("1970-01-02T00:00:01Z", 0, &t), 0);
	assert_true(t == 86401);
	assert_int_equal(date_parse("+30d", 1000, &t), 0);
	assert_true(t == 1000 + 30 * 86400);
	assert_int_equal(date_parse("+2h", 0, &t), 0);
	assert_true(t == 7200);
	assert_int_equal(date_parse("1234567890", 0, &t), 0);
	assert_true(t == 1234567890);
	for (const char **w =
		     (const char *[]){"", "+", "+d", "+1y", "2026", "x", "2026-13-01",
				      "2026-01-02T", "2026-01-02T1:2", "2026-01-02 10:00:00", NULL};
	     *w; w++) {
		if (strcmp(*w, "2026") != 0)
			assert_int_equal(date_parse(*w, 0, &t), -EINVAL);
	}
}

static void type_names_are_those_of_every_panel(void **state)
{
	static const char *const names[][2] = {
		{"VLESS", "vless"},   {" v2ray ", "vmess"},	{"ss", "shadowsocks"},
		{"hy2", "hysteria2"}, {"hysteria", "hysteria"}, {"socks5", "socks"},
		{"https", "http"},
	};
	char out[16];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(node_type_canonical(names[i][0], NULL, out), 0);
		assert_string_equal(out, names[i][1]);
	}
	assert_int_equal(node_type_canonical("hysteria", "hysteria2", out), 0);
	assert_string_equal(out, "hysteria2");
	assert_int_equal(node_type_canonical("", NULL, out), -EINVAL);
	assert_int_equal(node_type_canonical("vlesss", NULL, out), -EINVAL);
}

static void wrong_node_values_are_named(void **state)
{
	static const char *const wrong[][2] = {
		{"{}", "type"},
		{"{\"type\":\"vless\"}", "port"},
		{"{\"type\":\"gopher\",\"port\":1}", "type"},
		{"{\"type\":\"vless\",\"port\":0}", "port"},
		{"{\"type\":\"vless\",\"port\":65536}", "port"},
		{"{\"type\":\"vless\",\"port\":\"443x\"}", "port"},
		{"{\"type\":\"vless\",\"port\":\"20000-50000\"}", "hysteria2"},
		{"{\"type\":\"hy2\",\"port\":\"50000-20000\"}", "port"},
		{"{\"type\":\"hy2\",\"port\":\"443,\"}", "port"},
		{"{\"type\":\"hy2\",\"port\":\"443,1\"}", "port"},
		{"{\"type\":\"vless\",\"port\":1,\"host\":\"a b\"}", "host"},
		{"{\"type\":\"vless\",\"port\":1,\"token\":\"short\"}", "token"},
		{"{\"type\":\"vless\",\"port\":1,\"token\":\"ünicodeünicode\"}", "token"},
		{"{\"type\":\"vless\",\"port\":1,\"settings\":[]}", "settings"},
		{"{\"type\":\"vless\",\"port\":1,\"settings\":{\"sever_name\":\"x\"}}",
		 "sever_name"},
		{"{\"type\":\"vless\",\"port\":1,\"settings\":{\"tls\":3}}", "tls"},
		{"{\"type\":\"vless\",\"port\":1,\"settings\":{\"tls\":2}}", "server_name"},
		{"{\"type\":\"vless\",\"port\":1,\"settings\":{\"network\":\"tcp ws\"}}",
		 "network"},
		{"{\"type\":\"vless\",\"port\":1,\"settings\":{\"network\":\"pigeon\"}}",
		 "network"},
		{"{\"type\":\"vless\",\"port\":1,\"settings\":{\"tls_settings\":\"x\"}}",
		 "tls_settings"},
		{"{\"type\":\"vless\",\"port\":1,\"settings\":{\"routes\":[{\"action\":1}]}}",
		 "action"},
		{"{\"type\":\"vless\",\"port\":1,\"settings\":{\"routes\":[{\"action\":\"block\","
		 "\"match\":[1]}]}}",
		 "match"},
		{"{\"type\":\"vless\",\"port\":1,\"settings\":{\"push_interval\":0}}",
		 "push_interval"},
		{"{\"type\":\"vless\",\"port\":1,\"settings\":{\"tls\":2,\"tls_settings\":"
		 "{\"server_name\":\"x\",\"private_key\":\"abc\"}}}",
		 "private_key"},
	};
	struct panel_node n;
	struct fault why;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_int_equal(panel_node_init(&n), 0);
		assert_int_equal(read_node(&n, wrong[i][0], &why), -EINVAL);
		assert_non_null(strstr(why.text, wrong[i][1]));
		panel_node_done(&n);
	}
}

static const char *text_at(json_t *o, const char *path, const char *key)
{
	const char *s = json_string_value(json_object_get(json_object_get(o, path), key));

	return s ? s : "";
}

static void reality_keys_are_made_and_stay(void **state)
{
	struct panel_node n;
	struct fault why;
	char key[64];

	assert_int_equal(panel_node_init(&n), 0);
	assert_int_equal(read_node(&n,
				   "{\"type\":\"vless\",\"port\":443,\"settings\":{\"tls\":\"2\","
				   "\"tls_settings\":{\"server_name\":\"www.example.com\"}}}",
				   &why),
			 0);
	assert_int_equal(strlen(text_at(n.settings, "tls_settings", "private_key")), 43);
	assert_int_equal(strlen(text_at(n.settings, "tls_settings", "public_key")), 43);
	assert_int_equal(strlen(text_at(n.settings, "tls_settings", "short_id")), 8);
	snprintf(key, sizeof(key), "%s", text_at(n.settings, "tls_settings", "private_key"));
	assert_int_equal(
		read_node(&n, "{\"port\":\"8443\",\"settings\":{\"flow\":\"xtls-rprx-vision\"}}",
			  &why),
		0);
	assert_string_equal(text_at(n.settings, "tls_settings", "private_key"), key);
	panel_node_done(&n);
}

static void a_public_key_belongs_to_the_private_key_given(void **state)
{
	/* RFC 7748, 6.1: Alice's. */
	struct panel_node n;
	struct fault why;

	assert_int_equal(panel_node_init(&n), 0);
	assert_int_equal(
		read_node(&n,
			  "{\"type\":\"vless\",\"port\":443,\"settings\":{\"tls\":2,\"tls_"
			  "settings\":{"
			  "\"server_name\":\"www.example.com\","
			  "\"private_key\":\"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo\"}}}",
			  &why),
		0);
	assert_string_equal(text_at(n.settings, "tls_settings", "public_key"),
			    "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo");
	panel_node_done(&n);
}

static void shadowsocks_gets_a_cipher_and_its_key(void **state)
{
	struct panel_node n;
	struct fault why;

	assert_int_equal(panel_node_init(&n), 0);
	assert_int_equal(read_node(&n, "{\"type\":\"ss\",\"port\":8388}", &why), 0);
	assert_string_equal(json_string_value(json_object_get(n.settings, "cipher")),
			    "2022-blake3-aes-128-gcm");
	assert_int_equal(strlen(json_string_value(json_object_get(n.settings, "server_key"))), 24);
	panel_node_done(&n);
}

static void settings_are_merged_and_null_takes_away(void **state)
{
	struct panel_node n;
	struct fault why;

	assert_int_equal(panel_node_init(&n), 0);
	assert_int_equal(
		read_node(&n,
			  "{\"type\":\"vless\",\"port\":1,\"settings\":{\"network\":\"ws\","
			  "\"network_settings\":{\"path\":\"/a\",\"host\":\"h\"}}}",
			  &why),
		0);
	assert_int_equal(read_node(&n,
				   "{\"settings\":{\"network_settings\":{\"path\":null,\"x\":1},"
				   "\"tls\":\"1\"}}",
				   &why),
			 0);
	json_t *want = json(
		"{\"network\":\"ws\",\"network_settings\":{\"host\":\"h\",\"x\":1},\"tls\":1}");

	assert_true(json_equal(n.settings, want));
	/* A refusal changes nothing. */
	assert_int_equal(read_node(&n, "{\"settings\":{\"network\":null,\"tls\":9}}", &why),
			 -EINVAL);
	assert_true(json_equal(n.settings, want));
	json_decref(want);
	panel_node_done(&n);
}

static void config_is_flat_fields_and_the_shape_of_a_file(void **state)
{
	struct panel_node n;
	struct fault why;
	json_t *is, *want;

	assert_int_equal(panel_node_init(&n), 0);
	assert_int_equal(
		read_node(&n,
			  "{\"type\":\"trojan\",\"port\":443,\"host\":\"t.example\",\"settings\":{"
			  "\"server_name\":\"sni.example\",\"push_interval\":30,"
			  "\"options\":{\"ListenIP\":\"::\"},\"extra\":{\"later\":[1]},"
			  "\"yassp_psk\":\"secret\","
			  "\"routes\":[{\"id\":1,\"match\":[\"a\"],\"action\":\"block\"}]}}",
			  &why),
		0);
	n.id = 7;
	is = panel_node_config(&n);
	want = json("{\"node_type\":\"trojan\",\"server_port\":443,\"host\":\"t.example\","
		    "\"server_name\":\"sni.example\",\"network\":\"tcp\",\"network_settings\":{},"
		    "\"networkSettings\":{},\"tls_settings\":{},\"tlsSettings\":{},"
		    "\"routes\":[{\"id\":1,\"match\":[\"a\"],\"action\":\"block\"}],"
		    "\"base_config\":{\"push_interval\":30,\"pull_interval\":60},"
		    "\"Log\":{\"Level\":\"info\"},\"Cores\":[{\"Type\":\"xray\"}],"
		    "\"Nodes\":[{\"ListenIP\":\"::\",\"NodeID\":7,\"NodeType\":\"trojan\"}],"
		    "\"later\":[1]}");
	assert_true(json_equal(is, want));
	json_decref(is);
	json_decref(want);
	panel_node_done(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_user_has_a_uuid_and_no_limits),
		cmocka_unit_test(user_values_may_be_texts),
		cmocka_unit_test(wrong_user_values_are_named),
		cmocka_unit_test(only_enabled_unexpired_users_under_quota_are_active),
		cmocka_unit_test(dates_are_days_moments_and_distances),
		cmocka_unit_test(type_names_are_those_of_every_panel),
		cmocka_unit_test(wrong_node_values_are_named),
		cmocka_unit_test(reality_keys_are_made_and_stay),
		cmocka_unit_test(a_public_key_belongs_to_the_private_key_given),
		cmocka_unit_test(shadowsocks_gets_a_cipher_and_its_key),
		cmocka_unit_test(settings_are_merged_and_null_takes_away),
		cmocka_unit_test(config_is_flat_fields_and_the_shape_of_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
