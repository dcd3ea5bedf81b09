/* control_sign: what anybody of this host may have written, made into a request that names who asks. Both
 * keys are set over whatever the peer wrote there. */
#include "bin/control.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

bool control_sign(struct bytes line, bool trusted, struct bytes operator_name, struct buf *out) {
    json_t *json = json_loadb(line.at ? line.at : "", line.len, 0, NULL);
    if (!json_is_object(json)) {
        json_decref(json);
        return false;
    }
    json_object_set_new(json, "trusted", json_boolean(trusted));
    json_object_set_new(json, "operator", json_stringn(operator_name.at, operator_name.len));
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    buf_clear(out);
    buf_str(out, text ? text : "{}");
    if (text)
        explicit_bzero(text, strlen(text)); /* there may be a password in it */
    free(text);
    return !out->full;
}
