# SPDX-License-Identifier: Apache-2.0
"""The operator's and the developer's tools: test-client, the tenants and users of smtp-proxyctl, db migrate."""
import json
import re
import unittest

from tests.support.base import PROGRAM_CLIENT, PROGRAM_CTL, SOURCE, Scratch, marker, run, wait_until
from tests.support.case import ProxyCase
from tests.support.standin import SendGrid


class TestClient(ProxyCase):
    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid()}

    def arrived(self, word, n=1):
        standin = self.provider["sendgrid"]
        standin.wait_for(lambda: sum(word in str(r.payload) for r in standin.accepted) == n, 30, word)

    def test_send_by_starttls_and_implicit_tls(self):
        for tls, port in (("starttls", self.proxy.port), ("implicit", self.proxy.port_implicit)):
            with self.subTest(tls):
                word = marker()
                done = self.proxy.client("send", "--from", "sender@example.com", "--to", "rcpt@example.net",
                                         "--subject", "By the client", "--body", f"Hello {word}",
                                         user=self.user["sendgrid"], port=port, tls=tls)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.arrived(word)

    def test_a_wrong_password_is_told_in_plain_words(self):
        done = run(PROGRAM_CLIENT, "send", "--host", "127.0.0.1", "--port", self.proxy.port, "--tls", "starttls",
                   "--insecure", "--user", self.user["sendgrid"], "--password", "wrongpassword", "--from",
                   "a@example.com", "--to", "b@example.net", "--subject", "x", "--body", "x")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("SMTP AUTH failed", done.stderr + done.stdout)
        self.assertNotIn("wrongpassword", done.stderr + done.stdout)

    def test_an_unknown_certificate_is_refused_with_its_details(self):
        for tls, port in (("starttls", self.proxy.port), ("implicit", self.proxy.port_implicit)):
            with self.subTest(tls):
                done = run(PROGRAM_CLIENT, "send", "--host", "127.0.0.1", "--port", port, "--tls", tls, "--from",
                           "a@example.com", "--to", "b@example.net", "--subject", "x", "--body", "x")
                self.assertNotEqual(done.returncode, 0)
                self.assertRegex((done.stderr + done.stdout).lower(), "certificate")
                self.assertIn("Test CA", done.stderr + done.stdout, "the issuer is named")

    def test_nobody_listening_is_an_error(self):
        done = run(PROGRAM_CLIENT, "send", "--host", "127.0.0.1", "--port", "1", "--tls", "starttls", "--insecure",
                   "--from", "a@example.com", "--to", "b@example.net", "--subject", "x", "--body", "x")
        self.assertNotEqual(done.returncode, 0)
        self.assertTrue(done.stderr.strip())

    def test_batch_sends_them_all_and_tells_the_percentiles(self):
        word = marker()
        done = self.proxy.client("batch", "--from", "sender@example.com", "--to", "rcpt@example.net", "--subject",
                                 "batch", "--body", f"text {word}", "--count", "30", "--rate", "100",
                                 user=self.user["sendgrid"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?i)p95|95")
        self.arrived(word, 30)

    def test_wrong_options_are_64(self):
        for args in ((), ("send", "--nope"), ("send", "--port", "x"), ("send", "--tls", "maybe"), ("bogus",)):
            with self.subTest(args=args):
                self.assertEqual(run(PROGRAM_CLIENT, *args).returncode, 64)

    # smtp-proxyctl

    def test_tenants_and_users(self):
        ctl = self.proxy.ctl
        ctl("tenant", "add", "acme", "--provider", "sendgrid")
        self.assertIn("acme", ctl("tenant", "list").stdout)
        self.assertIn("acme", json.dumps(ctl("tenant", "list", json_out=True)))
        self.assertNotEqual(ctl("tenant", "add", "acme", check=False).returncode, 0, "twice")
        self.assertNotEqual(ctl("tenant", "add", "no such name!", check=False).returncode, 0)
        self.assertNotEqual(ctl("tenant", "add", "other", "--provider", "nowhere", check=False).returncode, 0)
        word = self.proxy.add_user("joe@acme.example", "acme")
        self.assertIn("joe@acme.example", ctl("user", "list").stdout)
        self.assertNotEqual(ctl("user", "add", "joe@acme.example", "--tenant", "acme", input="x1234567890\n",
                                check=False).returncode, 0, "twice")
        self.assertNotEqual(ctl("user", "add", "jane@acme.example", "--tenant", "nobody", input="x1234567890\n",
                                check=False).returncode, 0)
        self.assertReply(self.smtp().auth("joe@acme.example", word), 235)
        stored = self.cluster.one("SELECT password FROM smtp_user WHERE name = 'joe@acme.example'")
        self.assertTrue(stored.startswith("$y$"), "yescrypt")
        new = "n" + word
        ctl("user", "passwd", "joe@acme.example", input=new + "\n")
        wait_until(lambda: self.smtp().auth("joe@acme.example", word).code == 535, 15, "the old password refused", 0.3)
        self.assertReply(self.smtp().auth("joe@acme.example", new), 235)

    def test_migrate_can_be_run_again(self):
        self.assertEqual(self.proxy.migrate().returncode, 0)

    def test_every_program_has_help_and_a_version(self):
        from tests.support.base import PROGRAM_MASTER
        for program, options in ((PROGRAM_CTL, ("--help", "--version")), (PROGRAM_CLIENT, ("--help", "--version")),
                                 (PROGRAM_MASTER, ("-h", "-V"))):
            for option in options:
                done = run(program, option)
                self.assertEqual(done.returncode, 0, (program, option))
                self.assertTrue(done.stdout.strip())

    def test_json_is_json_everywhere(self):
        for args in (("queue", "list"), ("dead", "list"), ("tenant", "list"), ("user", "list"), ("status",),
                     ("queue", "show"), ("config", "show"), ("config", "defaults")):
            with self.subTest(args=args):
                self.proxy.ctl(*args, json_out=True)

    def test_nothing_of_the_queue_is_shown_when_it_is_empty(self):
        wait_until(lambda: self.proxy.depth() == 0, 20, "an empty queue")
        self.assertFalse(re.search(r"[0-9a-f]{8}-", self.proxy.ctl("queue", "list").stdout))


class DevCertificates(unittest.TestCase):
    """contrib/dev-certificates."""

    def test_it_makes_them_once(self):
        scratch = Scratch("dev")
        self.addCleanup(scratch.close)
        script = SOURCE / "contrib" / "dev-certificates"
        done = run(script, scratch.path)
        self.assertEqual(done.returncode, 0, done.stderr)
        made = {p.name: p.read_bytes() for p in scratch.path.iterdir()}
        self.assertLessEqual({"ca.crt", "ca.key", "server.crt", "server.key", "server.pem"}, set(made))
        text = run("openssl", "x509", "-in", scratch.path / "server.crt", "-noout", "-text").stdout
        for needed in ("2048 bit", "DNS:localhost", "IP Address:127.0.0.1"):
            self.assertIn(needed, text)
        for path in scratch.path.iterdir():
            if b"PRIVATE KEY" in path.read_bytes():
                self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)
        run(script, scratch.path, check=True)
        self.assertEqual({p.name: p.read_bytes() for p in scratch.path.iterdir()}, made, "kept")


if __name__ == "__main__":
    unittest.main()
