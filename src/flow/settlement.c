/* settlement: the names of a recipient's states, and which of them are its end. */
#include "flow/settlement.h"

#include "base/must.h"

static const struct {
    const char *name;
    bool final;
} states[RECIPIENT_STATES] = {
    [RECIPIENT_DUE] = { "due", false },
    [RECIPIENT_SENDING] = { "sending", false },
    [RECIPIENT_DEFERRED] = { "deferred", false },
    [RECIPIENT_HELD] = { "held", false },
    [RECIPIENT_DELIVERED] = { "delivered", true },
    [RECIPIENT_RELAYED] = { "relayed", true },
    [RECIPIENT_EXPANDED] = { "expanded", true },
    [RECIPIENT_BOUNCED] = { "bounced", true },
    [RECIPIENT_REMOVED] = { "removed", true },
};

const char *recipient_state_name(enum recipient_state s) {
    MUST((unsigned)s < RECIPIENT_STATES);
    return states[s].name;
}

bool recipient_state_parse(struct bytes name, enum recipient_state *out) {
    for (unsigned i = 0; i < RECIPIENT_STATES; i++)
        if (bytes_equal(name, bytes_str(states[i].name))) {
            *out = (enum recipient_state)i;
            return true;
        }
    return false;
}

bool recipient_state_final(enum recipient_state s) {
    MUST((unsigned)s < RECIPIENT_STATES);
    return states[s].final;
}
