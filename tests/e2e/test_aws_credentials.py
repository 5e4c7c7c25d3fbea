# SPDX-License-Identifier: Apache-2.0
"""AWS credentials from where the host has them: found, renewed ahead of their end, exchanged when they are refused."""
import time
import unittest

from tests.e2e.test_provider import ProviderCase
from tests.support.base import Scratch, marker, wait_until
from tests.support.standin import AwsHost, Fault, Ses, SesOf


def put(path, text):
    """A new file under the old name, as those who rotate secrets do it."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.chmod(0o644)
    new.rename(path)


class FromEverywhere(ProviderCase):
    SETTINGS = {"deliver": {"call_timeout": "10s", "agents": 1}, "queue": {"retry_first": "1s"},
                "health": {"probe_time": "500ms", "open_time": "1s"}}

    @classmethod
    def providers(cls):
        cls.files = Scratch("aws")
        cls.addClassCleanup(cls.files.close)
        cls.files.path.chmod(0o755)
        cls.credentials = cls.files.path / "credentials"
        cls.identity = cls.files.path / "identity"
        cls.authorization = cls.files.path / "authorization"
        ses = {source: SesOf(source) for source in ("environment", "file", "container", "web-identity", "instance", "default")}
        cls.keys = ses["environment"].issue()
        cls.write_credentials(ses["file"])
        put(cls.identity, "first.web.token\n")
        put(cls.authorization, "Bearer first")
        cls.host = {"container": AwsHost(ses["container"], authorization="Bearer first"),
                    "web-identity": AwsHost(ses["web-identity"], web_token="first.web.token"),
                    "instance": AwsHost(ses["instance"])}
        for host in cls.host.values():
            cls.addClassCleanup(host.close)
        # The first source of all that there are: the environment's key.
        ses["default"].issued[cls.keys[0]] = ses["environment"].issued[cls.keys[0]]
        return ses

    @classmethod
    def write_credentials(cls, ses):
        key_id, secret, token = ses.issue()
        put(cls.credentials, f"[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n\n[default]\n"
            f"aws_access_key_id = {key_id}\naws_secret_access_key = {secret}\naws_session_token = {token}\n")
        return key_id

    @classmethod
    def environment(cls):
        return {"AWS_ACCESS_KEY_ID": cls.keys[0], "AWS_SECRET_ACCESS_KEY": cls.keys[1], "AWS_SESSION_TOKEN": cls.keys[2],
                "AWS_SHARED_CREDENTIALS_FILE": str(cls.credentials),
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": cls.host["container"].url + "/v2/credentials/c-1",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(cls.authorization),
                "AWS_WEB_IDENTITY_TOKEN_FILE": str(cls.identity), "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/mail",
                "AWS_ENDPOINT_URL_STS": cls.host["web-identity"].url + "/",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": cls.host["instance"].url + "/"}

    def tearDown(self):
        super().tearDown()
        for name, host in self.host.items():
            host.behave()
            self.assertEqual(host.violations, [], name)

    def sent(self, source):
        ident, word = self.send(source)
        self.assertEqual(self.state(ident), "sent")
        self.assertEqual(self.events(ident), [])
        return self.provider[source].used[-1]

    def test_every_source_gives_its_keys_and_is_asked_once(self):
        for source in self.provider:
            with self.subTest(source=source):
                keys = {self.sent(source) for _ in range(3)}
                self.assertEqual(len(keys), 1)
        for host in self.host.values():
            self.assertEqual(len(set(host.asked)), len(host.asked), host.asked)

    def test_keys_that_are_refused_are_exchanged_and_the_message_goes_at_once(self):
        for source, host in self.host.items():
            with self.subTest(source=source):
                before = self.sent(source)
                self.provider[source].expire()
                after = self.sent(source)
                self.assertNotEqual(before, after)
                self.assertEqual(after, host.issued[-1])

    def test_a_file_that_was_replaced_is_read_again(self):
        before = self.sent("file")
        after = self.write_credentials(self.provider["file"])
        self.assertEqual(self.sent("file"), before)
        with self.provider["file"].lock:
            self.provider["file"].issued[before] = ("x", "y", 0)
        self.assertEqual(self.sent("file"), after)

    def test_tokens_in_files_are_read_again_for_each_renewal(self):
        put(self.identity, "second.web.token\n")
        self.host["web-identity"].web_token = "second.web.token"
        put(self.authorization, "Bearer second")
        self.host["container"].authorization = "Bearer second"
        for source in ("web-identity", "container"):
            self.provider[source].expire()
            self.sent(source)

    def test_what_cannot_be_had_loses_no_mail_and_names_no_key(self):
        # Nothing is there any more, and nothing can be fetched: mail waits, and goes when it can be.
        host, ses = self.host["web-identity"], self.provider["web-identity"]
        ses.expire()
        good, host.web_token = host.web_token, "another"
        idents = [self.send("web-identity") for _ in range(5)]
        for ident, _ in idents[:1]:
            events = wait_until(lambda i=ident: self.events(i), 20, "the failed attempt")
            self.assertEqual(events[0][0], "provider-fault")
        self.proxy.log.wait("deliver.token.not_fetched", provider="web-identity")
        self.assertIn("The web identity token is not valid",
                      self.proxy.log.find("deliver.token.not_fetched", provider="web-identity")["reason"])
        host.web_token = good
        for ident, _ in idents:
            self.assertEqual(self.state(ident, 60), "sent")

    def test_deliver_has_none_of_it_in_its_environment_any_more(self):
        pids = [pid for pid, name in self.proxy.children().items() if name == "deliver"]
        self.assertTrue(pids)
        for pid in pids:
            with open(f"/proc/{pid}/environ", "rb") as f:
                self.assertNotIn(self.keys[1].encode(), f.read())


class NotAsked(ProviderCase):
    """With keys in the settings nobody is given those of the environment."""

    @classmethod
    def providers(cls):
        return {"ses": Ses()}

    @classmethod
    def environment(cls):
        return {"AWS_SECRET_ACCESS_KEY": "nobody-has-asked-for-it"}

    def test_no_child_is_given_them(self):
        self.assertEqual(self.state(self.send("ses")[0]), "sent")
        for pid, name in self.proxy.children().items():
            with open(f"/proc/{pid}/environ", "rb") as f:
                self.assertNotIn(b"nobody-has-asked", f.read(), name)


class ShortLived(ProviderCase):
    """Keys for seconds: they are renewed while the old ones are good, whatever the load."""

    SETTINGS = {"deliver": {"call_timeout": "5s", "agents": 1}, "queue": {"retry_first": "1s"},
                "health": {"probe_time": "500ms", "open_time": "1s"}}
    LIFETIME = 6

    @classmethod
    def providers(cls):
        ses = SesOf("instance")
        cls.host = AwsHost(ses, lifetime=cls.LIFETIME)
        cls.addClassCleanup(cls.host.close)
        return {"ses": ses}

    @classmethod
    def environment(cls):
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": cls.host.url}

    def test_renewal_under_load_is_seen_by_no_message(self):
        self.assertEqual(self.state(self.send("ses")[0]), "sent")
        idents, end = [], time.monotonic() + 3 * self.LIFETIME
        while time.monotonic() < end:
            idents.append(self.send("ses")[0])
            time.sleep(0.1)
        for ident in idents:
            self.assertEqual(self.state(ident), "sent")
            self.assertEqual(self.events(ident), [])
        self.assertGreater(len(set(self.provider["ses"].used)), 2)
        # About two for each lifetime, and one fetch at a time.
        self.assertLess(len(self.host.issued), 16)

    def test_a_renewal_that_fails_warns_while_the_old_keys_are_good(self):
        self.assertEqual(self.state(self.send("ses")[0]), "sent")
        self.host.misbehave(Fault(status=503), 1000, checks=True)
        mark = self.proxy.log.mark()
        end = time.monotonic() + 30
        while not self.proxy.log.find("deliver.token.not_renewed", mark) and time.monotonic() < end:
            ident, _ = self.send("ses")
            self.assertEqual(self.state(ident), "sent")
            time.sleep(0.2)
        self.proxy.log.wait("deliver.token.not_renewed", since=mark)
        self.host.behave()
        ident, _ = self.send("ses")
        self.assertEqual(self.state(ident, 60), "sent")


if __name__ == "__main__":
    unittest.main()
