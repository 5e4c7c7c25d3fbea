# SPDX-License-Identifier: Apache-2.0
"""Amazon SES, API v2 (sources: deliver/provider_ses.c)."""
import calendar
import email
import email.policy
import hashlib
import hmac
import json
import re
import secrets
import time
import urllib.parse

from tests.support.base import EVIDENCE
from tests.support.mail import has_lone_newline, unbase64
from tests.support.standin.server import Refused, StandIn, Told


class Ses(StandIn):
    """POST /v2/email/outbound-emails with a raw message; the signature is computed anew here."""

    SINGLE = {"from", "subject", "reply-to", "date", "message-id", "references", "in-reply-to", "sender", "to", "cc",
              "mime-version", "content-type", "list-unsubscribe", "list-unsubscribe-post"}

    def __init__(self, region="eu-west-1", token=False, **kw):
        self.region = region
        self.access_key_id = "AKIA" + secrets.token_hex(8).upper()
        self.secret_key = EVIDENCE.secret(secrets.token_urlsafe(30))
        self.token = EVIDENCE.secret(secrets.token_urlsafe(200)) if token else None
        self.issued = {}            # temporary keys: id -> (secret, token, until)
        self.used = []              # the key ids, a message each
        super().__init__(**kw)

    def issue(self, lifetime=3600):
        """A new temporary key: id, secret, token."""
        key = ("ASIA" + secrets.token_hex(8).upper(), EVIDENCE.secret(secrets.token_urlsafe(30)),
               EVIDENCE.secret(secrets.token_urlsafe(200)))
        with self.lock:
            self.issued[key[0]] = (key[1], key[2], time.time() + lifetime)
        return key

    def expire(self):
        """No key that was issued so far is good any more."""
        with self.lock:
            self.issued = {k: (secret, token, 0) for k, (secret, token, _) in self.issued.items()}

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
        self._signature(method, path, headers, body)
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

    def _signature(self, method, path, headers, body):
        text = headers.get("authorization", "")
        found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
                             r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})", text)
        if not found:
            raise Refused(403, "IncompleteSignature")
        akid, date, region, service, signed, signature = found.groups()
        stamp = headers.get("x-amz-date", "")
        with self.lock:
            secret, token, until = self.issued.get(akid, (self.secret_key, self.token, time.time() + 60))
            self.used.append(akid)
        if akid != self.access_key_id and akid not in self.issued:
            raise Refused(403, "UnrecognizedClientException")
        if until < time.time():
            raise Told({"message": "The security token included in the request is expired"}, 403,
                       {"x-amzn-ErrorType": "ExpiredTokenException"})
        if (region, service) != (self.region, "ses"):
            raise Refused(403, f"scope {region}/{service}")
        if not stamp.startswith(date) or abs(amz_time(stamp) - time.time()) > 900:
            raise Refused(403, f"RequestExpired {stamp}")
        names = signed.split(";")
        if names != sorted(names) or not {"host", "x-amz-date"} <= set(names) or \
                any(n not in headers for n in names):
            raise Refused(403, f"SignedHeaders {signed}")
        if token and (headers.get("x-amz-security-token") != token or "x-amz-security-token" not in names):
            raise Refused(403, "InvalidClientTokenId")
        where, _, query = path.partition("?")
        canonical = "\n".join([
            method, urllib.parse.quote(urllib.parse.quote(urllib.parse.unquote(where), safe="/~"), safe="/~"),
            "&".join(sorted(query.split("&"))) if query else "",
            "".join(f"{n}:{re.sub(r' +', ' ', headers[n].strip())}\n" for n in names), signed,
            hashlib.sha256(body).hexdigest()])
        scope = f"{date}/{region}/{service}/aws4_request"
        to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = b"AWS4" + secret.encode()
        for step in (date, region, service, "aws4_request"):
            key = hmac.new(key, step.encode(), hashlib.sha256).digest()
        expected = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, signature):
            raise Refused(403, "SignatureDoesNotMatch")


def amz_time(stamp):
    try:
        return calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return 0.0
