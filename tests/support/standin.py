# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the providers: HTTP servers that check what the real ones check, remember every message that they took,
and misbehave when told to.

	with SendGrid() as provider:
		provider.misbehave(Fault(status=429, headers={"Retry-After": "2"}), times=1)
		...
		provider.wait(1)          # until one message was accepted
		provider.accepted[0].payload
		provider.violations       # what a real provider would have refused: should be empty
"""
import calendar
import dataclasses
import email
import email.policy
import hashlib
import hmac
import json
import re
import secrets
import socket
import ssl
import struct
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.base import EVIDENCE, patience
from tests.support.mail import has_lone_newline, unbase64


@dataclasses.dataclass
class Fault:
    """How to misbehave: answer with a status instead of accepting, and when or how to break."""
    status: int = 0                 # 0: accept the message as usual
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes | None = None       # instead of the usual one
    latency: float = 0.0            # before the answer
    hang: bool = False              # never answer (until the stand-in closes)
    reset_before: bool = False      # cut the connection before the body is read
    reset_after: bool = False       # take the message, then cut instead of answering
    slow: float = 0.0               # seconds over which the answer's bytes are spread


@dataclasses.dataclass
class Accepted:
    """A message the stand-in took. answered_at is None until the whole answer was written."""
    number: int
    payload: dict
    headers: dict
    load_id: str | None
    provider_id: str
    received_at: float              # time.monotonic(), body complete
    answered_at: float | None = None
    raw: bytes = b""                # SES: the message itself


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status
        self.text = text


class StandIn:
    """What the stand-ins share: the server, the record, the faults."""

    def __init__(self, tls=None):
        self.lock = threading.Condition()
        self.accepted = []
        self.violations = []
        self.requests = 0
        self.connections = 0
        self.rules = []             # [fault, how often still, predicate]
        self.latency = 0.0
        self.closing = threading.Event()
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                self.connection.settimeout(120)
                with standin.lock:
                    standin.connections += 1

            def log_message(self, *args):
                pass

            def do_POST(self):
                standin.serve(self)

            def do_GET(self):
                standin.serve(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1024
            block_on_close = False

            def handle_error(self, request, client_address):
                pass                # the other side may die at any moment: that is what the tests are about

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.url = f"http{'s' if tls else ''}://{'localhost' if tls else '127.0.0.1'}:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def misbehave(self, fault, times=1, when=None):
        """The next `times` requests (for which when(payload) holds) get the fault."""
        with self.lock:
            self.rules.append([fault, times, when])

    def behave(self):
        with self.lock:
            self.rules.clear()

    def _fault(self, payload):
        with self.lock:
            for rule in self.rules:
                fault, left, when = rule
                if left > 0 and (when is None or (payload is not None and when(payload))):
                    rule[1] -= 1
                    return fault
        return Fault()

    def wait(self, n, timeout=20):
        """Until n messages were accepted."""
        return self.wait_for(lambda: len(self.accepted) >= n, timeout, f"{n} messages at the provider")

    def wait_for(self, condition, timeout=20, what="the provider"):
        with self.lock:
            if not self.lock.wait_for(condition, patience(timeout)):
                raise AssertionError(f"waited in vain for {what}: {len(self.accepted)} accepted, "
                                     f"{self.requests} requests, violations {self.violations[:3]}")

    def serve(self, request):
        with self.lock:
            self.requests += 1
            self.lock.notify_all()
            early = next((r for r in self.rules if r[0].reset_before and r[1] > 0), None)
            if early:
                early[1] -= 1
        if early:
            return self._reset(request)
        length = int(request.headers.get("Content-Length", "0"))
        body = request.rfile.read(length)
        if len(body) != length:
            request.close_connection = True
            return None
        headers = {k.lower(): v for k, v in request.headers.items()}
        fault = Fault()
        try:
            payload = self.check(request.command, request.path, headers, body)
            if payload is None:
                return self._answer(request, Fault(), 200, {}, b'{"scopes":["mail.send"]}')
            fault = self._fault(payload)
            if fault.status and not 200 <= fault.status < 300:
                return self._answer(request, fault, fault.status, fault.headers,
                                    self.error_body(fault.status, "told to fail") if fault.body is None else fault.body)
        except Refused as refused:
            with self.lock:
                self.violations.append(f"{refused.status}: {refused.text}")
                self.lock.notify_all()
            return self._answer(request, Fault(), refused.status, {}, self.error_body(refused.status, refused.text))
        record = Accepted(0, payload, headers, self.load_id(payload), secrets.token_urlsafe(16), time.monotonic(),
                          raw=self.raw(payload))
        with self.lock:
            record.number = len(self.accepted)
            self.accepted.append(record)
            self.lock.notify_all()
        if fault.reset_after:
            return self._reset(request)
        if fault.hang:
            self.closing.wait(120)
            request.close_connection = True
            return None
        status, extra, answer = self.success(record)
        self._answer(request, fault, fault.status or status, extra | fault.headers,
                     answer if fault.body is None else fault.body)
        with self.lock:
            record.answered_at = time.monotonic()
            self.lock.notify_all()
        return None

    @staticmethod
    def _reset(request):
        # Linger 0: the kernel sends RST, as a crashed machine's neighbour sees it.
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.close_connection = True
        request.connection.close()

    def _answer(self, request, fault, status, headers, body):
        wait = fault.latency or self.latency
        if wait:
            self.closing.wait(wait)
        head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\nContent-Type: application/json\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        data = (head + "\r\n").encode() + body
        if fault.slow:
            step = max(1, len(data) // 20)
            for i in range(0, len(data), step):
                request.connection.sendall(data[i:i + step])
                self.closing.wait(fault.slow / 20)
        else:
            request.connection.sendall(data)


class SendGrid(StandIn):
    """POST /v3/mail/send, as the vendor's description and its error lists have it."""

    RESERVED = {"x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding", "to",
                "from", "subject", "reply-to", "cc", "bcc"}
    KNOWN = {"personalizations", "from", "reply_to", "reply_to_list", "subject", "content", "attachments", "headers",
             "categories", "custom_args", "tracking_settings", "mail_settings", "send_at", "batch_id", "asm",
             "ip_pool_name", "template_id"}

    def __init__(self, **kw):
        self.key = EVIDENCE.secret("SG." + secrets.token_urlsafe(16) + "." + secrets.token_urlsafe(32))
        super().__init__(**kw)

    def settings(self):
        return {"type": "sendgrid", "endpoint": self.url, "api_key": self.key}

    @staticmethod
    def error_body(status, text):
        return json.dumps({"errors": [{"message": text, "field": None, "help": None}]}).encode()

    @staticmethod
    def success(record):
        return 202, {"X-Message-Id": record.provider_id}, b""

    @staticmethod
    def load_id(payload):
        return next((v for k, v in payload.get("headers", {}).items() if k.lower() == "x-load-id"), None)

    @staticmethod
    def raw(payload):
        return b""

    def check(self, method, path, headers, body):
        if headers.get("authorization") != f"Bearer {self.key}":
            raise Refused(401, "authorization required")
        if method == "GET" and path == "/v3/scopes":
            return None
        if path != "/v3/mail/send":
            raise Refused(404, f"no such path {path}")
        if method != "POST":
            raise Refused(405, "method not allowed")
        if headers.get("content-type", "").split(";")[0].strip() != "application/json":
            raise Refused(415, "content type")
        if "accept" in headers and not re.search(r"application/json|\*/\*", headers["accept"]):
            raise Refused(406, "accept")
        if len(body) >= 30 << 20:
            raise Refused(413, "too large")
        try:
            payload = json.loads(body.decode("utf-8"), object_pairs_hook=self._unique)
        except UnicodeDecodeError:
            raise Refused(415, "not UTF-8") from None
        except ValueError as e:
            raise Refused(400, f"not JSON: {e}") from None
        try:
            self._mail(payload)
        except (KeyError, TypeError, AttributeError) as e:
            raise Refused(400, f"shape: {e!r}") from None
        return payload

    @staticmethod
    def _unique(pairs):
        keys = [k for k, _ in pairs]
        if len(set(keys)) != len(keys):
            raise ValueError(f"a key twice: {keys}")
        return dict(pairs)

    @staticmethod
    def _need(condition, text):
        if not condition:
            raise Refused(400, text)

    def _address(self, a, where):
        self._need(isinstance(a, dict) and set(a) <= {"email", "name"}, f"{where}: not an address object: {a!r}")
        self._need(isinstance(a.get("email"), str) and re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", a["email"]),
                   f"{where}: email {a.get('email')!r}")
        self._need(len(a["email"]) <= 320, f"{where}: email too long")
        self._need("name" not in a or (isinstance(a["name"], str) and "\n" not in a["name"]), f"{where}: name")

    def _mail(self, m):
        need = self._need
        need(isinstance(m, dict), "not an object")
        need(set(m) <= self.KNOWN, f"unknown members {set(m) - self.KNOWN}")
        self._address(m["from"], "from")
        need(isinstance(m["personalizations"], list) and 1 <= len(m["personalizations"]) <= 1000, "personalizations")
        total = 0
        for p in m["personalizations"]:
            need(isinstance(p.get("to"), list) and p["to"], "personalizations.to is required")
            seen = []
            for field in ("to", "cc", "bcc"):
                if field in p:
                    need(isinstance(p[field], list) and p[field], f"{field} must not be empty")
                    for a in p[field]:
                        self._address(a, field)
                        seen.append(a["email"].lower())
            need(len(set(seen)) == len(seen), f"an address twice: {seen}")
            need("substitutions" not in p, "substitutions would rewrite content")
            total += len(seen)
        need(total <= 1000, "more than 1000 recipients")
        need(not ("reply_to" in m and "reply_to_list" in m), "both reply_to and reply_to_list")
        if "reply_to" in m:
            self._address(m["reply_to"], "reply_to")
        for a in m.get("reply_to_list", []):
            self._address(a, "reply_to_list")
        need(isinstance(m["subject"], str) and len(m["subject"]) >= 1, "subject is empty")
        need(not re.search(r"[\r\n]", m["subject"]), "subject has a line break")
        self._contents(m["content"])
        for a in m.get("attachments", []):
            self._attachment(a)
        need(m.get("attachments") != [], "attachments must not be empty")
        self._headers(m.get("headers", {}))
        args = m.get("custom_args", {"-": "-"})
        need(isinstance(args, dict) and args and all(isinstance(v, str) for v in args.values()), "custom_args")
        need(sum(len(k) + len(v) for k, v in args.items()) <= 10000, "custom_args are too large")
        categories = m.get("categories", [])
        need(len(categories) <= 10 and len(set(categories)) == len(categories) and
             all(isinstance(c, str) and c.isascii() and len(c) <= 255 for c in categories), "categories")
        for name, setting in m.get("tracking_settings", {}).items():
            need(isinstance(setting.get("enable"), bool), f"tracking_settings.{name}.enable")

    def _contents(self, contents):
        need = self._need
        need(isinstance(contents, list) and contents, "content is required")
        rank = {"text/plain": 0, "text/html": 1}
        order = [rank.get(c["type"], 2) for c in contents]
        need(order == sorted(order), f"content order {[c['type'] for c in contents]}")
        for c in contents:
            need(not re.search(r"[;\r\n]", c["type"]), f"content type {c['type']!r}")
            need(isinstance(c["value"], str) and len(c["value"]) >= 1, "content value is empty")

    def _attachment(self, a):
        need = self._need
        need(set(a) <= {"content", "filename", "type", "disposition", "content_id"}, f"attachment {set(a)}")
        need(isinstance(a["content"], str), "attachment content")
        try:
            unbase64(a["content"])
        except ValueError:
            raise Refused(400, "attachment is not base64") from None
        need(isinstance(a["filename"], str) and not re.search(r"[\r\n;,]", a["filename"]), "attachment filename")
        need(not re.search(r"[;\r\n]", a.get("type", "")), f"attachment type {a.get('type')!r}")
        need(a.get("disposition", "attachment") in ("attachment", "inline"), "attachment disposition")
        need(a.get("disposition") != "inline" or a.get("content_id"), "inline without content_id")
        need(not re.search(r"[<>\r\n;,]", a.get("content_id", "")), "attachment content_id")

    def _headers(self, headers):
        need = self._need
        need(isinstance(headers, dict), "headers")
        names = [n.lower() for n in headers]
        need(len(set(names)) == len(names), f"a header twice: {names}")
        for name, value in headers.items():
            need(name.isascii() and re.fullmatch(r"[!-9;-~]+", name), f"header name {name!r}")
            need(name.lower() not in self.RESERVED, f"reserved header {name}")
            need(isinstance(value, str) and value.isascii(), f"header {name}: {value!r}")
            need(not re.search(r"[\r\n]", value), f"header {name} has a line break")


class Ses(StandIn):
    """POST /v2/email/outbound-emails with a raw message; the signature is computed anew here."""

    SINGLE = {"from", "subject", "reply-to", "date", "message-id", "references", "in-reply-to", "sender", "to", "cc",
              "mime-version", "content-type", "list-unsubscribe", "list-unsubscribe-post"}

    def __init__(self, region="eu-west-1", token=False, **kw):
        self.region = region
        self.access_key_id = "AKIA" + secrets.token_hex(8).upper()
        self.secret_key = EVIDENCE.secret(secrets.token_urlsafe(30))
        self.token = EVIDENCE.secret(secrets.token_urlsafe(200)) if token else None
        super().__init__(**kw)

    def settings(self):
        settings = {"type": "ses", "endpoint": self.url, "region": self.region, "access_key_id": self.access_key_id,
                    "secret_access_key": self.secret_key}
        return settings | ({"session_token": self.token} if self.token else {})

    @staticmethod
    def error_body(status, text):
        return json.dumps({"message": text}).encode()

    @staticmethod
    def success(record):
        return 200, {"x-amzn-RequestId": "r-1"}, json.dumps({"MessageId": record.provider_id}).encode()

    @staticmethod
    def raw(payload):
        return unbase64(payload["Content"]["Raw"]["Data"])

    def load_id(self, payload):
        found = re.search(rb"(?mi)^X-Load-ID: *(\S+)", self.raw(payload))
        return found.group(1).decode() if found else None

    def check(self, method, path, headers, body):
        self._signature(method, path, headers, body)
        if method == "GET" and path == "/v2/email/account":
            return None
        if (method, path) != ("POST", "/v2/email/outbound-emails"):
            raise Refused(404, f"{method} {path}")
        if headers.get("content-type", "").split(";")[0] != "application/json":
            raise Refused(415, "content type")
        try:
            payload = json.loads(body)
            self._mail(payload)
        except (ValueError, KeyError, TypeError) as e:
            raise Refused(400, f"shape: {e!r}") from None
        return payload

    def _mail(self, m):
        known = {"FromEmailAddress", "Destination", "Content", "ConfigurationSetName", "EmailTags",
                 "FeedbackForwardingEmailAddress"}
        if not set(m) <= known or set(m["Content"]) != {"Raw"}:
            raise Refused(400, f"members {set(m)}")
        if "FromEmailAddress" in m:
            raise Refused(400, "FromEmailAddress would replace the From header")
        destination = m["Destination"]
        everybody = [a for f in ("ToAddresses", "CcAddresses", "BccAddresses") for a in destination.get(f, [])]
        if not 1 <= len(everybody) <= 50:
            raise Refused(400, f"{len(everybody)} recipients")
        if not all(re.fullmatch(r"[!-~]+@[!-~]+", a) for a in everybody):
            raise Refused(400, f"recipients {everybody}")
        for tag in m.get("EmailTags", []):
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", tag["Name"]) or \
                    not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", tag["Value"]):
                raise Refused(400, f"tag {tag}")
        raw = self.raw(m)
        if has_lone_newline(raw):
            raise Refused(400, "a lone CR or LF")
        if any(len(line) > 1000 for line in raw.split(b"\r\n")):
            raise Refused(400, "a line is longer than 1000")
        parsed = email.message_from_bytes(raw, policy=email.policy.compat32)
        names = [k.lower() for k in parsed.keys()]
        twice = {n for n in names if names.count(n) > 1} & self.SINGLE
        if twice:
            raise Refused(400, f"headers twice: {twice}")
        if "bcc" in names or any(n.startswith("x-ses-") for n in names):
            raise Refused(400, f"a header that must not be there: {names}")

    def _signature(self, method, path, headers, body):
        text = headers.get("authorization", "")
        found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
                             r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})", text)
        if not found:
            raise Refused(403, "IncompleteSignature")
        akid, date, region, service, signed, signature = found.groups()
        stamp = headers.get("x-amz-date", "")
        if akid != self.access_key_id:
            raise Refused(403, "UnrecognizedClientException")
        if (region, service) != (self.region, "ses"):
            raise Refused(403, f"scope {region}/{service}")
        if not stamp.startswith(date) or abs(_amz_time(stamp) - time.time()) > 900:
            raise Refused(403, f"RequestExpired {stamp}")
        names = signed.split(";")
        if names != sorted(names) or not {"host", "x-amz-date"} <= set(names) or \
                any(n not in headers for n in names):
            raise Refused(403, f"SignedHeaders {signed}")
        if self.token and (headers.get("x-amz-security-token") != self.token or "x-amz-security-token" not in names):
            raise Refused(403, "InvalidClientTokenId")
        where, _, query = path.partition("?")
        canonical = "\n".join([
            method, urllib.parse.quote(urllib.parse.quote(urllib.parse.unquote(where), safe="/~"), safe="/~"),
            "&".join(sorted(query.split("&"))) if query else "",
            "".join(f"{n}:{re.sub(r' +', ' ', headers[n].strip())}\n" for n in names), signed,
            hashlib.sha256(body).hexdigest()])
        scope = f"{date}/{region}/{service}/aws4_request"
        to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = b"AWS4" + self.secret_key.encode()
        for step in (date, region, service, "aws4_request"):
            key = hmac.new(key, step.encode(), hashlib.sha256).digest()
        expected = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, signature):
            raise Refused(403, "SignatureDoesNotMatch")


def _amz_time(stamp):
    try:
        return calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return 0.0

