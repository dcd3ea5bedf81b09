/* replay: gives every file of the named folders to the fuzzer it is linked with, so that make check
 * runs all corpora without libFuzzer. Each input lies in memory of exactly its size: reading past
 * its end is found. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Some fuzzers have a setup of their own. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static int fail(const char *what, const char *name) {
    fprintf(stderr, "replay: %s: ", what);
    perror(name);
    return 1;
}

static int replay_file(const char *name) {
    FILE *f = fopen(name, "rb");
    if (!f)
        return fail("cannot open", name);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    if (size < 0 || !data || fread(data, 1, (size_t)size, f) != (size_t)size) {
        fclose(f);
        free(data);
        return fail("cannot read", name);
    }
    fclose(f);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    return 0;
}

static int replay_folder(const char *folder, size_t *count) {
    struct dirent **list;
    int n = scandir(folder, &list, NULL, alphasort);
    if (n < 0)
        return fail("cannot list", folder);
    int rc = 0;
    for (int i = 0; i < n; i++) {
        char name[4096];
        snprintf(name, sizeof(name), "%s/%s", folder, list[i]->d_name);
        if (list[i]->d_name[0] != '.') {
            rc |= replay_file(name);
            ++*count;
        }
        free(list[i]);
    }
    free(list);
    return rc;
}

int main(int argc, char **argv) {
    size_t count = 0;
    int rc = 0;
    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        rc |= replay_folder(argv[i], &count);
    printf("%zu inputs\n", count);
    return rc || count == 0;
}
