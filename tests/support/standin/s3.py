# SPDX-License-Identifier: Apache-2.0
"""S3, addressed by path (sources: cert-renewer/s3.c)."""
import hashlib
import re
import urllib.parse

from tests.support.standin.server import Refused, Told
from tests.support.standin.sigv4 import Signed, xml_error


class S3(Signed):
    """PUT and GET of files in one bucket. A file that is taken is an `accepted`; what of each key is there now: files().

    misbehave(Fault(...))               the next PUT
    misbehave(Fault(...), checks=True)  the next GET
    """

    SERVICE = "s3"

    def __init__(self, bucket="smtp-proxy-certs", encryption="AES256", kms_key=None, may_list=True, home_region=None, **kw):
        self.bucket = bucket
        self.encryption = encryption    # what has to be asked for; None: nothing
        self.kms_key = kms_key
        self.may_list = may_list        # s3:ListBucket: else what is not there is answered 403
        self.there = {}                 # key -> octets, before anything was put
        super().__init__(**kw)
        self.home_region = home_region or self.region   # the bucket's

    def aws_settings(self):
        """The section aws."""
        settings = {"credentials": "settings", "s3_endpoint": self.url, "region": self.region,
                    "access_key_id": self.access_key_id, "secret_access_key": self.secret_key}
        return settings | ({"session_token": self.token} if self.token else {})

    def files(self):
        with self.lock:
            return self.there | {a.payload["key"]: a.payload["body"] for a in self.accepted}

    def canonical_path(self, path):
        return path

    def expired(self):
        return Told(xml_error("ExpiredToken", "The provided token has expired."), 400)

    @staticmethod
    def error_body(status, text, **_):
        codes = {404: "NoSuchKey", 500: "InternalError", 503: "SlowDown"}
        code = text if re.fullmatch(r"[A-Za-z]+", text) else codes.get(status, "AccessDenied" if status == 403 else "InvalidRequest")
        return xml_error(code, text)

    @staticmethod
    def success(record):
        return 200, {"ETag": f'"{hashlib.md5(record.payload["body"], usedforsecurity=False).hexdigest()}"'}, b""

    @staticmethod
    def load_id(_):
        return None

    @staticmethod
    def raw(_):
        return b""

    def check(self, method, path, headers, body):
        self.check_signature(method, path, headers, body)
        if headers.get("x-amz-content-sha256") != hashlib.sha256(body).hexdigest():
            raise Refused(400, "XAmzContentSHA256Mismatch")
        bucket, _, key = urllib.parse.unquote(path).removeprefix("/").partition("/")
        if bucket != self.bucket:
            raise Told(xml_error("NoSuchBucket", "The specified bucket does not exist"), 404)
        if self.region != self.home_region:
            raise Told(xml_error("PermanentRedirect", "The bucket is elsewhere"), 301, {"x-amz-bucket-region": self.home_region})
        if not key or "//" in key:
            raise Refused(400, f"the key {key}")
        if method == "GET":
            there = self.files().get(key)
            if there is None:
                raise Told(xml_error("NoSuchKey", "The specified key does not exist."), 404) if self.may_list else \
                    Told(xml_error("AccessDenied", "Access Denied"), 403)
            raise Told(there)
        if method != "PUT":
            raise Refused(405, "MethodNotAllowed")
        if headers.get("x-amz-server-side-encryption") != self.encryption or \
                headers.get("x-amz-server-side-encryption-aws-kms-key-id") != self.kms_key:
            raise Refused(403, "the bucket's policy wants another encryption")
        return {"key": key, "body": body}
