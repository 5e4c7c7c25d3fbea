# SPDX-License-Identifier: Apache-2.0
"""Cakemail's Email API (sources: deliver/provider_cakemail.c)."""
import json
import re
import secrets
import time
import urllib.parse
import uuid

from tests.support.base import EVIDENCE
from tests.support.mail import unbase64
from tests.support.standin.server import Pieces, Refused, StandIn, Told


class CakemailApi(StandIn):
    """POST /v2/emails, one recipient a call; POST /token; GET /brands/default/senders. `senders`: address: confirmed.
    Tokens last `lifetime` seconds; `end_tokens()` ends all. Addresses in `rejected` are refused with a 201."""

    KINDS = {"csv", "doc", "docx", "calendar", "jpeg", "pdf", "png", "xls", "xlsx"}
    KNOWN = {"sender", "content", "email", "list_id", "contact_id", "tags", "tracking", "additional_headers", "attachment",
             "without_list_management"}

    def __init__(self, senders=None, rejected=(), lifetime=3600, list_id=11, with_key=False, **kw):
        self.user = "gateway+1@example.com"
        self.password = EVIDENCE.secret(secrets.token_urlsafe(18) + "&=+ %")
        self.key = EVIDENCE.secret("ck_pat_" + secrets.token_hex(20)) if with_key else None
        self.senders = {"sender@example.com": True} if senders is None else dict(senders)
        self.ids = {}               # address: sender id
        self.rejected = set(rejected)
        self.lifetime = lifetime
        self.list_id = list_id
        self.tokens = {}            # token: until
        self.asked = []             # (method, path) of what is no message
        super().__init__(**kw)

    def settings(self):
        settings = {"type": "cakemail", "endpoint": self.url, "list_id": self.list_id}
        return settings | ({"api_key": self.key} if self.key else {"user": self.user, "password": self.password})

    def end_tokens(self):
        with self.lock:
            self.tokens.clear()

    def count(self, path):
        with self.lock:
            return sum(p == path for _, p in self.asked)

    @staticmethod
    def error_body(status, text, where=None, **_):
        return json.dumps({"detail": [{"loc": ["body", *(where or ["x"])], "msg": text, "type": "value_error"}]}).encode()

    def success(self, record):
        record.provider_id = str(uuid.uuid4())
        status = "rejected" if record.payload["email"] in self.rejected else "queued"
        return 201, {"x-request-id": "r"}, json.dumps({"email": record.payload["email"], "object": "email", "submitted": True,
                                                       "data": {"id": record.provider_id, "status": status}}).encode()

    @staticmethod
    def raw(payload):
        return b""

    @staticmethod
    def load_id(payload):
        return next((h["value"] for h in payload.get("additional_headers", []) if h["name"].lower() == "x-load-id"), None)

    @staticmethod
    def pieces(payload):
        c = payload["content"]
        return Pieces(c["subject"], payload["sender"].get("name", ""),
                      [(t, c[k]) for k, t in (("text", "text/plain"), ("html", "text/html")) if k in c],
                      [(a["filename"], a["type"], "", unbase64(a["content"])) for a in payload.get("attachment", [])])

    def check(self, method, path, headers, body):
        where, _, query = path.partition("?")
        if where != "/v2/emails":
            with self.lock:
                self.asked.append((method, where))
        if (method, where) == ("POST", "/token"):
            self._token(headers, body)
        bearer = re.fullmatch(r"Bearer (\S+)", headers.get("authorization", ""))
        with self.lock:
            good = bearer and (bearer[1] == self.key or self.tokens.get(bearer[1], 0) > time.time())
        if not good:
            raise Told({"detail": [{"msg": "Could not validate credentials"}]}, 401)
        if (method, where) == ("GET", "/brands/default/senders"):
            self._senders(urllib.parse.parse_qs(query))
        if (method, where) == ("GET", "/accounts/self"):
            raise Told({"data": {"id": 1, "name": "test"}})
        if (method, where) != ("POST", "/v2/emails"):
            raise Refused(404, f"{method} {path}")
        try:
            mail = json.loads(body.decode("utf-8"))
            self._mail(mail)
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise Refused(422, f"shape: {e!r}") from None
        return mail

    def _token(self, headers, body):
        if headers.get("content-type") != "application/x-www-form-urlencoded":
            raise Refused(400, "not a form")
        form = {k: v[0] for k, v in urllib.parse.parse_qs(body.decode("ascii"), strict_parsing=True).items()}
        if form.get("grant_type") != "password" or set(form) != {"grant_type", "username", "password"}:
            raise Refused(422, f"the fields {sorted(form)}")
        if (form["username"], form["password"]) != (self.user, self.password):
            raise Told({"detail": [{"msg": "Incorrect username or password"}]}, 401)
        token = EVIDENCE.secret(secrets.token_urlsafe(120))
        with self.lock:
            self.tokens[token] = time.time() + self.lifetime
        raise Told({"access_token": token, "token_type": "bearer", "expires_in": self.lifetime,
                    "refresh_token": EVIDENCE.secret(secrets.token_urlsafe(120)), "accounts": [1]})

    def _senders(self, query):
        page, per_page = int(query["page"][0]), int(query["per_page"][0])
        if not 1 <= per_page <= 100 or page < 1:
            raise Refused(422, f"page {page}, per_page {per_page}", where=["query", "per_page"])
        with self.lock:
            for address in self.senders:
                self.ids.setdefault(address, secrets.token_hex(8))
            all_of_them = [{"id": self.ids[a], "name": "Sender", "email": a, "confirmed": c} for a, c in self.senders.items()]
        raise Told({"pagination": {"page": page, "per_page": per_page},
                    "data": all_of_them[(page - 1) * per_page:page * per_page]})

    def _mail(self, m):
        def need(condition, text, *where):
            if not condition:
                raise Refused(422, text, where=list(where) or ["x"])
        need(set(m) <= self.KNOWN, f"unknown members {set(m) - self.KNOWN}")
        need(re.fullmatch(r"[!-~]+@[!-~]+", m["email"]) and "," not in m["email"], f"recipient {m['email']!r}", "email")
        with self.lock:
            confirmed = {self.ids.get(a) for a, c in self.senders.items() if c}
        need(set(m["sender"]) <= {"id", "name"} and m["sender"]["id"] in confirmed, f"sender {m['sender']}", "sender", "id")
        need(m.get("list_id") == self.list_id if self.list_id else m.get("without_list_management") is True, "list", "list_id")
        c = m["content"]
        need(set(c) <= {"type", "subject", "html", "text", "encoding"} and c["type"] in ("transactional", "marketing") and
             c.get("encoding", "utf-8") == "utf-8", f"content {set(c)}", "content")
        need(isinstance(c["subject"], str) and c["subject"] and not re.search(r"[\r\n]", c["subject"]), "subject", "content", "subject")
        need(("html" in c or "text" in c) and all(isinstance(c.get(k, "x"), str) and c.get(k, "x") for k in ("html", "text")), "texts", "content")
        for h in m.get("additional_headers", []):
            need(set(h) == {"name", "value"} and h["name"].lower() not in ("cc", "bcc", "to", "from", "subject") and
                 re.fullmatch(r"[!-9;-~]+", h["name"]) and not re.search(r"[\r\n]", h["value"]), f"header {h}", "additional_headers")
        for a in m.get("attachment", []):
            need(set(a) == {"filename", "type", "content"} and a["type"] in self.KINDS and a["filename"] and unbase64(a["content"]),
                 f"attachment {a.get('filename')}", "attachment")
        need(all(v is False for v in m["tracking"].values()), "tracking", "tracking")
