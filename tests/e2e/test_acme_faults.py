# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around certificates by ACME: an authority that talks nonsense, is away, or sets limits; a full disk, a directory that
is not ours, death at any moment. Nothing of it ends a session or takes the present certificate away.

A clock that is wrong cannot be had without a machine of its own: certificates of the authority's server that are not valid now stand
for it.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import unittest

from tests.support.acme_case import Acme, AcmeCase, looked_at
from tests.support.base import EVIDENCE, IS_ROOT, Authority, Scratch, wait_until
from tests.support.smtp import Smtp
from tests.support.standin import AcmeAuthority, Nonsense, Sns, StandIn

HOUR = 3600


class StandInCase(AcmeCase):
    CERTIFICATES = {"mail.test": {}}

    @classmethod
    def authority_for_tests(cls):
        return AcmeAuthority(cls.tls_authority)

    def tearDown(self):
        self.ca.behave()
        self.assertEqual(self.ca.violations, [])

    def fails(self, acme=None):
        """One more try; the row when it has failed."""
        acme = acme or self.acme
        before = acme.row("mail.test")
        acme.renew("mail.test")
        return acme.await_row("mail.test", lambda r: r["failures"] > before["failures"], 30, "a failure")

    def succeeds(self, acme=None):
        acme = acme or self.acme
        before = acme.row("mail.test")
        acme.renew("mail.test")
        row = acme.await_valid("mail.test", other_than=before["serial"])
        self.assertEqual((row["failures"], row["last_error"]), (0, ""))
        return row


def changed(**members):
    """An answer with other members; None: without it."""
    def edit(answer):
        return {k: v for k, v in (answer | members).items() if v is not None}
    return edit


def challenges(**members):
    def edit(answer):
        return answer | {"challenges": [c | members for c in answer["challenges"]]}
    return edit


class TalksNonsense(StandInCase):
    """The try fails with a sentence, and the next one, without nonsense, is good. Each step with each kind: test_acme_protocol.py."""

    ALWAYS = 50     # more often than anything is tried again within one order

    CASES = {
        "new-order": [Nonsense(truncate=True), Nonsense(edit=changed(finalize=None)), Nonsense(body=b" " * (16 << 20)),
                      Nonsense(edit=changed(authorizations=["x"] * 5000))],
        "authorization": [Nonsense(edit=challenges(token="../../../etc/passwd"))],
        "finalize": [Nonsense(problem="badCSR")],
        "certificate": [Nonsense(body=b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")],
    }

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.row = cls.acme.await_valid("mail.test")
        cls.session = Smtp(cls.acme.port)
        cls.addClassCleanup(cls.session.close)

    def test_nonsense_at_each_step(self):
        for step, cases in self.CASES.items():
            for nonsense in cases:
                what = re.sub(r"(.)\1{20,}", r"\1...", repr({k: v for k, v in vars(nonsense).items() if v})[:300])
                with self.subTest(step, nonsense=what):
                    before = self.acme.pem("mail.test")
                    self.ca.misbehave(step, nonsense, self.ALWAYS)
                    row = self.fails()
                    self.ca.behave()
                    self.assertTrue(row["last_error"])
                    self.assertEqual(row["serial"], self.row["serial"])
                    self.assertEqual(self.acme.pem("mail.test"), before)
        self.assertEqual(self.session.command("NOOP").code, 250)
        self.acme.child("cert-renewer", 1)
        self.succeeds()
        self.assertEqual(self.acme.log.all("master.child.died"), [])
        type(self).row = self.acme.row("mail.test")

    def test_certificates_that_are_not_what_was_ordered(self):
        other, _ = self.tls_authority.issue("other", names="DNS:mail.test")
        for what, change in (("other names", {"leaf": {"names": ["other.test"]}}), ("over", {"leaf": {"start": -9999, "end": -60}}),
                             ("one name too few", {"leaf": {"names": ["x.mail.test"]}}),
                             ("another key", {"chain": lambda pem: other}),
                             ("the issuer first", {"chain": lambda pem: self.tls_authority.ca_file.read_text() + pem})):
            with self.subTest(what):
                for name, value in change.items():
                    setattr(self.ca, name, value)
                row = self.fails()
                self.ca.behave()
                self.assertEqual(row["serial"], self.row["serial"])
                self.acme.await_served("mail.test")

    def test_some_bad_nonces_are_borne(self):
        self.ca.misbehave("new-order", Nonsense(problem="badNonce"), 2)
        self.ca.misbehave("finalize", Nonsense(problem="badNonce"), 2)
        type(self).row = self.succeeds()


class Limited(StandInCase):
    """What an authority allows."""

    @classmethod
    def settings(cls):
        cls.hook = Webhook()
        cls.addClassCleanup(cls.hook.close)
        return {"alerts": {"webhook": cls.hook.url}}

    def test_no_try_before_the_time_it_names(self):
        row = self.acme.await_valid("mail.test")
        for value in ("7200", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 7200))):
            with self.subTest(value):
                self.ca.misbehave("new-order", Nonsense(problem="rateLimited", status=429, detail="too many certificates",
                                                        headers={"Retry-After": value}))
                failed = self.fails()
                self.assertAlmostEqual(failed["next_try"], time.time() + 7200, delta=60)
                self.assertIn("rateLimited", failed["last_error"])
                self.assertIn("too many certificates", failed["last_error"])
                self.hook.wait_for(lambda: [t for t in self.hook.told if "rate_limited" in json.dumps(t)], 20, "an alert, at the first")
                self.hook.told.clear()
                self.assertEqual(failed["serial"], row["serial"])
                self.acme.await_served("mail.test")
                asked = self.ca.count("new-order")
                refused = self.acme.renew("mail.test", check=False)
                self.assertNotEqual(refused.returncode, 0)
                self.assertIn("no other try", refused.stderr)
                self.acme.stop()
                self.acme.start()
                self.assertEqual(self.acme.row("mail.test")["next_try"], failed["next_try"], "remembered over a start")
                self.assertEqual(self.ca.count("new-order"), asked)
                self.acme.stop()
                (self.acme.store("mail.test") / "state.json").unlink()      # or the other value would have to wait
                self.acme.start()
                row = self.acme.await_valid("mail.test")

    def test_waits_grow(self):
        self.acme.await_valid("mail.test")
        self.ca.misbehave("any", Nonsense(status=503), 10**6)
        for wait in (30, 60, 120, 300, HOUR, HOUR):
            row = self.fails()
            self.assertAlmostEqual(row["next_try"] - row["last_error_at"], wait, delta=wait * 0.1 + 1)
        self.assertIn("503", row["last_error"])
        self.assertEqual(row["state"], "failing")


class Alerts(StandInCase):
    """After three failures in a row somebody is told, once; and when it is good again."""

    @classmethod
    def settings(cls):
        cls.told = cls.scratch.sub("told", 0o777)
        command = cls.scratch.path / "command"
        command.write_text(f"#!/bin/sh\nfor word; do printf '%s\\n' \"$word\"; done > {cls.told}/$$\n")
        command.chmod(0o755)
        cls.hook = Webhook()
        cls.addClassCleanup(cls.hook.close)
        cls.sns = Sns()
        cls.addClassCleanup(cls.sns.close)
        cls.secret = EVIDENCE.secret("hook-Zm9vYmFyYmF6cXV4")
        return {"alerts": {"command": str(command), "webhook": f"{cls.hook.url}/{cls.secret}", "sns_topic": cls.sns.topic},
                "aws": {"credentials": "settings", "region": cls.sns.region, "access_key_id": cls.sns.access_key_id,
                        "secret_access_key": cls.sns.secret_key, "sns_endpoint": cls.sns.url}}

    def commands(self):
        return [p.read_text().splitlines() for p in sorted(self.told.iterdir())]

    def test_somebody_is_told(self):
        self.acme.await_valid("mail.test")
        self.ca.misbehave("new-order", Nonsense(problem="serverInternal", detail="the cat is on the keyboard", status=500), 10**6)
        for _ in range(2):
            self.fails()
        self.assertEqual((self.commands(), self.hook.told), ([], []))
        self.fails()
        self.hook.wait_for(lambda: self.hook.told, 20, "the webhook")
        wait_until(self.commands, 20, "the command")
        self.sns.wait(1)
        words = self.commands()[0]
        self.assertEqual(words[1], "mail.test")
        self.assertIn("the cat is on the keyboard", words[2])
        for told in (json.dumps(self.hook.told[0]), json.dumps(self.sns.accepted[0].payload)):
            for text in ("mail.test", "the cat is on the keyboard"):
                self.assertIn(text, told)
        self.assertEqual(self.sns.violations, [])
        self.assertEqual(self.acme.log.wait("cert.failing", failures=3)["level"], "error")
        self.assertEqual(self.acme.metric("certificate_failures_in_a_row", certificate="mail.test"), 3)
        with self.subTest("and monitoring"):
            done = self.acme.ctl("cert", "check", check=False)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertRegex(done.stdout, "^WARNING - mail.test: its renewal failed 3 times in a row: .*the cat is on the keyboard")
        with self.subTest("once"):
            self.fails()
            self.assertEqual((len(self.commands()), len(self.hook.told), len(self.sns.accepted)), (1, 1, 1))
        with self.subTest("and when it is good again"):
            self.ca.behave()
            self.succeeds()
            wait_until(lambda: len(self.commands()) == 2, 20, "the all-clear")
            self.assertEqual(self.acme.metric("certificate_failures_in_a_row", certificate="mail.test"), 0)


class Account(StandInCase):
    """What operators ask of the account, at a bad moment."""

    def test_nothing_is_lost_without_a_word(self):
        row = self.acme.await_valid("mail.test")
        since = len(self.ca.asked)
        self.ca.misbehave("new-order", Nonsense(hang=True))
        self.ca.misbehave("revoke", Nonsense(hang=True))
        self.acme.renew("mail.test")
        self.ca.wait_asked("new-order", since=since)
        with self.subTest("no other key while an order is made with the present one"):
            done = self.acme.ctl("cert", "rollover", check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("a certificate is being obtained", done.stdout + done.stderr)
            self.assertEqual(self.ca.count("key-change"), 0)
        with self.subTest("a revocation that the account does not live to see"):
            self.acme.ctl("cert", "revoke", "mail.test", "--reason", "superseded", "--yes")
            self.acme.settings["acme"]["contact"] = "other@mail.test"
            self.acme.write_settings()
            self.acme.ctl("reload")
            self.assertIn("the account is being changed", self.acme.log.wait("cert.not_revoked")["reason"])
        self.acme.await_valid("mail.test", other_than=row["serial"])
        with self.subTest("no order until the key has been changed"):
            since = len(self.ca.asked)
            self.ca.misbehave("key-change", Nonsense(latency=6))    # longer than an operator has to wait for the answer
            self.acme.ctl("cert", "rollover")
            self.succeeds()
            self.assertEqual([step for _, step, *_ in self.ca.asked[since:] if step in ("key-change", "new-order")],
                             ["key-change", "new-order"])


class Clock(StandInCase):
    """Certificates that begin in two days stand for a clock that was set back."""

    CERTIFICATES = {"mail.test": {}, "other.test": {}}

    @classmethod
    def settings(cls):
        cls.hook = Webhook()
        cls.addClassCleanup(cls.hook.close)
        return {"alerts": {"webhook": cls.hook.url}}

    def notice(self):
        return self.acme.ctl("status", json_out=True)["notice"]

    def put(self, texts):
        for key, text in texts.items():
            (self.acme.store(key) / "tls.pem").write_text(text)
        self.assertTrue(self.acme.reload())

    def test_somebody_is_told(self):
        for key in self.CERTIFICATES:
            self.acme.await_valid(key)
        right = {key: self.acme.pem(key) for key in self.CERTIFICATES}
        self.put({key: "".join(self.tls_authority.issue(key, start=2 * 86400, names=f"DNS:{key}")) for key in right})
        for key in right:
            self.assertIn("before its certificate was made", self.acme.log.wait("cert.clock", certificate=key)["reason"])
            self.assertIn("the clock", self.acme.row(key)["renew_why"])
        self.hook.wait_for(lambda: self.hook.told, 20, "the webhook")
        wait_until(lambda: "certificates are not renewed: the clock" in self.notice(), 10, "the notice")
        self.put(right)
        for key in right:
            self.acme.await_valid(key)
        wait_until(lambda: "the clock" not in self.notice(), 10, "the notice to go")
        self.assertEqual([told["event"] for told in self.hook.told], ["certificate.clock_wrong"], "once for all")


class Webhook(StandIn):
    def __init__(self):
        self.told = []
        super().__init__()

    def serve(self, request):
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self.lock:
            self.told.append(body)
            self.lock.notify_all()
        request.connection.sendall(b"HTTP/1.1 204 Said\r\nContent-Length: 0\r\n\r\n")


class Away(AcmeCase):
    """An authority that is away for a while, and has forgotten everything when it comes back, accounts too."""

    CERTIFICATES = {"mail.test": {}}

    def test_away_and_back(self):
        row = self.acme.await_valid("mail.test")
        self.acme.await_served("mail.test")
        self.ca.stop()
        self.acme.renew("mail.test")
        failed = self.acme.await_row("mail.test", lambda r: r["failures"] == 1)
        self.assertTrue(20 <= failed["next_try"] - failed["last_error_at"] <= 45, failed)
        self.assertTrue(failed["last_error"])
        self.assertIn(self.acme.served("mail.test"), self.acme.pem("mail.test"))
        self.ca.start()
        self.acme.renew("mail.test")
        self.acme.await_valid("mail.test", other_than=row["serial"])
        self.acme.await_served("mail.test")
        self.acme.served("mail.test", self.ca.root())


class NotThisAuthority(unittest.TestCase):
    """The authority's own server has a certificate that is not valid now, as all have when our clock is wrong; or one of another
    authority's."""

    def test_the_reason_is_told(self):
        for start, end, words in ((86400, 2 * 86400, "not yet valid"), (-2 * 86400, -86400, "expired")):
            with self.subTest(words):
                acme = self.proxy(start, end)
                row = acme.await_row("mail.test", lambda r: r["last_error"])
                self.assertIn(words, row["last_error"])
                self.assertNotEqual(row["state"], "valid")
                acme.stop()

    def proxy(self, start, end):
        scratch = Scratch("clock")
        self.addCleanup(scratch.close)
        authority = Authority(scratch.path)
        issue = authority.issue
        authority.issue = lambda name, **kw: issue(name, start=start, end=end)
        ca = AcmeAuthority(authority)
        self.addCleanup(ca.close)
        authority.issue = issue
        acme = Acme(ca, {"mail.test": {}})
        self.addCleanup(acme.close)
        return acme.start()


class Disk(AcmeCase):
    """The place where certificates are kept."""

    CERTIFICATES = {"mail.test": {}}
    START = False

    def mounted(self, size):
        """A state directory of its own size."""
        state = pathlib.Path(self.acme.settings["instance"]["state_dir"])
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "none", state], capture_output=True, check=False)
        if done.returncode != 0:
            self.skipTest(f"no mount here: {done.stderr.decode().strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", state], check=True)
        return state

    @unittest.skipUnless(IS_ROOT, "only root can mount")
    def test_full_and_then_not(self):
        state = self.mounted("256k")
        self.acme.start()
        self.addCleanup(self.acme.stop)
        row = self.acme.await_valid("mail.test")
        filler = state / "filler"
        with open(filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 512)
            except OSError:
                pass
        self.acme.renew("mail.test")
        failed = self.acme.await_row("mail.test", lambda r: r["last_error"])
        self.assertIn("No space left on device", failed["last_error"])
        self.assertEqual(looked_at(self.acme.pem("mail.test"))["serial"], row["serial"].lower().lstrip("0"))
        filler.unlink()
        self.acme.renew("mail.test")
        renewed = self.acme.await_valid("mail.test", other_than=row["serial"])
        self.assertEqual(looked_at(self.acme.pem("mail.test"))["serial"], renewed["serial"].lower().lstrip("0"))
        with self.subTest("a directory that is not ours"):
            place = self.acme.store("mail.test")
            os.chown(place, 0, 0)
            self.acme.renew("mail.test")
            failed = self.acme.await_row("mail.test", lambda r: r["last_error"])
            self.assertIn("Permission denied", failed["last_error"])
            shutil.chown(place, "_sp-cert-renewer", "_sp-cert-renewer")
            self.acme.renew("mail.test")
            self.acme.await_valid("mail.test", other_than=renewed["serial"])


    def test_a_store_that_cannot_be_opened_keeps_no_mail_away(self):
        acme = Acme(self.ca, self.CERTIFICATES)
        self.addCleanup(acme.close)
        place = pathlib.Path(acme.settings["instance"]["state_dir"]) / "certs"
        place.write_text("in the way")
        acme.start()
        self.assertIn("Not a directory", acme.log.wait("process.died")["reason"])
        with Smtp(acme.port) as s:
            self.assertEqual(s.command("NOOP").code, 250)
        self.assertIn("mail.test", acme.certificates(), "what is on the disk")
        place.unlink()
        acme.log.wait("master.child.ready", 30, child="cert-renewer")
        acme.await_valid("mail.test")


@unittest.skipUnless(IS_ROOT and shutil.which("strace"), "needs root and strace")
class Killed(AcmeCase):
    """kill -9 at each step of what is written to the disk: the old certificate or the new one, never half of one."""

    CERTIFICATES = {"mail.test": {}}

    # Each file is written, synced, renamed, and its directory synced: state.json, the old one into the history, tls.pem, state.json. A call
    # that is named is not done any more.
    STEPS = (("renameat", 2), ("fsync", 5), ("renameat", 3), ("fsync", 6), ("renameat", 4))

    def test_at_each_step(self):
        self.acme.await_valid("mail.test")
        # There is a history from then on.
        self.acme.renew("mail.test")
        wait_until(lambda: self.acme.history("mail.test"), 20, "a history")
        for call, n in self.STEPS:
            with self.subTest(call, n=n):
                before = self.acme.await_valid("mail.test")
                mark = self.acme.log.mark()
                pid = self.acme.child("cert-renewer")
                self.trace(pid, call, n)
                self.acme.renew("mail.test")
                self.acme.log.wait("master.child.ended", since=mark, child="cert-renewer", signal=9)
                self.whole()
                self.acme.log.wait("master.child.ready", 60, mark, child="cert-renewer")
                # What the operator asked for is done after all.
                self.acme.await_valid("mail.test", other_than=before["serial"])
                self.whole()
                left = [p for p in self.acme.store("mail.test").rglob(".*")]
                self.assertEqual(left, [])
        self.assertEqual(self.acme.row("mail.test")["failures"], 0)

    def trace(self, pid, call, n):
        tracer = subprocess.Popen(["strace", "-f", "-qq", "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={n}",
                                   "-p", str(pid), "-o", "/dev/null"], stderr=subprocess.PIPE)
        self.addCleanup(tracer.communicate)
        self.addCleanup(tracer.terminate)
        if not self.attached(pid, tracer):
            self.skipTest(f"cannot trace here: {tracer.stderr.read().decode()}")

    @staticmethod
    def attached(pid, tracer):
        try:
            wait_until(lambda: tracer.poll() is not None or
                       f"TracerPid:\t{tracer.pid}" in pathlib.Path(f"/proc/{pid}/status").read_text(), 10, "strace")
        except FileNotFoundError:
            return False
        return tracer.poll() is None

    def whole(self):
        """The file has a key and the chain of that key."""
        path = self.scratch.path / "look.pem"
        path.write_text(self.acme.pem("mail.test"))
        of_key = subprocess.run(["openssl", "pkey", "-in", path, "-pubout"], capture_output=True, check=True).stdout
        of_chain = subprocess.run(["openssl", "x509", "-in", path, "-noout", "-pubkey"], capture_output=True, check=True).stdout
        self.assertEqual(of_key, of_chain)
        self.acme.await_served("mail.test")


if __name__ == "__main__":
    unittest.main()
