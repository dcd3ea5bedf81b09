"""A DNS server for tests: answers from a table, and misbehaves by name where the table says so."""
import socket
import struct
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "TLSA": 52}
NAMES = {number: name for name, number in TYPES.items()}
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3


def pack_name(name):
    name = name.rstrip(".")
    parts = name.split(".") if name else []
    return b"".join(bytes([len(p)]) + p.encode() for p in parts) + b"\0"


def read_name(packet, at):
    parts = []
    while packet[at]:
        parts.append(packet[at + 1 : at + 1 + packet[at]].decode("latin-1"))
        at += 1 + packet[at]
    return ".".join(parts).lower(), at + 1


def pack_data(kind, value):
    if kind == "A":
        return socket.inet_pton(socket.AF_INET, value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == "TLSA":  # "3 1 1 ABCD..."
        *numbers, data = value.split()
        return bytes(int(n) for n in numbers) + bytes.fromhex(data)
    if kind == "MX":
        preference, name = value.split()
        return struct.pack("!H", int(preference)) + pack_name(name)
    if kind == "TXT":
        octets = value.encode()
        parts = [octets[i : i + 255] for i in range(0, len(octets), 255)] or [b""]
        return b"".join(bytes([len(p)]) + p for p in parts)
    if kind == "TLSA":
        usage, selector, matching, data = value.split()
        return bytes([int(usage), int(selector), int(matching)]) + bytes.fromhex(data)
    if kind == "SOA":
        primary, mailbox, *times = value.split()
        return pack_name(primary) + pack_name(mailbox) + struct.pack("!5I", *map(int, times))
    return pack_name(value)


class Dns:
    """records: {name: {type: [values]}}. A name may instead map to "hang" (no answer ever), "servfail" or
    "nxdomain"; names below one that hangs hang too. Names not in the table do not exist."""

    def __init__(self, records, address="127.0.0.53", port=0):
        self.records = dict(records)
        self.asked = []
        self.silent = False  # for all names
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.where = "%s:%d" % self.socket.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self.socket.close()

    def _serve(self):
        while True:
            try:
                packet, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            if len(packet) > 12:
                answer = self._answer(packet)
                if answer:
                    self.socket.sendto(answer, peer)

    def _find(self, name):
        found = self.records.get(name)
        if found is None:
            for other, value in self.records.items():
                if value == "hang" and name.endswith("." + other):
                    return "hang"
        return found

    def _answer(self, packet):
        name, end = read_name(packet, 12)
        kind = NAMES.get(struct.unpack_from("!H", packet, end)[0], "?")
        self.asked.append((name, kind))
        found = self._find(name)
        if self.silent or found == "hang":
            return None
        answers, code = [], NOERROR
        if found == "servfail":
            code = SERVFAIL
        elif found in (None, "nxdomain"):
            code = NXDOMAIN if not any(n.endswith("." + name) for n in self.records) else NOERROR
        else:
            answers = self._follow(name, kind)
        return self._pack(packet, end + 4, code, answers)

    def _follow(self, name, kind):
        answers = []
        for _ in range(8):
            records = self.records.get(name)
            if not isinstance(records, dict):
                break
            if "CNAME" in records and kind != "CNAME":
                target = records["CNAME"][0]
                answers.append((name, "CNAME", target))
                name = target.rstrip(".")
                continue
            answers += [(name, kind, value) for value in records.get(kind, [])]
            break
        return answers

    def _pack(self, packet, end, code, answers):
        flags = 0x8580 | code  # QR AA RD RA
        authority = b""
        if not answers and code != SERVFAIL:
            soa = pack_name("ns.test") + pack_name("root.test") + struct.pack("!5I", 1, 60, 60, 60, 1)
            authority = b"\0" + struct.pack("!HHIH", TYPES["SOA"], 1, 1, len(soa)) + soa
        out = packet[:2] + struct.pack("!5H", flags, 1, len(answers), 1 if authority else 0, 0) + packet[12:end]
        for name, kind, value in answers:
            data = pack_data(kind, value)
            out += pack_name(name) + struct.pack("!HHIH", TYPES[kind], 1, 1, len(data)) + data
        return out + authority
