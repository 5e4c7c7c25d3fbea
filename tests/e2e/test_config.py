# SPDX-License-Identifier: Apache-2.0
"""The settings file as an operator meets it: every mistake at once, with its place, and exit status 78."""
import os
import unittest

from tests.support.base import PROGRAM_CTL, PROGRAM_MASTER, SOURCE, Scratch, password, run
from tests.support.proxy import Proxy


class Config(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch("config")
        cls.addClassCleanup(cls.scratch.close)

    def file(self, text):
        path = self.scratch.path / f"{len(list(self.scratch.path.iterdir()))}.yaml"
        path.write_text(text)
        return path

    def check(self, text, *, env=None):
        path = self.file(text)
        return path, run(PROGRAM_CTL, "-c", path, "config", "check", env=env)

    def test_every_mistake_is_told_at_once_with_its_place(self):
        text = ("smtpd:\n  recipients: 5000\n  message_sise: 10MiB\n  command_timeout: soon\n"
                "quue:\n  lease: 5s\nlog:\n  format: xml\n")
        path, done = self.check(text)
        self.assertEqual(done.returncode, 78, done.stderr)
        said = done.stderr + done.stdout
        for place, words in ((":2:", ("smtpd.recipients", "5000", "1000")), (":3:", ("message_sise", "message_size")),
                             (":4:", ("smtpd.command_timeout", "soon")), (":5:", ("quue", "queue")),
                             (":8:", ("log.format", "xml", "json"))):
            line = next((one for one in said.splitlines() if f"{path}{place}" in one), None)
            self.assertIsNotNone(line, f"{place} in {said}")
            for word in words:
                self.assertIn(word, line)

    def test_master_refuses_broken_settings_with_the_same_words(self):
        path = self.file("smtpd:\n  recipients: none\n")
        ctl = run(PROGRAM_CTL, "-c", path, "config", "check")
        master = run(PROGRAM_MASTER, "-c", path, timeout=20)
        self.assertEqual((ctl.returncode, master.returncode), (78, 78))
        self.assertIn(f"{path}:2:", master.stderr + master.stdout)
        self.assertIn("smtpd.recipients", master.stderr + master.stdout)

    def test_hostile_files_get_an_error(self):
        for text in ("", "[]", "- a\n", "a: &a [*a]\n", "smtpd: [1\n", "\t\n", "smtpd:\n  recipients: [1,2]\n",
                     "smtpd:\n  recipients: {a: 1}\n", "smtpd: 7\n", "x" * 100000, "a: " + "[" * 5000,
                     "smtpd:\n  recipients: 1\n  recipients: 2\n", "\x01", "providers:\n  p:\n    type: carrier-pigeon\n",
                     "providers:\n  p: 1\n", "? [a]\n: b\n", "smtpd: !!binary x\n", "--- {}\n--- {}\n"):
            with self.subTest(text=text[:30]):
                _, done = self.check(text)
                self.assertIn(done.returncode, (0, 78))
                if text not in ("", "--- {}\n--- {}\n"):
                    self.assertEqual(done.returncode, 78, f"{text[:40]!r}: {done.stderr}{done.stdout}")

    def test_a_file_that_is_not_there(self):
        done = run(PROGRAM_CTL, "-c", self.scratch.path / "none.yaml", "config", "check")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("none.yaml", done.stderr)

    def test_secrets_come_from_files_and_the_environment_and_are_hidden(self):
        in_file, in_env, in_text = password("file"), password("env"), password("text")
        key = self.scratch.path / "key"
        key.write_text(in_file + "\n")
        key.chmod(0o600)
        text = ("listeners:\n  a:\n    port: 0\ntls:\n  certificate_file: /nowhere\nproviders:\n"
                f"  one:\n    type: sendgrid\n    api_key: file:{key}\n"
                "  two:\n    type: sendgrid\n    api_key: ${SP_TEST_KEY}\n"
                f"  three:\n    type: sendgrid\n    api_key: {in_text}\nqueue:\n  default_provider: one\n")
        path = self.file(text)
        env = dict(os.environ, SP_TEST_KEY=in_env)
        done = run(PROGRAM_CTL, "-c", path, "config", "show", env=env)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("hidden", done.stdout)
        for secret in (in_file, in_env, in_text):
            self.assertNotIn(secret, done.stdout + done.stderr)
        missing = run(PROGRAM_CTL, "-c", path, "config", "check", env={k: v for k, v in env.items()
                                                                    if k != "SP_TEST_KEY"})
        self.assertEqual(missing.returncode, 78)
        self.assertIn("SP_TEST_KEY", missing.stderr + missing.stdout)

    def test_defaults_are_settings_that_are_accepted(self):
        done = run(PROGRAM_CTL, "config", "defaults")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("command_timeout", done.stdout)

    def test_a_wrong_command_line_is_64(self):
        for args in (("frobnicate",), ("queue",), ("queue", "list", "--nope"), ()):
            with self.subTest(args=args):
                self.assertEqual(run(PROGRAM_CTL, *args).returncode, 64)
        self.assertEqual(run(PROGRAM_MASTER, "--nope").returncode, 64)

    def test_an_unreachable_database_is_said_in_one_line(self):
        proxy = Proxy(None, {"file": "file"})
        self.addCleanup(proxy.close)
        for args in (("db", "migrate", "--sql", SOURCE / "sql"), ("tenant", "list"), ("user", "list")):
            done = proxy.ctl(*args, check=False)
            self.assertIn(done.returncode, (69, 75), args)
            self.assertIn(str(proxy.settings["database"]["host"]), done.stderr)

    def test_missing_certificate_is_said_at_start(self):
        proxy = Proxy(None, {"file": "file"})
        self.addCleanup(proxy.close)
        (proxy.tls / "tls.pem").unlink()
        done = run(PROGRAM_MASTER, "-c", proxy.config, timeout=20, user=proxy.user if proxy.unprivileged else None)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("tls.pem", done.stderr + done.stdout)


if __name__ == "__main__":
    unittest.main()
