# SPDX-License-Identifier: Apache-2.0
"""Postmark's POST /email (sources: deliver/provider_postmark.c)."""
import email.utils
import json
import re
import secrets
import uuid

from tests.support.base import EVIDENCE
from tests.support.mail import unbase64
from tests.support.standin.server import Pieces, Refused, StandIn, Told


class Postmark(StandIn):
    """Addresses in `inactive` get nothing: the others of a message do; a message to them alone is refused. Those in
    `invalid` make it refuse the whole message."""

    KNOWN = {"From", "To", "Cc", "Bcc", "Subject", "ReplyTo", "HtmlBody", "TextBody", "Tag", "Headers", "Attachments", "Metadata",
             "TrackOpens", "TrackLinks", "MessageStream"}
    FORBIDDEN = {"vbs", "exe", "bin", "bat", "chm", "com", "cpl", "crt", "hlp", "hta", "inf", "ins", "isp", "jse", "lnk", "mdb", "pcd",
                 "pif", "reg", "scr", "sct", "shs", "vbe", "vba", "wsf", "wsh", "wsl", "msc", "msi", "msp", "mst"}

    def __init__(self, inactive=(), invalid=(), streams=("outbound",), **kw):
        self.key = EVIDENCE.secret(str(uuid.uuid4()))
        self.inactive = set(inactive)
        self.invalid = set(invalid)
        self.streams = set(streams)
        super().__init__(**kw)

    def settings(self):
        return {"type": "postmark", "endpoint": self.url, "api_key": self.key}

    @staticmethod
    def error_body(status, text, code=None, **_):
        codes = {401: 10, 413: 300, 422: 300, 503: 100}
        return json.dumps({"ErrorCode": code if code is not None else codes.get(status, 0), "Message": text}).encode()

    def success(self, record):
        record.provider_id = str(uuid.uuid4())
        message = "OK"
        asleep = [a.lower() for a in self.addresses(record.payload) if a in self.inactive]
        if asleep:
            message = f"Message OK, but will not deliver to these inactive addresses: {', '.join(asleep)}."
        return 200, {}, json.dumps({"To": record.payload.get("To", ""), "SubmittedAt": "2026-11-22T06:00:00.0000000-05:00",
                                    "MessageID": record.provider_id, "ErrorCode": 0, "Message": message}).encode()

    @staticmethod
    def raw(payload):
        return b""

    @staticmethod
    def load_id(payload):
        return next((h["Value"] for h in payload.get("Headers", []) if h["Name"].lower() == "x-load-id"), None)

    @staticmethod
    def pieces(payload):
        return Pieces(payload["Subject"], email.utils.parseaddr(payload["From"])[0],
                      [(t, payload[k]) for k, t in (("TextBody", "text/plain"), ("HtmlBody", "text/html")) if k in payload],
                      [(a["Name"], a["ContentType"], re.sub("^cid:", "", a.get("ContentID") or ""), unbase64(a["Content"]))
                       for a in payload.get("Attachments", [])])

    @staticmethod
    def addresses(payload, *fields):
        """The bare addresses of these fields, or of all recipients."""
        return [a for f in fields or ("To", "Cc", "Bcc") for _, a in email.utils.getaddresses([payload.get(f, "")]) if a]

    def check(self, method, path, headers, body):
        if headers.get("x-postmark-server-token") != self.key:
            raise Refused(401, "No Account or Server API tokens were supplied in the HTTP headers", code=10)
        if method == "GET" and path == "/server":
            raise Told({"ID": 1, "Name": "test", "DeliveryType": "Live"})
        if (method, path) != ("POST", "/email"):
            raise Refused(404, "no such path")
        if headers.get("content-type", "").split(";")[0].strip() != "application/json":
            raise Refused(415, "content type")
        if headers.get("accept") != "application/json":
            raise Refused(422, "accept", code=409)
        if len(body) > 10 << 20:
            raise Refused(413, "too large")
        try:
            mail = json.loads(body.decode("utf-8"))
            self._mail(mail)
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise Refused(422, f"shape: {e!r}", code=402) from None
        everybody = self.addresses(mail)
        bad = [a for a in everybody if a in self.invalid]
        if bad:
            raise Told({"ErrorCode": 300, "Message": f"Error parsing 'To': Illegal email address '{bad[0]}'."}, 422)
        if all(a in self.inactive for a in everybody):
            raise Told({"ErrorCode": 406, "Message": "You tried to send to recipient(s) that have been marked as inactive. Found "
                        f"inactive addresses: {', '.join(everybody)}. Inactive recipients are ones that have generated a hard "
                        "bounce, a spam complaint, or a manual suppression."}, 422)
        return mail

    def _mail(self, m):
        def need(condition, text, code=300):
            if not condition:
                raise Refused(422, text, code=code)
        need(set(m) <= self.KNOWN, f"unknown members {set(m) - self.KNOWN}")
        need(len(self.addresses(m, "From")) == 1, "Invalid 'From' address")
        everybody = self.addresses(m)
        need(1 <= len(everybody) <= 50, f"{len(everybody)} recipients")
        need(len({a.lower() for a in everybody}) == len(everybody), f"an address twice: {everybody}")
        for a in everybody + self.addresses(m, "From", "ReplyTo"):
            need(re.fullmatch(r"[!-~]+@[!-~]+", a), f"address {a!r}")
        need("TextBody" in m or "HtmlBody" in m, "Provide either email TextBody or HtmlBody or both.")
        need(all(isinstance(m.get(k, ""), str) and len(m.get(k, "").encode()) <= 5 << 20 for k in ("TextBody", "HtmlBody")), "a body")
        need(isinstance(m.get("Subject"), str) and not re.search(r"[\r\n]", m["Subject"]), "Subject")
        for h in m.get("Headers", []):
            need(set(h) == {"Name", "Value"} and re.fullmatch(r"[!-9;-~]+", h["Name"]) and isinstance(h["Value"], str) and
                 not re.search(r"[\r\n]", h["Value"]), f"header {h}")
        names = [h["Name"].lower() for h in m.get("Headers", [])]
        need(not {"from", "to", "cc", "bcc", "subject", "reply-to", "content-type"} & set(names), f"headers {names}")
        need(not any(n.startswith("x-pm-") and n != "x-pm-keepid" for n in names), f"orders {names}")
        for a in m.get("Attachments", []):
            need({"Name", "Content", "ContentType"} <= set(a) <= {"Name", "Content", "ContentType", "ContentID"}, f"attachment {set(a)}")
            need(a["Name"] and unbase64(a["Content"]), "attachment without name or content")
            need(a["Name"].rsplit(".", 1)[-1].lower() not in self.FORBIDDEN, f"forbidden type {a['Name']}", 411)
            need(a.get("ContentID") is None or a["ContentID"].startswith("cid:"), f"content id {a.get('ContentID')}")
        need(all(len(k) <= 20 and isinstance(v, str) and len(v) <= 80 for k, v in m.get("Metadata", {}).items()), "Metadata")
        need(m.get("TrackLinks") in ("None", "HtmlAndText", "HtmlOnly", "TextOnly") and isinstance(m.get("TrackOpens"), bool), "tracking")
        need(m.get("MessageStream", "outbound") in self.streams, f"The Message Stream '{m.get('MessageStream')}' was not found", 1235)
