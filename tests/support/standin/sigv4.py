# SPDX-License-Identifier: Apache-2.0
"""What the stand-ins for AWS have in common: keys, and a signature that is computed anew here (the IAM User Guide, "Create a
signed AWS API request")."""
import calendar
import hashlib
import hmac
import re
import secrets
import time
import urllib.parse
from xml.sax.saxutils import escape

from tests.support.base import EVIDENCE
from tests.support.standin.server import Refused, StandIn


class Signed(StandIn):
    """A service of AWS: it knows one key of a user, and those that it issued for a time."""

    SERVICE = ""

    def __init__(self, region="eu-west-1", token=False, **kw):
        self.region = region
        self.access_key_id = "AKIA" + secrets.token_hex(8).upper()
        self.secret_key = EVIDENCE.secret(secrets.token_urlsafe(30))
        self.token = EVIDENCE.secret(secrets.token_urlsafe(200)) if token else None
        self.issued = {}            # temporary keys: id -> (secret, token, until)
        self.used = []              # the key ids, one a request
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

    def expired(self):
        """What is raised for a temporary key that is past its time."""
        raise NotImplementedError

    def canonical_path(self, path):
        return urllib.parse.quote(urllib.parse.quote(urllib.parse.unquote(path), safe="/~"), safe="/~")

    def check_signature(self, method, path, headers, body):
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
            raise self.expired()
        if (region, service) != (self.region, self.SERVICE):
            raise Refused(403, f"scope {region}/{service}")
        if not stamp.startswith(date) or abs(amz_time(stamp) - time.time()) > 900:
            raise Refused(403, f"RequestExpired {stamp}")
        names = signed.split(";")
        if names != sorted(names) or not {"host", "x-amz-date"} <= set(names) or \
                any(n not in headers for n in names) or any(n not in names for n in headers if n.startswith("x-amz-")):
            raise Refused(403, f"SignedHeaders {signed}")
        if token and headers.get("x-amz-security-token") != token:
            raise Refused(403, "InvalidClientTokenId")
        where, _, query = path.partition("?")
        canonical = "\n".join([
            method, self.canonical_path(where), "&".join(sorted(query.split("&"))) if query else "",
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


def xml_error(code, message):
    return f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>".encode()
