# SPDX-License-Identifier: Apache-2.0
"""SNS' Publish (sources: cert-renewer/cert_alert.c)."""
import re
import urllib.parse

from tests.support.standin.server import Refused, Told
from tests.support.standin.sigv4 import Signed, xml_error


class Sns(Signed):
    """A topic: `accepted[i].payload` has Subject and Message."""

    SERVICE = "sns"

    def __init__(self, **kw):
        super().__init__(**kw)
        self.topic = f"arn:aws:sns:{self.region}:123456789012:certificates"

    def expired(self):
        return Told(self.error_body(403, "ExpiredToken"), 403)

    @staticmethod
    def error_body(status, text, **_):
        code = text if re.fullmatch(r"[A-Za-z]+", text) else "InternalFailure" if status >= 500 else "InvalidParameter"
        return b"<ErrorResponse>" + xml_error(code, text).replace(b"<Error>", b"<Error><Type>Sender</Type>") + \
            b"<RequestId>r-1</RequestId></ErrorResponse>"

    @staticmethod
    def success(record):
        return 200, {}, f"""<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult>
            <MessageId>{record.provider_id}</MessageId></PublishResult></PublishResponse>""".encode()

    @staticmethod
    def load_id(_):
        return None

    @staticmethod
    def raw(_):
        return b""

    def check(self, method, path, headers, body):
        self.check_signature(method, path, headers, body)
        if (method, path) != ("POST", "/") or not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            raise Refused(400, f"{method} {path}")
        form = {k: v[0] for k, v in urllib.parse.parse_qs(body.decode("ascii"), strict_parsing=True).items()}
        if (form.pop("Action", None), form.pop("Version", None)) != ("Publish", "2010-03-31"):
            raise Refused(400, "InvalidAction")
        if form.get("TopicArn") != self.topic:
            raise Refused(404, "NotFound")
        # ASCII, without line ends, at most 100 characters, beginning with what is no blank.
        if "Subject" in form and not re.fullmatch(r"[!-~][ -~]{0,99}", form["Subject"]):
            raise Refused(400, f"the subject {form['Subject']!r}")
        if not 1 <= len(form.get("Message", "").encode()) <= 262144 or set(form) - {"TopicArn", "Subject", "Message"}:
            raise Refused(400, f"the fields {sorted(form)}")
        return form
