#!/usr/bin/env python3
"""Messages of many shapes through the converter, read back by Python's email module: the same parts
in the same order with the same content, the same subjects and names, and no octet above 127.
    downgrade_roundtrip.py FILTER"""
import email, email.header, email.policy, random, subprocess, sys

FILTER = sys.argv[1]
CRLF = b"\r\n"


def run(message, step):
    done = subprocess.run([FILTER, str(step)], input=message, capture_output=True)
    return done.returncode, done.stdout, done.stderr.decode()


def parts(message):
    """Each part's type and decoded content; line ends in front of a boundary are not content."""
    out = []
    for part in message.walk():
        if part.is_multipart():
            out.append((part.get_content_type(), None))
        else:
            out.append((part.get_content_type(), part.get_payload(decode=True)))
    return out


def check(message, **wanted):
    first = None
    for step in (1, 7, 64, 65536):
        status, out, said = run(message, step)
        assert status == 0, (status, said, message[:400])
        assert first in (None, out), "pieces change the result"
        first = out
    assert max(out) < 128 and b"\n" not in out.replace(CRLF, b"") and b"\r" not in out.replace(CRLF, b"")
    longest = max(len(line) for line in out.split(CRLF))
    assert longest <= max(998, max(len(line) for line in message.split(CRLF))), longest
    before, after = (email.message_from_bytes(m, policy=email.policy.compat32) for m in (message, out))
    assert parts(before) == parts(after), (parts(before), parts(after), out)
    for part in after.walk():
        assert part.get("Content-Transfer-Encoding", "7bit").lower() not in ("8bit", "binary"), out
    for key, value in wanted.items():
        got = str(email.header.make_header(email.header.decode_header(after[key.replace("_", "-")])))
        assert got == value, (got, value)
    assert abs(int(said) - len(out)) <= len(out) / 5 + 2000, (said, len(out))
    return after, out


def refused(message, words):
    for step in (3, 65536):
        status, out, said = run(message, step)
        assert status == 3 and words in said, (status, said, words)


def lines(*texts):
    return CRLF.join(t.encode() if isinstance(t, str) else t for t in texts) + CRLF

# --- one part ---
head = "Mime-Version: 1.0\r\nSubject: x"
plain = "Content-Type: text/plain; charset=utf-8"
m, out = check(lines(head, plain, "Content-Transfer-Encoding: 8bit", "", "Grüße = ja ", "\tEnde\t", ".", ""))
assert m["Content-Transfer-Encoding"] == "quoted-printable"
m, out = check(lines(head, plain, "", "Привет, мир. Как дела?" * 30))
assert m["Content-Transfer-Encoding"] == "base64"
check(lines(head, "Content-Type: application/octet-stream", "Content-Transfer-Encoding: binary", "",
            bytes(range(256)).replace(b"\r", b"").replace(b"\n", b"") * 9))
check(lines(head, plain, "", "ü" + "x" * 5000))
check(lines(head, plain, "", "x" * 75 + "ü", "x" * 74 + "=ü", "y" * 76 + " "))
m, out = check(lines(head, plain.replace("utf-8", "iso-8859-1"), "Content-Transfer-Encoding: 8BIT (why)", "",
                     "Grüße".encode("latin-1")))
assert m.get_payload(decode=True).decode("latin-1").strip() == "Grüße"
# no MIME at all: what it holds is said as far as it is known
m, out = check(lines("Subject: x", "", "Grüße"))
assert m["MIME-Version"] == "1.0" and m.get_content_charset() == "utf-8"
m, out = check(lines("Subject: x", "", b"Gr\xfc\xdfe"))
assert m.get_content_charset() == "unknown-8bit"
check(lines("Subject: x", "", "ohne Zeilenende ü")[:-2] + CRLF)
# a wrong declaration
m, out = check(lines(head, plain, "Content-Transfer-Encoding: quoted-printable", "", "a=C3=BC und ü=", "weiter =3D"))
assert m["Content-Transfer-Encoding"] == "quoted-printable"
check(lines(head, "Content-Type: image/png", "Content-Transfer-Encoding: base64", "", b"aGFs\xfcbG8="))
check(lines(head, plain, "Content-Transfer-Encoding: 8bit", "Content-Transfer-Encoding: 7bit", "", "ü"))
check(lines(head, plain, "Content-Transfer-Encoding: 7bit", "", "ü"))
refused(lines(head, plain, "Content-Transfer-Encoding: x-uuencode", "", "ü"), "transfer encoding")

# --- several parts ---
def multi(sub, *inner, b="=_b1", extra=""):
    out = [f'Content-Type: multipart/{sub};\r\n boundary="{b}"{extra}', "Content-Transfer-Encoding: 8bit", "",
           "This is a message in MIME format."]
    for part in inner:
        out += ["--" + b + " ", part]
    return lines(*out, f"--{b}--", "epilogue")[:-2]

german = lines(plain, "Content-Transfer-Encoding: 8bit", "", "Grüße")[:-2]
ascii_ = lines("Content-Type: text/html", "Content-Transfer-Encoding: 8bit", "", "<p>hello")[:-2]
image = lines("Content-Type: image/png", "Content-Transfer-Encoding: base64", "", "aGFsbG8=")[:-2]
bare = lines("", "ä in a part without header")[:-2]
m, out = check(lines(head, multi("mixed", german, ascii_, image, bare)))
assert [p.get("Content-Transfer-Encoding") for p in m.walk()] == [
    "7bit", "quoted-printable", "7bit", "base64", "quoted-printable"], out
assert b"This is a message in MIME format." in out and b"epilogue" in out
check(lines(head, multi("mixed", multi("alternative", german, ascii_, b="in:ner"), image)))
check(lines(head, multi("mixed", multi("alternative", german, ascii_, b="=_b1=1"), german)))  # a prefix
# one that is not closed ends with the one around it
check(lines(head, multi("mixed", lines('Content-Type: multipart/mixed; boundary=in', "", "--in", german)[:-2], german)))
letter = lines("Content-Type: message/rfc822", "Content-Transfer-Encoding: 8bit", "",
               "From: Jörg <j@x>", "Subject: Grüße aus Köln", head.split("\r\n")[0],
               multi("mixed", german, image, b="deep"))[:-2]
m, out = check(lines(head, multi("mixed", german, letter, german)))
inner = m.get_payload(1).get_payload(0)
assert str(email.header.make_header(email.header.decode_header(inner["Subject"]))) == "Grüße aus Köln"
digest = lines("", "Subject: ä", "", "ö")[:-2]
m, out = check(lines(head, multi("digest", digest, digest)))
assert m.get_payload(0).get_payload(0).get_content_charset() == "utf-8"
check(lines(head, multi("report", german, lines("Content-Type: message/delivery-status", "",
      "Reporting-MTA: dns; a", "", "Final-Recipient: rfc822; b@c", "Diagnostic-Code: smtp; 550 no"))))
m, out = check(lines(head, multi("mixed", german)).replace(b"MIME format", "MIMÉ".encode()).replace(b"epilogue", "épi".encode()))
assert b"MIM??" in out and b"??pi" in out

# --- what is not touched ---
signature = lines("Content-Type: application/pgp-signature", "", "abc")[:-2]
seven = lines("Content-Type: text/plain", "Content-Transfer-Encoding: 7bit", "", "signed=20text ")[:-2]
refused(lines(head, multi("signed", german, signature)), "5.6.3 a part with a signature")
refused(lines(head, multi("mixed", german, multi("signed", multi("mixed", german, b="x"), signature, b="s"))), "signature")
m, out = check(lines(head, multi("mixed", german, multi("signed", seven, signature, b="s"))))
assert seven in out and signature in out
check(lines(head, "X-Name: Jörg", multi("signed", seven, signature)), X_Name="Jörg")
refused(lines(head, multi("encrypted", signature, german)), "5.6.3 an encrypted")
refused(lines(head, "Content-Type: message/partial; id=x; number=1", "", "ü"), "5.6.3 it is a fragment")
refused(lines(head, "Content-Type: multipart/mixed", "", "--b", "", "ü"), "structure")
nested = german
for i in range(40):
    nested = multi("mixed", nested, b=f"n{i}")
refused(lines(head, nested), "deeper")
refused(lines(head, multi("mixed", *[bare] * 10001)), "more parts")
refused(lines("X: " + "a" * 600000, "", "ü"), "more parts")

# --- header fields ---
check(lines("Subject: Grüße aus Köln und " + "Überall " * 30, "", "x"), Subject=("Grüße aus Köln und " + "Überall " * 30).strip())
check(lines("Subject: plain words with one größer", "", "x"), Subject="plain words with one größer")
check(lines("Subject: =?utf-8?q?Gr=C3=BC?= ße", "", "x"), Subject="Grü ße")
check(lines("Subject: " + "語" * 100, "", "x"), Subject="語" * 100)
m, out = check(lines(b"Subject: Gr\xfc\xdfe", "", "x"))
assert b"unknown-8bit" in out
m, out = check(lines('From: "Müller, Jörg" <j@example.com>', "To: Jörg Müller <a@b>,", " Ωmega (der Größte) <c@d>, e@f", "", "x"))
address = lambda v: email.utils.getaddresses([str(email.header.make_header(email.header.decode_header(v)))])
assert [a for _, a in email.utils.getaddresses([m["To"]])] == ["a@b", "c@d", "e@f"], m["To"]
assert address(m["To"])[0][0] == "Jörg Müller" and [a for _, a in email.utils.getaddresses([m["From"]])] == ["j@example.com"]
refused(lines("From: <jörg@example.com>", "", "x"), "5.6.7 an address")
refused(lines("Cc: a@b, ü@example.com", "", "x"), "5.6.7 an address")
m, out = check(lines(head, "Content-Type: text/plain; charset=utf-8; name=\"Größe 1.txt\"",
                     "Content-Disposition: attachment; filename=Übung.txt; size=3", "", "x"))
assert m.get_filename() == "Übung.txt", out
assert email.utils.collapse_rfc2231_value(m.get_param("name")) == "Größe 1.txt" and m.get_param("size", header="Content-Disposition") == "3"
m, out = check(lines("Received: from mün.example by x", " with SMTP", "Message-ID: <ü@x>", "", "x"))
assert b"m??n.example" in out

# --- anything ---
random.seed(6152)
def entity(depth):
    if depth and random.random() < 0.5:
        return multi(random.choice(["mixed", "alternative", "digest" if False else "related"]),
                     *[entity(depth - 1) for _ in range(random.randint(1, 3))], b=f"r{random.randrange(10**6)}")
    if depth and random.random() < 0.2:
        return lines("Content-Type: message/rfc822", "", "Subject: ö", entity(depth - 1))[:-2]
    body = CRLF.join("".join(random.choice("abc=. -\tüß漢Я\x00") for _ in range(random.randint(0, 120))).encode()
                     for _ in range(random.randint(0, 6)))
    return lines(plain, random.choice(["Content-Transfer-Encoding: 8bit", "X-Y: z"]), "", body)[:-2]
for _ in range(60):
    check(lines(head, entity(4)))
print("ok")
