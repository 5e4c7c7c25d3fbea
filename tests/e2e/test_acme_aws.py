# SPDX-License-Identifier: Apache-2.0
"""Copies of certificates in S3 with the credentials of every source that a host may have, and of a role that expires."""
import unittest

from tests.support.acme_case import Acme, AcmeCase
from tests.support.base import Scratch, wait_until
from tests.support.standin import S3, AcmeAuthority, AwsHost


def put(path, text):
    path.write_text(text)
    path.chmod(0o644)


class EverySource(AcmeCase):
    START = False

    @classmethod
    def authority_for_tests(cls):
        return AcmeAuthority(cls.tls_authority)

    def setUp(self):
        self.files = Scratch("aws")
        self.addCleanup(self.files.close)
        self.files.path.chmod(0o755)
        self.s3 = S3()
        self.addCleanup(self.s3.close)
        self.host = AwsHost(self.s3, authorization="Bearer first", web_token="first.web.token")
        self.addCleanup(self.host.close)

    def tearDown(self):
        self.assertEqual((self.ca.violations, self.s3.violations, self.host.violations), ([], [], []))

    def begin(self, source, environment, **aws):
        acme = Acme(self.ca, {"mail.test": {}}, {
            "acme": {"backup_s3": f"s3://{self.s3.bucket}/certs"},
            "aws": {"credentials": source, "region": self.s3.region, "s3_endpoint": self.s3.url} | aws})
        self.addCleanup(acme.close)
        acme.proxy.environment = environment
        acme.start()
        return acme

    def environment_of(self, source):
        if source == "environment":
            key_id, secret, token = self.s3.issue()
            return {"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}
        if source == "file":
            key_id, secret, token = self.s3.issue()
            put(self.files.path / "credentials", f"[certs]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n"
                f"aws_session_token = {token}\n")
            return {"AWS_SHARED_CREDENTIALS_FILE": str(self.files.path / "credentials"), "AWS_PROFILE": "certs"}
        if source == "container":
            put(self.files.path / "authorization", "Bearer first")
            return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": self.host.url + "/v2/credentials/c-1",
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self.files.path / "authorization")}
        if source == "web-identity":
            put(self.files.path / "identity", "first.web.token\n")
            return {"AWS_WEB_IDENTITY_TOKEN_FILE": str(self.files.path / "identity"),
                    "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/mail", "AWS_ENDPOINT_URL_STS": self.host.url + "/"}
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.host.url}

    def check_source(self, source):
        acme = self.begin(source, self.environment_of(source))
        acme.await_row("mail.test", lambda r: r["backup"] == "good", 60)
        self.assertEqual(self.s3.files()["certs/mail.test/tls.pem"].decode(), acme.pem("mail.test"))
        self.assertLessEqual(set(self.s3.used), set(self.s3.issued))
        self.assertEqual(len(set(self.host.asked)), len(self.host.asked), "asked once")
        return acme

    def test_environment(self):
        self.check_source("environment")

    def test_file(self):
        self.check_source("file")

    def test_container(self):
        self.check_source("container")

    def test_web_identity(self):
        self.check_source("web-identity")

    def test_keys_of_an_instance_are_exchanged_when_they_have_expired(self):
        acme = self.check_source("instance")
        before, serial = set(self.s3.used), acme.row("mail.test")["serial"]
        self.s3.expire()
        acme.renew("mail.test")
        acme.await_row("mail.test", lambda r: r["serial"] != serial and r["backup"] == "good", 60)
        self.assertNotIn(self.s3.used[-1], before)
        self.assertEqual(self.s3.files()["certs/mail.test/tls.pem"].decode(), acme.pem("mail.test"))
        acme.note_secrets()
        log = "\n".join(acme.log.lines)
        for secret, token, _ in self.s3.issued.values():
            self.assertNotIn(secret, log)
            self.assertNotIn(token, log)

    def test_a_bucket_in_another_region_is_said(self):
        self.s3.home_region = "eu-central-1"
        acme = self.begin("instance", self.environment_of("instance"))
        # The account's key may be there.
        self.assertIn("aws.region should be eu-central-1", acme.await_row("mail.test", lambda r: r["failures"] > 0)["last_error"])
        wait_until(lambda: any("aws.region should be eu-central-1" in line for line in acme.log.lines), 30, "the sentence in the log")


if __name__ == "__main__":
    unittest.main()
