/* The manual page postern.conf(5): its list of settings is the schema's, to the letter. With
 * WRITE_MANUAL=1 in the environment the test writes the list into the page instead. Also the same
 * list as text and as JSON. */
#include "config_test.h"

#include "config/schema.h"

#define PAGE  "docs/man/postern.conf.5"
#define BEGIN ".\\\" settings: written from src/config/schema.c\n"
#define END   ".\\\" end of settings\n"

static void read_page(struct buf *b) {
    FILE *f = fopen(PAGE, "r");
    assert_non_null(f);
    for (int c; (c = fgetc(f)) != EOF;)
        buf_char(b, (char)c);
    fclose(f);
    assert_false(b->full);
}

static void write_page(struct bytes head, struct bytes settings, struct bytes tail) {
    FILE *f = fopen(PAGE, "w");
    assert_non_null(f);
    fprintf(f, "%.*s%.*s%.*s", BYTES_FMT(head), BYTES_FMT(settings), BYTES_FMT(tail));
    assert_int_equal(fclose(f), 0);
}

static void the_page_has_every_setting(void **state) {
    (void)state;
    struct buf page = buf_grow(1 << 20), settings = buf_grow(1 << 20);
    read_page(&page);
    config_settings(&settings, CONFIG_ROFF);
    ptrdiff_t begin = bytes_search(buf_bytes(&page), B(BEGIN));
    ptrdiff_t end = bytes_search(buf_bytes(&page), B(END));
    assert_true(begin >= 0 && end > begin);
    struct bytes head = bytes_first(buf_bytes(&page), (size_t)begin + sizeof BEGIN - 1);
    struct bytes tail = bytes_skip(buf_bytes(&page), (size_t)end);
    struct bytes there = bytes_slice(buf_bytes(&page), head.len, (size_t)end);
    if (getenv("WRITE_MANUAL"))
        write_page(head, buf_bytes(&settings), tail);
    else if (!bytes_equal(there, buf_bytes(&settings)))
        fail_msg("%s is not what the schema says; run this test with WRITE_MANUAL=1", PAGE);
    buf_free(&page);
    buf_free(&settings);
}

static size_t count_of(struct bytes text, const char *part) {
    size_t n = 0;
    for (ptrdiff_t at; (at = bytes_search(text, bytes_str(part))) >= 0; n++)
        text = bytes_skip(text, (size_t)at + strlen(part));
    return n;
}

static void rows_for_people_and_scripts(void **state) {
    (void)state;
    struct buf text = buf_grow(1 << 20), json = buf_grow(1 << 20);
    config_settings(&text, CONFIG_TEXT);
    config_settings(&json, CONFIG_JSON);
    assert_false(text.full || json.full);
    assert_int_equal(count_of(buf_bytes(&text), "      Expected: "), schema_count);
    assert_int_equal(count_of(buf_bytes(&json), "\n"), schema_count);
    assert_int_equal(count_of(buf_bytes(&json), "\"reload\":"), schema_count);
    assert_true(bytes_search(buf_bytes(&json),
                             B("{\"section\":\"queue\",\"name\":\"give_up\",\"type\":\"duration\","
                               "\"expected\":\"a duration such as 30s, 15min, 4h or 5d, from 1min "
                               "to 30d\",\"default\":\"5d\",\"built\":\"yes\",")) >= 0);
    assert_true(bytes_search(buf_bytes(&text), B("Built so far: smtp pop3.")) >= 0);
    buf_free(&text);
    buf_free(&json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_has_every_setting),
        cmocka_unit_test(rows_for_people_and_scripts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
