# SPDX-License-Identifier: Apache-2.0
"""The log: whole JSON lines, one story from session to provider, and never a secret. The search for secrets also goes
through what all test programs before it left in SP_EVIDENCE, so run-tests runs this one last.
"""
import re
import unittest

from tests.support import mail
from tests.support.base import EVIDENCE, marker, run, wait_until, PROGRAM_CTL
from tests.support.case import ProxyCase, queued_id
from tests.support.standin import Fault, SendGrid, Ses


class Logs(ProxyCase):
    SETTINGS = {"log": {"level": "debug"}, "deliver": {"call_timeout": "2s"}}

    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid(), "ses": Ses(token=True), "file": "file"}

    def test_every_line_is_an_object_with_the_common_fields(self):
        self.session("file").mail(mail.plain())
        self.proxy.log.wait("master.ready")
        self.assertEqual(self.proxy.log.broken, [])
        for event in self.proxy.log.events:
            for field in ("time", "level", "role", "pid", "event"):
                self.assertIn(field, event)
            self.assertIn(event["level"], ("error", "warn", "info", "debug"))
            self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$")
            self.assertRegex(event["event"], r"^[a-z_]+(\.[a-z_]+)+$")

    def test_session_and_message_join_the_whole_road(self):
        with self.proxy.session(self.user["sendgrid"]) as s:
            ident = queued_id(self.assertReply(s.mail(mail.plain()), 250))
            s.quit()
        self.proxy.log.wait_for(lambda: [e for e in self.proxy.log.events if e.get("message") == ident and
                                         e["role"].startswith("qmgr") and
                                         "sent" in (e["event"] + str(e.get("outcome", "")) + str(e.get("state", "")))],
                                20, "qmgr's last word")
        mine = [e for e in self.proxy.log.events if e.get("message") == ident]
        roles = {e["role"].split("[")[0] for e in mine}
        self.assertLessEqual({"smtpd", "qmgr", "deliver"}, roles, mine)
        sessions = {e["session"] for e in mine if e.get("session")}
        self.assertEqual(len(sessions), 1)
        session = [e for e in self.proxy.log.events if e.get("session") in sessions]
        self.assertTrue(any("gate" in e["role"] for e in session), "gate names the session")
        self.proxy.log.wait_for(lambda: [e for e in self.proxy.log.events if e.get("session") in sessions and
                                         e["event"].startswith("smtpd.session.")], 10, "the session's line")
        self.assertEqual(self.cluster.one(f"SELECT session FROM message WHERE message_id = '{ident}'"), *sessions)

    def test_hostile_text_from_a_client_stays_inside_its_line(self):
        s = self.smtp()
        s.command(b"EHLO \x1b[31m\"},{\"level\":\"error\"}")
        s.command(b"MAIL FROM:<\xff\xfe\"'\x07@example.com>")
        s.auth('x"\n{"event":"forged.event"}', "y")
        s.close()
        self.session("file").mail(mail.plain())
        self.assertEqual(self.proxy.log.broken, [])
        self.assertEqual([e for e in self.proxy.log.events if e["event"] == "forged.event"], [])

    def test_plain_lines_are_for_people(self):
        path = self.scratch.path / "plain.yaml"
        path.write_text(self.proxy.config.read_text().replace('"json"', '"plain"'))
        self.assertEqual(run(PROGRAM_CTL, "-c", path, "config", "check").returncode, 0)


class Secrets(ProxyCase):
    """Drives every way in which a secret could slip out, at the most talkative level, and then searches."""

    SETTINGS = Logs.SETTINGS
    providers = Logs.providers

    def test_no_secret_and_no_content_in_any_output(self):
        word = marker()
        for provider in ("sendgrid", "ses", "file"):
            with self.proxy.session(self.user[provider]) as s:
                s.mail(mail.rich(word), to=mail.RICH_RECIPIENTS)
        # Failures talk most.
        sendgrid, ses = self.provider["sendgrid"], self.provider["ses"]
        for standin, name in ((sendgrid, "sendgrid"), (ses, "ses")):
            for fault in (Fault(status=400, body=b"{}"), Fault(status=401, body=b"denied"), Fault(reset_after=True)):
                standin.misbehave(fault, 1)
                with self.proxy.session(self.user[name]) as s:
                    self.assertReply(s.mail(mail.plain(text=word + "\n")), 250)
        user = self.user["sendgrid"]
        secret = self.proxy.passwords[user]
        s = self.smtp(tls="none")
        s.command(f"AUTH PLAIN {secret}")
        s = self.smtp()
        s.auth(user, secret + "x")
        s.auth(user, secret + "y", "LOGIN")
        s.auth(secret, "typed in the wrong field")
        s.command("AUTH LOGIN")
        s.command(f"PASS {secret}")
        s.command(f"AUTH PLAIN {secret}")
        s = self.session("sendgrid")
        s.command(f"MAIL FROM:<a@example.com> AUTH={secret}")
        s.command("RSET")
        s.mail(f"Subject: {word}\r\n\r\n{word}".encode(), to=["x"])
        s.close()
        wait_until(lambda: self.cluster.sql("SELECT 1 FROM dead_letter"), 20, "a dead letter")
        for args in (("config", "show"), ("queue", "list"), ("dead", "list"), ("user", "list"), ("status",)):
            self.proxy.ctl(*args)
            self.proxy.ctl(*args, json_out=True)
        for ident in [r[0] for r in self.cluster.sql("SELECT message_id FROM message")]:
            self.proxy.ctl("message", "show", ident)
        self.proxy.http("/metrics")
        self.proxy.reload()
        self.proxy.stop()
        self.assertGreater(len(EVIDENCE.secrets()), 10)
        self.assertGreater(len(list(EVIDENCE.directory.glob("*.txt"))), 10)
        leaks = EVIDENCE.leaks()
        self.assertEqual(leaks, [], "\n".join(f"{f}:{n}" for f, n, _ in leaks[:20]))

    def test_the_arguments_and_environment_of_the_processes_are_clean(self):
        import pathlib
        if self.proxy.process.poll() is not None:
            self.proxy.start()
        secrets = [s.encode() for s in EVIDENCE.secrets()]
        for pid in [self.proxy.process.pid, *self.proxy.children()]:
            for name in ("cmdline", "environ"):
                text = pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
                self.assertFalse(any(s in text for s in secrets), (pid, name))

    def test_the_search_finds_a_secret_that_is_there(self):
        from tests.support.base import Evidence
        probe = Evidence.__new__(Evidence)
        probe.__dict__.update(EVIDENCE.__dict__)
        probe.directory = self.scratch.sub("probe")
        probe.secret("wordthatleaks")
        probe.output("x", "a line", "with wordthatleaks inside")
        self.assertEqual([(n, s) for _, n, s in probe.leaks()], [(2, "wordthatleaks")])
        self.assertFalse(re.search("wordthatleaks", " ".join(EVIDENCE.secrets())))


if __name__ == "__main__":
    unittest.main()
