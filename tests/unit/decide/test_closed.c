/* The proof by brute force, with dice from a fixed seed: what the fuzzer does, some thousand times. */
#include "../../../fuzz/fuzz_proof.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint8_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint8_t)(state >> 32);
}

static void test_brute_force(void **unused) {
    (void)unused;
    enum { ROUNDS = 2500, DICE = 600 };
    for (int i = 0; i < ROUNDS; i++) {
        uint8_t data[DICE];
        for (int j = 0; j < DICE; j++)
            data[j] = next();
        (void)LLVMFuzzerTestOneInput(data, DICE);
    }
    fprintf(stderr, "%u closed, %u open and shown, %u refused without an example, %u relayed\n",
            proofs_closed, proofs_open, proofs_unshown, proofs_relayed);
    assert_true(proofs_closed > 200 && proofs_open > 200 && proofs_unshown > 50);
    assert_true(proofs_relayed > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_brute_force) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
