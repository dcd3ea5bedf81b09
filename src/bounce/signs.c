/* signs: what makes a message look like a mail server's about another message: its sender, its subject in
 * the languages that servers speak, phrases that programs have written for decades. */
#include "bounce/internal.h"

#include "base/must.h"

/* As phrases_in, of words and a text in lower case. */
static bool has_low(struct bytes low, const struct bytes *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes_search(low, words[i]) >= 0)
            return true;
    return false;
}

static struct bytes field(const struct reading *r, struct bytes name) {
    struct bytes value;
    return mime_field(r->header, name, r->arena, &value) ? mime_words(value, r->arena) : BYTES_NONE;
}

bool signs_of_daemon(const struct reading *r) {
    static const struct bytes senders[] = {
        W("mailer-daemon"),
        W("mailer daemon"),
        W("mailerdaemon"),
        W("postmaster"),
        W("mail delivery"),

        W("system administrator"),
        W("mail administrator"),
        W("delivery subsystem"),
        W("maildelivery"),
        W("mail system"),
        W("mdaemon"),
        W("microsoft outlook"),
        W("microsoftexchange"),
        W("mailsystem"),
        W("mailer@"),
        W("bounce"),
        W("mailadm"),
        W("mail-adm"),
        W("internet mail"),
        W("mail router"),
        W("administrator@"),
        W("mmdf"),

        W("delivery status"),
        W("mail gateway"),
        W("mail server"),
        W("mta"),
        W("dsn@"),
        W("ndr@"),
        W("message delivery"),
    };
    return phrases_in(field(r, B("From")), senders, COUNT_OF(senders));
}

bool signs_of_null_path(const struct reading *r) {
    return bytes_equal(bytes_trim(field(r, B("Return-Path"))), B("<>"));
}

/* Words of the subjects of bounces, in the languages that servers write them in. */
static const struct bytes bounce_subjects[] = {
    W("undeliver"),
    W("delivery fail"),
    W("delivery status"),
    W("failure notice"),
    W("returned mail"),
    W("returning message"),
    W("returned to sender"),
    W("delivery notification"),
    W("delivery error"),
    W("could not be delivered"),
    W("mail delivery"),
    W("mail failed"),
    W("message delayed"),
    W("delivery delayed"),
    W("non-delivery"),
    W("nondeliver"),
    W("delivery report"),
    W("delivery problem"),
    W("failed mail"),
    W("mail error"),
    W("user unknown"),
    W("unknown user"),
    W("not deliver"),
    W("failure delivery"),
    W("returned message"),
    W("message could not"),
    W("bounced"),
    W("mail system error"),
    W("delivery has failed"),
    W("delayed mail"),
    W("delivery warning"),
    W("message status"),
    W("dsn:"),
    W("rejected"),
    W("undeliverable"),
    W("delivery attempt"),
    W("warning: could not send"),
    W("warning: message"),
    W("failed delivery"),
    W("delivery unsuccessful"),
    W("sending failed"),
    W("send failed"),
    W("unable to deliver"),
    W("error sending"),
    W("email failed"),
    W("message failed"),
    W("blocked"),
    W("mail not sent"),
    W("unzustellbar"),
    W("nicht zugestellt"),
    W("zustellung"),
    W("rückläufer"),
    W("non remis"),
    W("non distribu"),
    W("échec"),
    W("echec"),
    W("non d\xc3\xa9livr"),
    W("no se puede entregar"),
    W("no entregado"),
    W("no se pudo entregar"),
    W("devuelto"),
    W("fallo"),
    W("mancata consegna"),
    W("non recapitabile"),
    W("impossibile recapitare"),
    W("mancato recapito"),
    W("n\xc3\xa3o entregue"),
    W("devolvid"),
    W("falha"),
    W("n\xc3\xa3o foi poss"),
    W("onbestelbaar"),
    W("niet bezorgd"),
    W("niet afgeleverd"),
    W("niedostarczon"),
    W("nie dostarcz"),
    W("nedoru\xc4\x8d"),
    W("kézbesíthetetlen"),
    W("teslim edilemedi"),
    W("oleverans"),
    W("ikke lever"),
    W("ej leverera"),
    W("\xd0\xbd\xd0\xb5 \xd0\xb4\xd0\xbe\xd1\x81\xd1\x82\xd0\xb0\xd0\xb2"),
    W("\xd0\xbd\xd0\xb5\xd0\xb4\xd0\xbe\xd1\x81\xd1\x82\xd0\xb0\xd0\xb2"),
    W("\xe9\x80\x80\xe4\xbf\xa1"), /* zh: returned letter */
    W("\xe9\x85\x8d\xe4\xbf\xa1"), /* ja: delivery */
    W("\xe9\x80\x81\xe4\xbf\xa1\xe3\x82\xa8\xe3\x83\xa9\xe3\x83\xbc"),
    W("\xe6\x8a\x95\xe9\x80\x92"), /* zh: delivery */
    W("\xe6\x9c\xaa\xe9\x80\x81\xe8\xbe\xbe"),
    W("\xe3\x82\xa8\xe3\x83\xa9\xe3\x83\xbc"), /* ja: error */
    W("\xd0\xb5\xd0\xb4\xd0\xbe\xd1\x81\xd1\x82\xd0\xb0\xd0\xb2"),
    W("\xd0\xb5 \xd0\xb4\xd0\xbe\xd1\x81\xd1\x82\xd0\xb0\xd0\xb2"),
    W("\xd0\xb5 \xd1\x83\xd0\xb4\xd0\xb0\xd0\xbb\xd0\xbe\xd1\x81\xd1\x8c \xd0\xb4\xd0\xbe\xd1\x81\xd1\x82\xd0\xb0\xd0\xb2\xd0\xb8\xd1\x82\xd1\x8c"),
    W("\xd1\x88\xd0\xb8\xd0\xb1\xd0\xba\xd0\xb0 \xd0\xb4\xd0\xbe\xd1\x81\xd1\x82\xd0\xb0\xd0\xb2\xd0\xba\xd0\xb8"),
    W("\xd0\xbe\xd0\xb7\xd0\xb2\xd1\x80\xd0\xb0\xd1\x89"),
    W("\xe6\x97\xa0\xe6\xb3\x95\xe6\x8a\x95\xe9\x80\x92"),
    W("\xe9\x80\x80\xe5\x9b\x9e"),
    W("\xe7\x84\xa1\xe6\xb3\x95"),
    W("\xe5\x82\xb3\xe9\x80\x81\xe5\xa4\xb1\xe6\x95\x97"),
    W("\xe6\x9c\xaa\xe9\x80\x81\xe9\x81\x94"),
    W("\xe6\x8a\x95\xe9\x80\x92\xe5\xa4\xb1\xe8\xb4\xa5"),
    W("\xe9\x80\x81\xe4\xbf\xa1\xe3\x81\xa7\xe3\x81\x8d"),
    W("\xe9\x85\x8d\xe4\xbf\xa1\xe4\xb8\x8d\xe8\x83\xbd"),
    W("\xe4\xb8\x8d\xe9\x81\x94"),
    W("\xe5\xb1\x8a\xe3\x81\x91"),
    W("\xe9\x80\x81\xe4\xbf\xa1\xe5\xa4\xb1\xe6\x95\x97"),
    W("\xec\xa0\x84\xec\x86\xa1 \xec\x8b\xa4\xed\x8c\xa8"),
    W("\xec\xa0\x84\xec\x86\xa1\xec\x8b\xa4\xed\x8c\xa8"),
    W("\xeb\xb0\x9c\xec\x86\xa1 \xec\x8b\xa4\xed\x8c\xa8"),
    W("\xeb\xb0\x9c\xec\x86\xa1\xec\x8b\xa4\xed\x8c\xa8"),
    W("\xeb\xb0\xb0\xeb\x8b\xac\xeb\x90\x98\xec\xa7\x80"),
    W("\xce\xbc\xce\xb7 \xcf\x80\xce\xb1\xcf\x81"),
    W("zwrot"),
    W("non consegn"),
    W("consegna non"),
    W("remise"),
    W("n\xc3\xa3o p\xc3\xb4"
      "de"),
    W("no pudo"),
    W("ne peut"),
    W("impossible de"),
    W("levering mislukt"),
    W("kunne ikke leveres"),
    W("kunde inte"),
    W("toimitus"),
    W("\xeb\xb0\x98\xec\x86\xa1"), /* ko: returned */
};

static bool is_subject(struct bytes subject) {
    return phrases_in(subject, bounce_subjects, COUNT_OF(bounce_subjects));
}

bool signs_of_subject(const struct reading *r) {
    return is_subject(field(r, B("Subject")));
}

/* How programs present themselves, and what to call them. */
static const struct {
    struct bytes phrase;
    const char *format;
} phrases[] = {
    /* clang-format off */
    { W("qmail-send program"), "qmail" },
    { W("this is the mail system at host"), "postfix" },
    { W("this is the postfix program"), "postfix" },
    { W("created automatically by mail delivery software"), "exim" },
    { W("a message that you sent could not be delivered"), "exim" },
    { W("the following addresses had permanent fatal errors"), "sendmail" },
    { W("the following addresses had transient"), "sendmail" },
    { W("the following addresses had delivery"), "sendmail" },
    { W("transcript of session follows"), "sendmail" },
    { W("dragonfly mail agent"), "dragonfly" },
    { W("running the courier mail server"), "courier" },
    { W("this is the mailer-daemon, please do not reply"), "opensmtpd" },
    { W("diagnostic information for administrators"), "exchange" },
    { W("generating server:"), "exchange" },
    { W("did not reach the following recipient"), "exchange" },
    { W("delivery to the following recipient"), "gmail" },
    { W("technical details of permanent failure"), "gmail" },
    { W("not listed in domino directory"), "domino" },
    { W("name & address book"), "domino" },
    { W("the message that you sent was undeliverable"), "groupwise" },
    { W("james mail server"), "james" },
    { W("this report relates to a message you sent"), "messagingserver" },
    { W("sorry, we were unable to deliver your message"), "yahoo" },
    { W("unable to deliver message to the following address"), "yahoo" },
    { W("could not be delivered because of"), "mailmarshal" },
    { W("inform you on the delivery status of a message"), "powermta" },
    { W("the following recipients were affected"), "mailmarshal" },
    { W("ml manager for the ml"), "fml" },
    { W("not be delivered to mobile"), "verizon" },
    { W("communigate pro"), "communigate" },
    { W("mdaemon"), "mdaemon" },
    { W("-smtp command"), "mfilter" },
    { W("-server message"), "mfilter" },
    /* clang-format on */
};

const char *signs_format(const struct reading *r) {
    for (size_t i = 0; i < COUNT_OF(phrases); i++)
        if (bytes_search(r->low, phrases[i].phrase) >= 0)
            return phrases[i].format;
    return NULL;
}

/* Sentences of servers' that people do not write. */
static bool is_phrased(const struct reading *r) {
    static const struct bytes words[] = {
        W("could not be delivered"),
        W("couldn't be delivered"),
        W("cannot be delivered"),
        W("was not delivered"),
        W("undeliverable"),
        W("permanent error"),
        W("delivery has failed"),
        W("delivery failed"),
        W("unable to deliver"),
        W("had permanent fatal"),
        W("failed permanently"),
        W("failed recipient"),
        W("not able to be delivered"),
        W("wasn't able to deliver"),
        W("could not deliver"),
        W("has not yet been delivered"),
        W("did not reach"),
        W("user unknown"),
        W("mailbox unavailable"),
        W("mailbox full"),
        W("delivery to"),
        W("failed to deliver"),
        W("not been delivered"),
        W("returned to you"),
        W("delivery errors"),
        W("delivery problems"),
        W("was rejected"),
        W("could not be sent"),
        W("mail delivery"),
        W("over quota"),
        W("error occurred while"),
        W("trouble delivering"),
        W("not delivered"),
        W("zugestellt"),
        W("pas pu \xc3\xaatre"),
        W("no se pudo"),
        W("no se ha podido"),
        W("impossibile"),
        W("n\xc3\xa3o p\xc3\xb4"
          "de"),
    };
    return has_low(r->low, words, COUNT_OF(words));
}

static bool is_quoting(const struct reading *r) {
    size_t quoted = 0;
    for (size_t i = 0; i < r->lines.count && quoted < 3; i++)
        quoted += bytes_starts(r->lines.at[i].text, B("> "));
    return quoted >= 3;
}

bool signs_of_bounce(const struct reading *r) {
    struct bytes value;
    static const struct bytes fml[] = { W("fml") }; /* it answers what it does not distribute */
    unsigned points = 0;
    bool daemon = signs_of_daemon(r) || signs_of_null_path(r);
    points += daemon ? 2 : 0;
    points += signs_of_subject(r) ? 2 : 0;
    points += mime_field(r->header, B("X-Failed-Recipients"), r->arena, &value) ? 4 : 0;
    points += phrases_in(field(r, B("X-MLServer")), fml, COUNT_OF(fml)) ? 3 : 0;
    if (!points || (!daemon && is_quoting(r)))
        return false; /* a person's letter with a bounce in it is read in another way */
    points += signs_format(r) ? 2 : 0;
    points += is_phrased(r) ? 1 : 0;
    return points >= 3;
}

bool signs_of_delay(const struct reading *r) {
    static const struct bytes subjects[] = { W("delayed"), W("delay)"), W("warning: message"),
                                             W("warning: could not send"),
                                             W("still being retried") };
    static const struct bytes words[] = {
        W("has not yet been delivered"),
        W("not yet been delivered"),
        W("will keep trying"),
        W("delivery attempts will continue"),
        W("will be retried"),
        W("will continue to try"),
        W("server will continue trying"),
        W("do not need to resend"),
        W("no need to resend"),
        W("will retry"),
        W("is only a warning"),
        W("warning message only"),
        W("will try again"),
        W("delivery is delayed"),
        W("delivery has been delayed"),
    };
    static const struct bytes over[] = {
        W("giving up"),       W("given up"),        W("will be deleted from queue"),
        W("permanent error"), W("permanent fatal"), W("failed permanently"),
        W("no further")
    };
    if (has_low(r->low, over, COUNT_OF(over)))
        return false;
    return phrases_in(field(r, B("Subject")), subjects, COUNT_OF(subjects)) ||
           has_low(r->low, words, COUNT_OF(words));
}

bool signs_of_success(const struct reading *r) {
    static const struct bytes words[] = {
        W("successfully delivered"), W("was successfully"),       W("successful delivery"),
        W("has been delivered to"),  W("delivered successfully"), W("successful mail delivery")
    };
    static const struct bytes over[] = { W("could not"), W("cannot be"), W("not deliver"),
                                         W("fail"),      W("error"),     W("unable"),
                                         W("not been") };
    if (has_low(r->low, over, COUNT_OF(over)))
        return false;
    return has_low(r->low, words, COUNT_OF(words)) ||
           bytes_search_nocase(field(r, B("Subject")), B("success")) >= 0;
}
