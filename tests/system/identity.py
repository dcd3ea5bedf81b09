"""A small identity provider: it signs real tokens, publishes its keys and its metadata, answers introspections and
gives tokens to clients. It can be slow, down, lie, and renew its keys; it keeps what it was asked."""
import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n, width=None):
    return b64(n.to_bytes(width or (n.bit_length() + 7) // 8, "big"))


class Key:
    count = 0

    def __init__(self, alg="RS256"):
        Key.count += 1
        self.alg, self.kid = alg, f"key-{Key.count}"
        self.private = rsa.generate_private_key(65537, 2048) if alg[0] == "R" else ec.generate_private_key(ec.SECP256R1())

    def jwk(self):
        n = self.private.public_key().public_numbers()
        head = {"kid": self.kid, "use": "sig", "alg": self.alg}
        if self.alg[0] == "R":
            return {**head, "kty": "RSA", "n": number(n.n), "e": number(n.e)}
        return {**head, "kty": "EC", "crv": "P-256", "x": number(n.x, 32), "y": number(n.y, 32)}

    def pem(self):
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, text):
        if self.alg[0] == "R":
            return self.private.sign(text, padding.PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(self.private.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class Identity:
    """secrets: {client: secret}. fault: None, "down" (503), "hang", "lie" (nonsense), "big"."""

    def __init__(self, address="127.0.0.1", certificate=None, secrets=None, alg="RS256"):
        self.secrets = secrets or {}
        self.keys = [Key(alg)]
        self.fault = None
        self.asked = []  # (path, form)
        self.opaque = {}  # token: what the introspection says
        self.valid = set()  # access tokens given out
        self.refresh = {}  # refresh token: times used; one use each
        self.lasts, self.rotates, self.max_age = 3600, True, None
        self.lock, self.closing, self.count = threading.Lock(), threading.Event(), 0
        identity = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                identity.handle(self, {})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                identity.handle(self, {k: v[0] for k, v in parse_qs(body.decode()).items()})

        self.server = ThreadingHTTPServer((address, 0), Handler)
        self.server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        port = self.server.server_address[1]
        self.url = f"{'https' if certificate else 'http'}://{address}:{port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    # --- HTTP ---

    def handle(self, request, form):
        path = request.path
        with self.lock:
            self.asked.append((path, form))
        if self.fault == "hang":
            self.closing.wait(60)
            return
        if self.fault == "down":
            return self.reply(request, 503, b"down")
        if self.fault == "lie":
            return self.reply(request, 200, b'{"keys": "none", "active": "yes", "access_token": 7, "issuer": "https://evil.example"}')
        if self.fault == "big":
            return self.reply(request, 200, b'{"keys": [' + b" " * 1000000 + b"]}")
        handler = {"/.well-known/openid-configuration": self.metadata, "/keys": self.key_set, "/introspect": self.introspect,
                   "/token": self.token_endpoint, "/redirect": self.redirect}.get(path)
        code, answer = handler(request, form) if handler else (404, {"error": "not found"})
        self.reply(request, code, json.dumps(answer).encode())

    def reply(self, request, code, body):
        request.send_response(code)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        if self.max_age is not None:
            request.send_header("Cache-Control", f"public, max-age={self.max_age}")
        if code == 302:
            request.send_header("Location", self.url + "/keys")
        request.end_headers()
        request.wfile.write(body)

    def metadata(self, request, form):
        return 200, {"issuer": self.url, "jwks_uri": self.url + "/keys", "token_endpoint": self.url + "/token"}

    def key_set(self, request, form):
        return 200, self.jwks()

    def redirect(self, request, form):
        return 302, {}

    def jwks(self):
        return {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}] + [k.jwk() for k in self.keys]}

    def client(self, request, form):
        """The client that asks, if it is known."""
        head = request.headers.get("Authorization", "")
        if head.startswith("Basic "):
            name, _, secret = base64.b64decode(head[6:]).decode().partition(":")
            name, secret = unquote(name), unquote(secret)
        else:
            name, secret = form.get("client_id"), form.get("client_secret", "")
        return name if self.secrets.get(name) == secret else None

    def introspect(self, request, form):
        if not self.client(request, form):
            return 401, {"error": "invalid_client"}
        return 200, self.opaque.get(form.get("token"), {"active": False})

    def token_endpoint(self, request, form):
        if not self.client(request, form):
            return 401, {"error": "invalid_client", "error_description": "who are you"}
        answer = {"token_type": "Bearer", "expires_in": self.lasts}
        with self.lock:
            self.count += 1
            if form["grant_type"] == "refresh_token":
                old = form["refresh_token"]
                if self.refresh.get(old) != 0:
                    return 400, {"error": "invalid_grant", "error_description": "unknown, or used before"}
                if self.rotates:
                    self.refresh[old] += 1
                    answer["refresh_token"] = f"refresh-{self.count}"
                    self.refresh[answer["refresh_token"]] = 0
            answer["access_token"] = f"access-{self.count}"
            self.valid.add(answer["access_token"])
        return 200, answer

    def times(self, path):
        with self.lock:
            return len([p for p, _ in self.asked if p == path])

    # --- tokens ---

    def claims(self, **more):
        now = int(time.time())
        claims = {"iss": self.url, "aud": "mail", "email": "terri@proseware.com", "iat": now - 5, "exp": now + 600, **more}
        return {k: v for k, v in claims.items() if v is not None}

    def token(self, key=None, header=None, **claims):
        key = key or self.keys[-1]
        head = {"alg": key.alg, "typ": "JWT", "kid": key.kid, **(header or {})}
        text = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(self.claims(**claims)).encode())}".encode()
        return text.decode() + "." + b64(key.sign(text))

    def unsigned(self, **claims):
        return f"{b64(json.dumps({'alg': 'none'}).encode())}.{b64(json.dumps(self.claims(**claims)).encode())}."

    def confused(self, **claims):
        """Signed with HMAC, whose secret is the public key (RFC 8725 section 2.1)."""
        head = {"alg": "HS256", "typ": "JWT", "kid": self.keys[-1].kid}
        text = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(self.claims(**claims)).encode())}".encode()
        return text.decode() + "." + b64(hmac.new(self.keys[-1].pem(), text, hashlib.sha256).digest())
