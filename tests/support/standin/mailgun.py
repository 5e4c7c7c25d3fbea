# SPDX-License-Identifier: Apache-2.0
"""Mailgun's messages.mime (sources: deliver/provider_mailgun.c)."""
import base64
import email
import email.policy
import email.utils
import json
import re
import secrets

from tests.support.base import EVIDENCE
from tests.support.mail import has_lone_newline
from tests.support.standin.server import Refused, StandIn, Told


class Mailgun(StandIn):
    """POST /v3/DOMAIN/messages.mime. The payload is the form, the message in it as Latin-1. `sending_only`: a domain
    sending key, which may do nothing else."""

    OPTIONS = {"o:tag", "o:dkim", "o:deliverytime", "o:testmode", "o:tracking", "o:tracking-clicks", "o:tracking-opens",
               "o:require-tls", "o:skip-verification"}

    def __init__(self, domain="mg.example.com", sending_only=False, **kw):
        self.domain = domain
        self.sending_only = sending_only
        self.key = EVIDENCE.secret("key-" + secrets.token_hex(16))
        super().__init__(**kw)

    def settings(self):
        return {"type": "mailgun", "endpoint": self.url, "api_key": self.key, "domain": self.domain}

    @staticmethod
    def error_body(status, text, **_):
        return b"Forbidden" if status == 401 else json.dumps({"message": text}).encode()

    def success(self, record):
        record.provider_id = f"20261122.{record.provider_id}@{self.domain}"
        return 200, {}, json.dumps({"id": f"<{record.provider_id}>", "message": "Queued. Thank you."}).encode()

    @staticmethod
    def raw(payload):
        return payload["message"].encode("latin-1")

    def load_id(self, payload):
        found = re.search(rb"(?mi)^X-Load-ID: *(\S+)", self.raw(payload))
        return found.group(1).decode() if found else None

    def check(self, method, path, headers, body):
        wanted = "Basic " + base64.b64encode(b"api:" + self.key.encode()).decode()
        if headers.get("authorization") != wanted:
            raise Refused(401, "Forbidden")
        if not path.startswith(f"/v3/{self.domain}/") and path != f"/v3/domains/{self.domain}":
            raise Refused(404, "Domain not found")
        if path == f"/v3/domains/{self.domain}" and method == "GET":
            if self.sending_only:
                raise Refused(401, "Forbidden")
            raise Told({"domain": {"name": self.domain, "state": "active"}})
        if method == "POST" and path == f"/v3/{self.domain}/messages" and not body:
            raise Told({"message": "from parameter is missing"}, status=400)
        if path != f"/v3/{self.domain}/messages.mime":
            raise Refused(404, "page not found")
        if method != "POST":
            raise Refused(405, "Method Not Allowed")
        if len(body) > 52.4 * (1 << 20):
            raise Refused(413, "Request Entity Too Large")
        return self._mail(self._form(headers.get("content-type", ""), body))

    @staticmethod
    def _form(kind, body):
        """[(name, file name, value)], strictly as RFC 7578 and RFC 2046 have it."""
        found = re.fullmatch(r'multipart/form-data; *boundary="?([0-9A-Za-z\'()+_,./:=? -]{1,70})"?', kind)
        if not found:
            raise Refused(400, "it is no multipart/form-data")
        mark = b"--" + found.group(1).encode()
        pieces = (b"\r\n" + body).split(b"\r\n" + mark)
        if pieces[0] != b"" or pieces[-1] != b"--\r\n":
            raise Refused(400, "the form does not begin or end as it should")
        fields = []
        for piece in pieces[1:-1]:
            head, sep, value = piece.partition(b"\r\n\r\n")
            if not head.startswith(b"\r\n") or not sep:
                raise Refused(400, "a part without a header")
            lines = head[2:].decode("ascii").split("\r\n")
            where = [line for line in lines if line.lower().startswith("content-disposition:")]
            found = re.fullmatch(r'(?i:content-disposition): form-data; name="([^"]+)"(?:; filename="([^"]+)")?',
                                 where[0] if len(where) == 1 else "")
            if not found:
                raise Refused(400, f"a part's header {lines}")
            fields.append((found.group(1), found.group(2), value))
        return fields

    def _mail(self, fields):
        mail = {"to": []}
        for name, file_name, value in fields:
            if name == "message":
                if file_name is None:
                    raise Refused(400, "'message' parameter is not a file")
                value = value.decode("latin-1")
            else:
                if file_name is not None:
                    raise Refused(400, f"'{name}' parameter is a file")
                value = value.decode("utf-8")
            if name == "to":
                mail["to"] += [a for _, a in email.utils.getaddresses([value])]
            elif name in mail and name != "o:tag":
                raise Refused(400, f"'{name}' twice")
            else:
                mail[name] = value
        unknown = {n for n in mail if n not in {"to", "message"} | self.OPTIONS and not n.startswith(("v:", "h:X-"))}
        if unknown:
            raise Refused(400, f"unknown parameters {unknown}")
        if "message" not in mail:
            raise Refused(400, "message parameter is missing")
        if not mail["to"]:
            raise Refused(400, "to parameter is missing")
        if len(mail["to"]) > 1000:
            raise Refused(400, "too many recipients")
        if not all(re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", a) for a in mail["to"]):
            raise Refused(400, f"'to' parameter is not a valid address. please check documentation {mail['to']}")
        if sum(len(k) + len(v) for k, v in mail.items() if k[:2] in ("o:", "h:", "v:")) > 16384:
            raise Refused(400, "o:, h: and v: are larger than 16 kB")
        if any(mail.get(o, "no") not in ("yes", "no", "true", "false", "htmlonly") for o in self.OPTIONS if "track" in o):
            raise Refused(400, "a tracking option")
        self._mime(self.raw(mail))
        return mail

    @staticmethod
    def _mime(raw):
        if len(raw) > 25 << 20:
            raise Refused(413, "Request Entity Too Large")
        if has_lone_newline(raw):
            raise Refused(400, "a lone CR or LF")
        names = [k.lower() for k in email.message_from_bytes(raw, policy=email.policy.compat32).keys()]
        if "from" not in names:
            raise Refused(400, "'from' parameter is missing")
        if "bcc" in names or any(n.startswith("x-mailgun-") for n in names):
            raise Refused(400, f"a header that must not be there: {names}")
