/* fuzz_config: any text as postern.conf. Whatever is read must show, freeze and thaw to the same
 * again, and every error must say where it is. References to files are left out of the input: a
 * fuzzer must not read what it likes. */
#include "config/config.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_findings(const struct config_findings *f) {
    int line = 0;
    for (size_t i = 0; i < f->count; i++) {
        MUST(f->list[i].place.line >= line);
        line = f->list[i].place.line;
        MUST(f->list[i].text.len > 0 && f->list[i].id);
    }
}

static void check_round_trip(const struct config *c) {
    struct buf frozen = buf_grow(16 << 20), again = buf_grow(16 << 20), shown = buf_grow(16 << 20);
    struct config *thawed;
    config_show(&shown, c);
    config_freeze(&frozen, c);
    MUST(!frozen.full && config_thaw(buf_bytes(&frozen), &thawed) == OK);
    config_freeze(&again, thawed);
    MUST(bytes_equal(buf_bytes(&frozen), buf_bytes(&again)));
    config_close(&thawed);
    buf_free(&frozen);
    buf_free(&again);
    buf_free(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes text = bytes_of(data, size);
    struct config_host host = { .cores = 1, .lift_not_built = size && data[0] == '!' };
    struct config *c;
    struct config_findings findings;
    if (size == 0 || bytes_search(text, B("/")) >= 0)
        return 0;
    enum rc rc = config_parse_on(&host, B("fuzz"), text, &c, &findings);
    check_findings(&findings);
    if (rc == OK)
        check_round_trip(c);
    config_close(&c);
    return 0;
}
