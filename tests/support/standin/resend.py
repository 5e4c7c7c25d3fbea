# SPDX-License-Identifier: Apache-2.0
"""Resend's POST /emails and /emails/batch (sources: deliver/provider_resend.c)."""
import json
import mimetypes
import re
import secrets
import uuid

from tests.support.base import EVIDENCE
from tests.support.mail import unbase64
from tests.support.standin.server import Pieces, Refused, StandIn, Told


class Resend(StandIn):
    """A request whose idempotency key is known is answered as the first was, and not taken again: `repeated` counts
    those. Recipients in `unwanted` are refused. `dropped` are messages that Resend would lose without a word."""

    KNOWN = {"from", "to", "cc", "bcc", "reply_to", "subject", "html", "text", "headers", "attachments", "tags",
             "scheduled_at", "topic_id"}

    def __init__(self, sending_only=False, unwanted=(), **kw):
        self.key = EVIDENCE.secret("re_" + secrets.token_urlsafe(24))
        self.sending_only = sending_only
        self.unwanted = set(unwanted)
        self.known = {}             # idempotency key: (request, record)
        self.repeated = 0
        self.dropped = []
        super().__init__(**kw)

    def settings(self):
        return {"type": "resend", "endpoint": self.url, "api_key": self.key}

    @staticmethod
    def error_body(status, text, name=None, **_):
        names = {400: "validation_error", 401: "missing_api_key", 403: "invalid_api_key", 404: "not_found",
                 405: "method_not_allowed", 422: "invalid_parameter", 429: "rate_limit_exceeded",
                 500: "application_error"}
        return json.dumps({"statusCode": status, "message": text,
                           "name": name or names.get(status, "internal_server_error")}).encode()

    def success(self, record):
        record.provider_id = str(uuid.uuid4())
        mails = record.payload["mails"]
        if not record.payload["is_batch"]:
            answer = {"id": record.provider_id}
        else:
            bad = [i for i, m in enumerate(mails) if self._unwanted(m)]
            answer = {"data": [{"id": record.provider_id if i == 0 else str(uuid.uuid4())}
                               for i in range(len(mails) - len(bad))]}
            if bad:
                answer["errors"] = [{"index": i, "message": f"Invalid `to` field in {i}"} for i in bad]
        answer = json.dumps(answer).encode()
        with self.lock:
            self.known[record.headers["idempotency-key"]] = (record.payload, answer)
        return 200, {}, answer

    def _unwanted(self, mail):
        return any(a in self.unwanted for a in self.addresses(mail, "to"))

    @staticmethod
    def raw(payload):
        return b""

    @staticmethod
    def pieces(payload):
        m = payload["mails"][0]
        name = re.fullmatch(r"(.*) <[^<>]+>", m["from"])
        return Pieces(m["subject"], name[1] if name else "",
                      [(t, m[k]) for k, t in (("text", "text/plain"), ("html", "text/html")) if k in m],
                      [(a["filename"], a.get("content_type", ""), a.get("content_id", ""), unbase64(a["content"]))
                       for a in m.get("attachments", [])])

    @staticmethod
    def load_id(payload):
        headers = payload["mails"][0].get("headers", {})
        return next((v for k, v in headers.items() if k.lower() == "x-load-id"), None)

    @staticmethod
    def addresses(mail, field):
        """The bare addresses of a field."""
        return [re.sub(r"^.*<([^<>]+)>$", r"\1", a) for a in mail.get(field, [])]

    def check(self, method, path, headers, body):
        if not headers.get("user-agent"):
            raise Refused(403, "blocked at the edge")
        if "authorization" not in headers:
            raise Refused(401, "Missing API key in the authorization header", name="missing_api_key")
        if headers["authorization"] != f"Bearer {self.key}":
            raise Refused(403, "API key is invalid", name="invalid_api_key")
        if method == "GET" and path == "/domains":
            if self.sending_only:
                raise Told({"statusCode": 401, "name": "restricted_api_key",
                            "message": "This API key is restricted to only send emails"}, status=401)
            raise Told({"object": "list", "has_more": False, "data": []})
        if path not in ("/emails", "/emails/batch"):
            raise Refused(404, "The requested endpoint does not exist", name="not_found")
        if method != "POST":
            raise Refused(405, "This endpoint does not support the method", name="method_not_allowed")
        if headers.get("content-type", "").split(";")[0].strip() != "application/json":
            raise Refused(400, "content type", name="validation_error")
        key = headers.get("idempotency-key", "-")
        if not 1 <= len(key) <= 256:
            raise Refused(400, "The key must be between 1-256 chars", name="invalid_idempotency_key")
        return self._mails(path == "/emails/batch", key, headers, body)

    def _mails(self, is_batch, key, headers, body):
        try:
            read = json.loads(body.decode("utf-8"))
            mails = read if is_batch else [read]
            if not isinstance(mails, list) or not 1 <= len(mails) <= 100:
                raise Refused(422, "a batch has 1 to 100", name="validation_error")
            for mail in mails:
                self._mail(mail, len(body) if not is_batch else 0)
                if is_batch and ("attachments" in mail or "scheduled_at" in mail):
                    raise Refused(422, "attachments and scheduled_at are not supported in a batch",
                                  name="validation_error")
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise Refused(422, f"shape: {e!r}", name="validation_error") from None
        payload = {"mails": mails, "is_batch": is_batch}
        with self.lock:
            known = self.known.get(key)
        if known is not None:
            if known[0] != payload:
                raise Refused(409, "This idempotency key has been used with another request",
                              name="invalid_idempotent_request")
            with self.lock:
                self.repeated += 1
            raise Told(known[1])
        if not is_batch and self._unwanted(mails[0]):
            raise Refused(422, "Invalid `to` field", name="validation_error")
        if is_batch and any(self._unwanted(m) for m in mails) and headers.get("x-batch-validation") != "permissive":
            raise Refused(422, "Invalid `to` field", name="validation_error")
        for mail in mails:
            self._drop(mail)
        return payload

    def _mail(self, m, size):
        def need(condition, text, name="invalid_parameter"):
            if not condition:
                raise Refused(422, text, name=name)
        need(set(m) <= self.KNOWN, f"unknown members {set(m) - self.KNOWN}")
        need(size <= 40 << 20, "larger than 40 MB")
        for field in ("from", "to", "subject"):
            need(m.get(field), f"Missing `{field}` field", "missing_required_field")
        need("html" in m or "text" in m, "Missing `html` or `text` field", "missing_required_field")
        self._address(m["from"], "from")
        if "=?" in m["from"]:
            raise Refused(451, "The email payload contain invalid characters", name="security_error")
        seen = []
        for field in ("to", "cc", "bcc", "reply_to"):
            need(isinstance(m.get(field, []), list), f"{field} is no list")
            need(field not in m or m[field], f"{field} is empty")
            need(len(m.get(field, [])) <= 50, f"more than 50 in {field}")
            for one in m.get(field, []):
                self._address(one, field)
            seen += self.addresses(m, field) if field != "reply_to" else []
        need(len({a.lower() for a in seen}) == len(seen), f"an address twice: {seen}")
        need("\n" not in m["subject"] and "\r" not in m["subject"], "The `\\n` is not allowed in the `subject` field")
        need(all(isinstance(m.get(f, ""), str) for f in ("html", "text")), "html or text")
        for name, value in m.get("headers", {}).items():
            need(re.fullmatch(r"[!-9;-~]+", name) and isinstance(value, str) and value.isascii() and
                 not re.search(r"[\r\n]", value), f"header {name}: {value!r}")
        for tag in m.get("tags", []):
            need(all(re.fullmatch(r"[A-Za-z0-9_-]{1,256}", tag[k]) for k in ("name", "value")), f"tag {tag}")
        for a in m.get("attachments", []):
            need(set(a) <= {"content", "filename", "content_type", "content_id"}, f"attachment {set(a)}")
            need(a.get("content"), "Attachment must have either a content or path", "invalid_attachment")
            unbase64(a["content"])
            need(isinstance(a.get("filename"), str) and a["filename"], "attachment filename", "invalid_attachment")

    @staticmethod
    def _address(text, field):
        found = re.fullmatch(r'(?:([^<>"(),;:\\@\[\]]+) <)?([^\s<>@,;]+@[^\s<>@,;]+)(?(1)>)', text)
        if not found or not text.split("<")[-1].isascii():
            raise Refused(422, f"Invalid `{field}` field. The email address needs to follow the `email@example.com` or "
                               f"`Name <email@example.com>` format: {text!r}", name="validation_error")

    def _drop(self, mail):
        for a in mail.get("attachments", []):
            by_name = mimetypes.guess_type(a["filename"], strict=False)[0]
            if "content_type" in a and by_name and by_name != a["content_type"]:
                with self.lock:
                    self.dropped.append(f"{a['filename']} is {a['content_type']}, not {by_name}")
