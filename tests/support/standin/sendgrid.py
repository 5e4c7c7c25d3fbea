# SPDX-License-Identifier: Apache-2.0
"""SendGrid's v3 Mail Send (sources: deliver/provider_sendgrid.c)."""
import json
import re
import secrets

from tests.support.base import EVIDENCE
from tests.support.mail import unbase64
from tests.support.standin.server import Pieces, Refused, StandIn, Told


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
    def error_body(status, text, **_):
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

    @staticmethod
    def pieces(payload):
        return Pieces(payload.get("subject"), payload["from"].get("name", ""),
                      [(c["type"], c["value"]) for c in payload["content"]],
                      [(a["filename"], a["type"], a["content_id"] if a["disposition"] == "inline" else "",
                        unbase64(a["content"])) for a in payload.get("attachments", [])])

    def check(self, method, path, headers, body):
        if headers.get("authorization") != f"Bearer {self.key}":
            raise Refused(401, "authorization required")
        if method == "GET" and path == "/v3/scopes":
            raise Told({"scopes": ["mail.send"]})
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
