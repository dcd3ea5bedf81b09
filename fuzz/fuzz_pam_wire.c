/* Questions to the helper that runs PAM, and its answers, from somebody who was taken over; and what
 * `logins` may say of PAM. What is read as a question is written back the same. */
#include "base/must.h"
#include "keeper/pam.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes input = bytes_of(data, size), text, service, domain, user;
    struct pam_question q;
    enum source_result result;
    char memory[8192];
    struct buf b = buf_fixed(memory, sizeof memory);
    if (pam_parse_question(input, &q)) {
        pam_format_question(&b, &q);
        MUST(bytes_equal(buf_bytes(&b), input));
    }
    if (pam_parse_answer(input, &result, &text))
        MUST(result <= SOURCE_DOWN);
    if (pam_parse_setting(input, &service, &domain))
        MUST(service.len && bytes_find(service, '/') < 0 && bytes_find(domain, '@') < 0);
    if (pam_user(input, B("a.example"), &user))
        MUST(user.len && user.len <= input.len);
    return 0;
}
