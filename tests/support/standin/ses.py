# SPDX-License-Identifier: Apache-2.0
"""Amazon SES, API v2 (sources: deliver/provider_ses.c)."""
import email
import email.policy
import json
import re

from tests.support.mail import has_lone_newline, unbase64
from tests.support.standin.server import Refused, Told
from tests.support.standin.sigv4 import Signed


class Ses(Signed):
    """POST /v2/email/outbound-emails with a raw message; the signature is computed anew here."""

    SINGLE = {"from", "subject", "reply-to", "date", "message-id", "references", "in-reply-to", "sender", "to", "cc",
              "mime-version", "content-type", "list-unsubscribe", "list-unsubscribe-post"}

    SERVICE = "ses"

    def expired(self):
        return Told({"message": "The security token included in the request is expired"}, 403,
                    {"x-amzn-ErrorType": "ExpiredTokenException"})

    def settings(self):
        settings = {"type": "ses", "endpoint": self.url, "region": self.region, "access_key_id": self.access_key_id,
                    "secret_access_key": self.secret_key}
        return settings | ({"session_token": self.token} if self.token else {})

    @staticmethod
    def error_body(status, text, **_):
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
        self.check_signature(method, path, headers, body)
        if method == "GET" and path == "/v2/email/account":
            raise Told({"SendingEnabled": True, "ProductionAccessEnabled": True, "EnforcementStatus": "HEALTHY",
                        "SendQuota": {"Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": 1.0}})
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
