#include "unit.h"

#include <stdio.h>

#include "conf/ini.h"

struct file {
	struct conf_report report;
	struct ini *ini;
	const struct json_value *section;
};

static struct file read_bytes(const char *text, size_t len, const char *section)
{
	struct file f = {0};

	conf_report_init(&f.report);
	f.ini = ini_parse(text, len, "sites.cfg", &f.report);
	assert_non_null(f.ini);
	if (section && ini_has_section(f.ini, section))
		assert_int_equal(ini_section(f.ini, section, &f.report, &f.section), 0);
	return f;
}

static struct file read(const char *text, const char *section)
{
	return read_bytes(text, strlen(text), section);
}

static void done(struct file *f)
{
	ini_free(f->ini);
	conf_report_done(&f->report);
}

static const char *value(const struct file *f, const char *key)
{
	const struct json_value *v = f->section ? json_get(f->section, key) : NULL;

	return v ? v->text : NULL;
}

static void clean(const struct file *f)
{
	assert_int_equal(f->report.errors, 0);
	assert_int_equal(f->report.warnings, 0);
}

/* One error, in that line, that says this. */
static void refused(const char *text, uint32_t line, const char *part)
{
	struct file f = read(text, INI_DEFAULT);

	assert_int_equal(f.report.errors, 1);
	assert_int_equal(f.report.first->at.line, line);
	assert_non_null(strstr(f.report.first->text, part));
	done(&f);
}

static void a_section_inherits_the_defaults(void **state)
{
	static const char text[] = "[DEFAULT]\na = 1\nb = 2\n[site]\nb = 3\n[other]\nb = 4\n";
	struct file f = read(text, "site");

	clean(&f);
	assert_string_equal(value(&f, "a"), "1");
	assert_string_equal(value(&f, "b"), "3");
	assert_int_equal(f.section->len, 2);
	assert_true(ini_has_section(f.ini, "other"));
	assert_false(ini_has_section(f.ini, "Site"));
	done(&f);
	f = read(text, INI_DEFAULT);
	assert_string_equal(value(&f, "b"), "2");
	done(&f);
}

static void the_default_section_is_always_there(void **state)
{
	struct file f = read("", INI_DEFAULT);

	clean(&f);
	assert_int_equal(f.section->len, 0);
	done(&f);
}

static void keys_end_at_the_first_equals_sign_or_colon(void **state)
{
	struct file f = read("[DEFAULT]\nYassp URL: http://h:80/a=b\npush  Token = a ; b # c\n"
			     "empty =\nx=:y\n",
			     INI_DEFAULT);

	clean(&f);
	assert_string_equal(value(&f, "yassp url"), "http://h:80/a=b");
	assert_string_equal(value(&f, "push  token"), "a ; b # c");
	assert_string_equal(value(&f, "empty"), "");
	assert_string_equal(value(&f, "x"), ":y");
	done(&f);
}

static void comments_fill_their_line(void **state)
{
	struct file f = read("# a\n; b\n[DEFAULT]\n  # c = d\n\t;e = f\ng = h\n", INI_DEFAULT);

	clean(&f);
	assert_int_equal(f.section->len, 1);
	assert_string_equal(value(&f, "g"), "h");
	done(&f);
}

static void deeper_lines_go_on_with_the_value(void **state)
{
	struct file f = read("[DEFAULT]\na = one\n  two\n# no\n\n   [three]\n\nb = x\n c = d\n"
			     "  e = deeper than the key of this line\nf =\n  g\n",
			     INI_DEFAULT);

	clean(&f);
	assert_string_equal(value(&f, "a"), "one\ntwo\n\n[three]");
	assert_string_equal(value(&f, "b"), "x\nc = d\ne = deeper than the key of this line");
	assert_null(value(&f, "c"));
	assert_string_equal(value(&f, "f"), "\ng");
	done(&f);
}

static void windows_writes_them_too(void **state)
{
	struct file f = read("\xef\xbb\xbf[DEFAULT]\r\na = 1\r\n  2\r\n[b]\r\n", INI_DEFAULT);

	clean(&f);
	assert_string_equal(value(&f, "a"), "1\n2");
	assert_true(ini_has_section(f.ini, "b"));
	done(&f);
}

static void references_are_replaced(void **state)
{
	struct file f = read("[DEFAULT]\nhost = h\nurl = http://%(HOST)s/%(path)s\npath = p%%\n"
			     "[site]\nhost = other\npsk = 100% %d %%(host)s\n",
			     "site");

	clean(&f);
	assert_string_equal(value(&f, "url"), "http://other/p%");
	assert_string_equal(value(&f, "psk"), "100% %d %(host)s");
	done(&f);
}

static void wrong_references_are_errors_in_their_line(void **state)
{
	refused("[DEFAULT]\na = 1\nb = %(c)s\n", 3, "not there: c");
	refused("[DEFAULT]\na = %(a)s\n", 2, "too deep");
	refused("[DEFAULT]\na = %(b\nb=1\n", 2, "a reference is written");
	refused("[DEFAULT]\na = %(b)d\nb=1\n", 2, "a reference is written");
	refused("[DEFAULT]\na = %()s\n", 2, "a reference is written");
}

/* Each doubles the one before; ten levels of a hundred would be more than there is time for. */
static void references_do_not_explode(void **state)
{
	char text[16 * 1024] = "[DEFAULT]\na0 = \n";
	struct file f;

	for (int i = 1; i < 9; i++) {
		snprintf(text + strlen(text), 32, "a%d = ", i);
		for (int j = 0; j < 100; j++)
			snprintf(text + strlen(text), 32, "%%(a%d)s", i - 1);
		snprintf(text + strlen(text), 32, "\n");
	}
	f = read(text, INI_DEFAULT);
	assert_true(f.report.errors > 0);
	assert_non_null(strstr(f.report.first->text, "too deep"));
	done(&f);
}

static void what_is_no_ini_is_told_with_its_line(void **state)
{
	refused("a = 1\n", 1, "before any section");
	refused("[DEFAULT]\n\njust words\n", 3, "neither");
	refused("[DEFAULT]\n= 1\n", 2, "neither");
	refused("[DEFAULT]\na=1\nA = 2\n", 3, "line 2");
	refused("[a]\n[b]\n[a]\n", 3, "line 1");
	refused("[]\n", 1, "not a section");
	refused("[DEFAULT\na = 1\n", 1, "not a section");
	refused("[DEFAULT]\na = \xff\n", 2, "UTF-8");
}

static void all_problems_are_told_at_once(void **state)
{
	struct file f = read("[DEFAULT]\nwords\na=1\na=2\n  and more of it\n[x] y\n[x]\nb\n", NULL);

	assert_int_equal(f.report.errors, 4);
	assert_int_equal(f.report.warnings, 1);
	done(&f);
}

static void a_nul_is_no_text(void **state)
{
	struct file f = read_bytes("[DEFAULT]\na=b\0c\n", 16, NULL);

	assert_int_equal(f.report.errors, 1);
	assert_int_equal(f.report.first->at.line, 2);
	done(&f);
}

static void a_file_has_a_limit(void **state)
{
	char *text = malloc(INI_FILE_MAX + 1);
	struct file f;

	memset(text, '#', INI_FILE_MAX + 1);
	f = read_bytes(text, INI_FILE_MAX + 1, NULL);
	assert_int_equal(f.report.errors, 1);
	done(&f);
	f = read_bytes(text, INI_FILE_MAX, NULL);
	clean(&f);
	done(&f);
	free(text);
}

static void too_many_keys_are_an_error(void **state)
{
	size_t size = (INI_KEYS_MAX + 1) * 16 + 16, at;
	char *text = malloc(size);
	struct file f;

	at = (size_t)snprintf(text, size, "[DEFAULT]\n");
	for (int i = 0; i <= INI_KEYS_MAX; i++)
		at += (size_t)snprintf(text + at, size - at, "k%d=1\n", i);
	f = read(text, NULL);
	assert_int_equal(f.report.errors, 1);
	done(&f);
	free(text);
}

static void sections_are_named_for_people_as_far_as_there_is_room(void **state)
{
	struct file f = read("[DEFAULT]\na = 1\n[one]\n[second]\n[3]\n", NULL);
	char names[32], few[8];

	assert_int_equal(ini_section_names(f.ini, names, sizeof(names)), 3);
	assert_string_equal(names, "one, second, 3");
	assert_int_equal(ini_section_names(f.ini, few, sizeof(few)), 3);
	assert_string_equal(few, "one");
	done(&f);
	f = read("[DEFAULT]\na = 1\n", NULL);
	assert_int_equal(ini_section_names(f.ini, names, sizeof(names)), 0);
	assert_string_equal(names, "");
	done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_section_inherits_the_defaults),
		cmocka_unit_test(the_default_section_is_always_there),
		cmocka_unit_test(keys_end_at_the_first_equals_sign_or_colon),
		cmocka_unit_test(comments_fill_their_line),
		cmocka_unit_test(deeper_lines_go_on_with_the_value),
		cmocka_unit_test(windows_writes_them_too),
		cmocka_unit_test(references_are_replaced),
		cmocka_unit_test(wrong_references_are_errors_in_their_line),
		cmocka_unit_test(references_do_not_explode),
		cmocka_unit_test(what_is_no_ini_is_told_with_its_line),
		cmocka_unit_test(all_problems_are_told_at_once),
		cmocka_unit_test(a_nul_is_no_text),
		cmocka_unit_test(a_file_has_a_limit),
		cmocka_unit_test(too_many_keys_are_an_error),
		cmocka_unit_test(sections_are_named_for_people_as_far_as_there_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
