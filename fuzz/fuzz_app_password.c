/* What an app password is bound to, as the keeper's wire carries it: a list that says anything binds to
 * something. */
#include "base/must.h"
#include "flow/app_password.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes text = bytes_of(data, size);
    struct facts f = { 0 };
    struct arena *a = arena_open();
    bool says = false;
    for (size_t i = 0; i < text.len; i++)
        says |= text.at[i] != ' ';
    facts_take_app_password(&f, a, B("x"), text, text);
    MUST((f.app_senders.count > 0) == says && (f.app_networks.count > 0) == says);
    facts_take_app_password(&f, a, BYTES_NONE, text, text);
    MUST(!f.app_senders.count && !f.app_networks.count);
    arena_close(&a);
    return 0;
}
