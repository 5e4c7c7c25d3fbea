# SPDX-License-Identifier: Apache-2.0
"""SparkPost's transmissions (sources: deliver/provider_sparkpost.c)."""
import email
import email.policy
import json
import re
import secrets

from tests.support.base import EVIDENCE
from tests.support.standin.server import Refused, StandIn, Told


class SparkPost(StandIn):
    """POST /api/v1/transmissions with email_rfc822. Recipients in `unwanted` are refused; `names_them`: and named."""

    OPTIONS = {"transactional", "open_tracking", "click_tracking", "perform_substitutions", "sandbox", "start_time", "ip_pool"}

    def __init__(self, unwanted=(), names_them=True, **kw):
        self.key = EVIDENCE.secret(secrets.token_hex(20))
        self.unwanted = set(unwanted)
        self.names_them = names_them
        super().__init__(**kw)

    def settings(self):
        return {"type": "sparkpost", "endpoint": self.url, "api_key": self.key}

    @staticmethod
    def error_body(status, text, code=None, **_):
        error = {"message": text} | ({"code": code, "description": text} if code else {})
        return json.dumps({"errors": [error]}).encode()

    def success(self, record):
        record.provider_id = str(secrets.randbelow(10 ** 17))
        bad = [a for a in self.recipients(record.payload) if a in self.unwanted]
        results = {"total_rejected_recipients": len(bad), "id": record.provider_id,
                   "total_accepted_recipients": len(record.payload["recipients"]) - len(bad)}
        answer = {"results": results}
        if bad:
            answer["errors"] = [{"message": "transmission created, but with validation errors", "code": "2000"}]
            results["rcpt_to_errors"] = [
                {"message": "Invalid email address", "code": "1300",
                 "description": a if self.names_them else "address.email is not valid"} for a in bad]
        return 200, {}, json.dumps(answer).encode()

    @staticmethod
    def recipients(payload):
        return [r["address"]["email"] for r in payload["recipients"]]

    @staticmethod
    def raw(payload):
        return payload["content"]["email_rfc822"].encode("ascii")

    def load_id(self, payload):
        found = re.search(rb"(?mi)^X-Load-ID: *(\S+)", self.raw(payload))
        return found.group(1).decode() if found else None

    def check(self, method, path, headers, body):
        if headers.get("authorization") != self.key:
            raise Refused(401, "Unauthorized.")
        path, _, query = path.partition("?")
        if method == "GET" and path == "/api/v1/account":
            raise Told({"results": {"company_name": "x", "status": "active"}})
        if path != "/api/v1/transmissions":
            raise Refused(404, "Resource could not be found")
        if method != "POST":
            raise Refused(405, "Method not allowed")
        if not re.fullmatch(r"(num_rcpt_errors=\d+)?", query):
            raise Refused(400, f"query {query}")
        if headers.get("content-type", "").split(";")[0].strip() != "application/json":
            raise Refused(415, "Unsupported media type")
        try:
            payload = json.loads(body.decode("utf-8"))
            self._transmission(payload)
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise Refused(422, f"invalid data format/type: {e!r}", code="1300") from None
        if all(a in self.unwanted for a in self.recipients(payload)):
            raise Refused(400, "At least one valid recipient is required", code="5002")
        return payload

    def _transmission(self, t):
        def need(condition, text, code="1300"):
            if not condition:
                raise Refused(422, text, code=code)
        need(set(t) <= {"options", "recipients", "campaign_id", "metadata", "content", "return_path", "description"},
             f"unknown members {set(t)}")
        need(set(t.get("options", {})) <= self.OPTIONS and all(isinstance(v, bool) for v in t["options"].values()), "options")
        need(t.get("recipients"), "required field is missing: recipients", "1400")
        for r in t["recipients"]:
            need(set(r) <= {"address", "metadata", "tags"} and re.fullmatch(r"[!-~]+@[!-~]+", r["address"]["email"]),
                 f"recipient {r}")
        need(len(json.dumps(t.get("metadata", {}))) <= 10 << 10, "metadata")
        need(set(t["content"]) == {"email_rfc822"}, f"content {set(t['content'])}")
        text = t["content"]["email_rfc822"]
        need(text.isascii(), "email_rfc822 was no text once")
        need(len(text) <= 20 << 20, "content is too large")
        need("\r" not in text.replace("\r\n", "") and "\n" not in text.replace("\r\n", ""), "a lone CR or LF")
        self._headers(text.encode("ascii"), need)

    @staticmethod
    def _headers(raw, need):
        """Header fields are a template, whatever the options say."""
        message = email.message_from_bytes(raw, policy=email.policy.compat32)
        parts = list(message.walk()) if not message.get_content_type().startswith("message/") else [message]
        for part in parts:
            need(not any("{{" in str(v) for v in part.values()), f"substitution language in a header {part.items()}", "3000")
        names = [n.lower() for n in message.keys()]
        need("from" in names, "From is missing", "1400")
        need("bcc" not in names and not any(n.startswith("x-msys-") for n in names), f"a header that must not be there: {names}")
