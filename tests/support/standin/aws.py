# SPDX-License-Identifier: Apache-2.0
"""Where AWS credentials come from (sources: deliver/provider_aws.c): the metadata of containers (ECS, EKS) and of instances
(IMDSv2), and STS. And an SES that knows the keys which they hand out, each for its time.
"""
import json
import secrets
import time
import urllib.parse

from tests.support.base import EVIDENCE
from tests.support.standin.server import Refused, StandIn, Told
from tests.support.standin.ses import Ses


class SesOf(Ses):
    """An SES whose settings name a source instead of keys."""

    def __init__(self, source, **kw):
        self.source = source
        super().__init__(**kw)

    def settings(self):
        return {"type": "ses", "endpoint": self.url, "region": self.region, "aws_credentials": self.source}


class AwsHost(StandIn):
    """All three endpoints of one machine. It takes no mail: `asked` are the paths, `issued` the key ids."""

    ROLE = "mail-role"
    PATH = "/latest/meta-data/iam/security-credentials/"

    def __init__(self, ses, lifetime=3600, authorization=None, web_token=None, **kw):
        self.ses = ses
        self.lifetime = lifetime
        self.authorization = authorization
        self.web_token = web_token
        self.tokens = set()
        self.asked = []
        self.issued = []
        super().__init__(**kw)

    @staticmethod
    def error_body(status, text, **_):
        return json.dumps({"Code": "Trouble", "Message": text}).encode()

    def _keys(self):
        key_id, secret, token = self.ses.issue(self.lifetime)
        with self.lock:
            self.issued.append(key_id)
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.lifetime))
        return key_id, secret, token, until

    def check(self, method, path, headers, body):
        with self.lock:
            self.asked.append(path)
        if "host" not in headers or any(h.startswith(("x-forwarded", "proxy-")) for h in headers):
            raise Refused(400, "a proxy is between")
        if method == "PUT" and path == "/latest/api/token":
            ttl = headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
            if not ttl.isdigit() or not 1 <= int(ttl) <= 21600 or body:
                raise Refused(400, f"ttl {ttl}")
            token = EVIDENCE.secret(secrets.token_urlsafe(40) + "==")
            with self.lock:
                self.tokens.add(token)
            raise Told(token.encode())
        if method == "GET" and path.startswith(self.PATH):
            if headers.get("x-aws-ec2-metadata-token") not in self.tokens:
                raise Told(b"", 401)
            if path == self.PATH:
                raise Told(self.ROLE.encode() + b"\n")
            if path != self.PATH + self.ROLE:
                raise Refused(404, path)
            self._tell_json()
        if method == "GET" and path == "/v2/credentials/c-1":
            if self.authorization and headers.get("authorization") != self.authorization:
                raise Refused(403, "authorization")
            self._tell_json()
        if method == "POST" and path == "/":
            self._sts(headers, body)
        raise Refused(404, f"{method} {path}")

    def _tell_json(self):
        key_id, secret, token, until = self._keys()
        raise Told({"Code": "Success", "LastUpdated": until, "Type": "AWS-HMAC", "AccessKeyId": key_id,
                    "SecretAccessKey": secret, "Token": token, "Expiration": until})

    def _sts(self, headers, body):
        if headers.get("content-type") != "application/x-www-form-urlencoded" or "authorization" in headers:
            raise Refused(400, "not a form, or signed")
        form = {k: v[0] for k, v in urllib.parse.parse_qs(body.decode("ascii"), strict_parsing=True).items()}
        if (form.get("Action"), form.get("Version")) != ("AssumeRoleWithWebIdentity", "2011-06-15") or \
                form.get("RoleArn") != "arn:aws:iam::123456789012:role/mail" or not form.get("RoleSessionName"):
            raise Refused(400, f"the fields {sorted(form)}")
        if form.get("WebIdentityToken") != self.web_token:
            raise Told(b"<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code>"
                       b"<Message>The web identity token is not valid</Message></Error></ErrorResponse>", 400)
        key_id, secret, token, until = self._keys()
        raise Told(f"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>system:serviceaccount:mail:proxy</SubjectFromWebIdentityToken>
    <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/mail/x</Arn><AssumedRoleId>A:x</AssumedRoleId></AssumedRoleUser>
    <Credentials><SessionToken>{token}</SessionToken><SecretAccessKey>{secret}</SecretAccessKey>
      <Expiration>{until}</Expiration><AccessKeyId>{key_id}</AccessKeyId></Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>""".encode())
