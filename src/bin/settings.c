/* settings: asks the machine for its name and cores; the DNS is never asked. */
#include "bin/settings.h"
#include "sys/files.h"

#include <stdio.h>
#include <unistd.h>

enum { HOSTS_MAX = 4 * 1024 * 1024 };

enum rc settings_parse(struct bytes file, struct config **out,
                       struct config_findings *findings_out) {
    struct arena *a = arena_open();
    char name[256] = "";
    struct bytes hosts = BYTES_NONE;
    struct why why;
    gethostname(name, sizeof(name) - 1);
    (void)files_read(B("/etc/hosts"), HOSTS_MAX, a, &hosts, &why);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct config_host host = {
        .hostname = config_find_fqdn(bytes_str(name), hosts),
        .cores = cores > 0 ? (unsigned)cores : 1,
    };
    enum rc rc = config_parse_on(&host, file, BYTES_NONE, out, findings_out);
    arena_close(&a);
    return rc;
}

struct config *settings_find(const char *command, struct bytes file) {
    struct config *config;
    struct config_findings findings = { 0 };
    settings_parse(file, &config, &findings);
    if (!config->incomplete)
        return config;
    fprintf(stderr, "postern %s: the configuration %.*s cannot be used", command, BYTES_FMT(file));
    for (size_t i = 0; i < findings.count; i++)
        if (findings.list[i].severity == FINDING_ERROR) {
            if (findings.list[i].place.line > 0) /* else it is about the whole file */
                fprintf(stderr, ": line %d", findings.list[i].place.line);
            fprintf(stderr, ": %.*s", BYTES_FMT(findings.list[i].text));
            break;
        }
    fprintf(stderr, "\n(postern check -c %.*s shows all that is wrong)\n", BYTES_FMT(file));
    config_close(&config);
    return NULL;
}
