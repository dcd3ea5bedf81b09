"""A DNS server whose one zone is signed (RFC 4034, ECDSA P-256): for what depends on DNSSEC. What is not there is denied
by an NSEC made for the question."""
import hashlib
import struct
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from dns_server import NAMES, NOERROR, TYPES, Dns, pack_data, pack_name, read_name

RRSIG, NSEC, DNSKEY, ALGORITHM = 46, 47, 48, 13


class SignedDns(Dns):
    """forged: a set of (name, type) whose signatures are wrong."""

    def __init__(self, records, apex, **how):
        self.apex, self.forged = apex, set()
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        self.dnskey = struct.pack("!HBB", 257, 3, ALGORITHM) + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        super().__init__(records, **how)

    @property
    def tag(self):
        total = sum(b << 8 if i % 2 == 0 else b for i, b in enumerate(self.dnskey))
        return (total + (total >> 16)) & 0xFFFF

    def anchor(self):
        digest = hashlib.sha256(pack_name(self.apex) + self.dnskey).hexdigest()
        return f"{self.apex}. IN DS {self.tag} {ALGORITHM} 2 {digest}\n"

    def _is_signed(self, name):
        return name == self.apex or name.endswith("." + self.apex)

    def _sign(self, name, number, datas):
        """The RRSIG of a set."""
        now = int(time.time())
        labels = len(name.split("."))
        head = struct.pack("!HBBIIIH", number, ALGORITHM, labels, 60, now + 86400, now - 86400, self.tag) + pack_name(self.apex)
        rows = b"".join(pack_name(name) + struct.pack("!HHIH", number, 1, 60, len(d)) + d for d in sorted(datas))
        r, s = utils.decode_dss_signature(self.key.sign(head + rows, ec.ECDSA(hashes.SHA256())))
        if (name, NAMES.get(number)) in self.forged:
            r = r ^ 1
        return head + r.to_bytes(32, "big") + s.to_bytes(32, "big")

    @staticmethod
    def _row(name, number, data):
        return pack_name(name) + struct.pack("!HHIH", number, 1, 60, len(data)) + data

    def _set(self, name, number, datas):
        rows = [self._row(name, number, d) for d in datas]
        if self._is_signed(name):
            rows.append(self._row(name, RRSIG, self._sign(name, number, datas)))
        return rows

    def _denial(self, name, records):
        types = sorted([TYPES[k] for k in records] + [RRSIG, NSEC] + ([DNSKEY] if name == self.apex else []))
        bits = bytearray(max(types) // 8 + 1)
        for number in types:
            bits[number // 8] |= 0x80 >> number % 8
        nsec = b"\1\0" + pack_name(name) + bytes([0, len(bits)]) + bytes(bits)
        soa = [pack_data("SOA", v) for v in self.records[self.apex]["SOA"]]
        return self._set(self.apex, TYPES["SOA"], soa) + self._set(name, NSEC, [nsec])

    def _answer(self, packet):
        name, end = read_name(packet, 12)
        number = struct.unpack_from("!H", packet, end)[0]
        if not self._is_signed(name):
            return super()._answer(packet)
        answers, authority = [], []
        for _ in range(4):
            records = self.records.get(name, {})
            if number == DNSKEY and name == self.apex:
                answers += self._set(name, DNSKEY, [self.dnskey])
                break
            if "CNAME" in records and NAMES.get(number) != "CNAME":
                answers += self._set(name, TYPES["CNAME"], [pack_data("CNAME", v) for v in records["CNAME"]])
                name = records["CNAME"][0].rstrip(".")
                continue
            values = records.get(NAMES.get(number), [])
            if values:
                answers += self._set(name, number, [pack_data(NAMES[number], v) for v in values])
            else:
                authority += self._denial(name, records)
            break
        option = b"\0" + struct.pack("!HHIH", 41, 4096, 0x8000, 0)
        head = packet[:2] + struct.pack("!5H", 0x8580 | NOERROR, 1, len(answers), len(authority), 1)
        return head + packet[12 : end + 4] + b"".join(answers + authority) + option
