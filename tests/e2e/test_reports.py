# SPDX-License-Identifier: Apache-2.0
"""Delivery reports: of what was passed on, of what waits long, of failures, each once and not too many; through a smarthost
that makes its own, none."""
import email
import os
import signal
import unittest

from tests.support.base import marker, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.standin import Fault, Ses, Smarthost


class Case(ProxyCase):
    """The stand-in takes messages as they are, so that Python's parser sees what the composer made."""
    MESSAGE = b"Message-ID: <m@example.com>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nSubject: hello\r\n\r\n"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name in cls.provider:
            cls.proxy.ctl("tenant", "set", f"tenant-{name}", "--bounce-from", "mailer@bounces.example")
        cls.proxy.await_changes()

    def send(self, provider, mail_from, recipients):
        """(id, word) of a message that is taken; addresses with their parameters."""
        word = marker()
        with self.proxy.session(self.user[provider]) as s:
            self.assertReply(s.command("MAIL FROM:" + mail_from), 250)
            for recipient in recipients:
                self.assertReply(s.command("RCPT TO:" + recipient), 250)
            self.assertReply(s.command("DATA"), 354)
            return queued_id(self.assertReply(s.data(self.MESSAGE + word.encode() + b"\r\n"), 250)), word

    def reports_to(self, sender, provider="ses"):
        """Those that the provider was given for this sender."""
        standin = self.provider[provider]
        with standin.lock:
            found = [email.message_from_bytes(r.raw) for r in standin.accepted if b"multipart/report" in r.raw]
        return [m for m in found if m["To"] == f"<{sender}>"]

    def report_to(self, sender, provider="ses"):
        [m] = wait_until(lambda: self.reports_to(sender, provider), 60, f"the report to {sender}")
        return m

    def events(self, ident):
        return [kind for kind, in self.cluster.sql(f"SELECT kind FROM event WHERE message_id = '{ident}' ORDER BY at")]

    def recipients_of(self, report):
        """What it says of each, by address."""
        return {r["Final-Recipient"].removeprefix("rfc822; "): (r["Action"], r["Status"], r["Original-Recipient"])
                for r in report.get_payload(1).get_payload()[1:]}


class Reports(Case):
    SETTINGS = {"smtpd": {"workers": 1}, "queue": {"retry_first": "60s", "retry_longest": "60s"}, "bounces": {"delay_after": "2s"}}

    @classmethod
    def providers(cls):
        return {"ses": Ses(), "dsn": Smarthost(), "plain": Smarthost(offers=("8BITMIME", "AUTH PLAIN"))}

    def test_what_was_passed_on_is_told_to_who_asked(self):
        ident, word = self.send("ses", "<ann@example.com> RET=FULL ENVID=QQ1", [
            "<a@example.net> NOTIFY=SUCCESS ORCPT=rfc822;o+2Ba@example.net", "<b@example.net>", "<c@example.net> NOTIFY=FAILURE,SUCCESS"])
        m = self.report_to("ann@example.com")
        self.assertEqual(m["Subject"], "Your mail was passed on")
        self.assertEqual(self.recipients_of(m), {"a@example.net": ("relayed", "2.0.0", "rfc822; o+a@example.net"),
                                                 "c@example.net": ("relayed", "2.0.0", None)})
        people, status, returned = m.get_payload()
        self.assertIn("is not known", people.get_payload())
        self.assertEqual(status.get_payload(0)["Original-Envelope-Id"], "QQ1")
        # RET is of failures only.
        self.assertEqual(returned.get_content_type(), "text/rfc822-headers")
        self.assertNotIn(word, m.as_string())
        self.assertEqual(self.events(ident), ["relayed", "reported"])

    def test_a_smarthost_that_offers_dsn_makes_the_report(self):
        dsn, _ = self.send("dsn", "<bob@example.com>", ["<a@example.net> NOTIFY=SUCCESS"])
        plain, _ = self.send("plain", "<bob@example.com>", ["<a@example.net> NOTIFY=SUCCESS"])
        self.assertEqual(self.recipients_of(self.report_to("bob@example.com", "plain")), {"a@example.net": ("relayed", "2.0.0", None)})
        wait_until(lambda: self.cluster.sql(f"SELECT 1 FROM delivery WHERE message_id = '{dsn}'"), 30, "the end")
        self.assertTrue([1 for _, line in self.provider["dsn"].commands if "NOTIFY=SUCCESS" in line])
        self.assertEqual((self.events(dsn), self.events(plain)), ([], ["relayed", "reported"]))

    def test_who_waits_long_is_told_once_when_asked_for(self):
        standin = self.provider["ses"]
        standin.misbehave(Fault(status=503), 1, lambda p: b"multipart/report" not in standin.raw(p))
        ident, _ = self.send("ses", "<eve@example.com>", ["<a@example.net> NOTIFY=DELAY,FAILURE", "<b@example.net>"])
        m = self.report_to("eve@example.com")
        self.assertEqual(self.recipients_of(m), {"a@example.net": ("delayed", "4.0.0", None)})
        self.assertIn("Will-Retry-Until", m.get_payload(1).as_string())
        self.assertEqual(m.get_payload(2).get_content_type(), "text/rfc822-headers")
        # The next turn has nothing more to say: what fails meanwhile is told by it.
        standin.misbehave(Fault(status=400, body=b'{"__type": "MessageRejected", "message": "no"}'), 1,
                          lambda p: b"multipart/report" not in standin.raw(p))
        self.send("ses", "<gus@example.com>", ["<a@example.net>"])
        self.report_to("gus@example.com")
        self.assertEqual(self.events(ident).count("delayed"), 1)
        self.assertEqual(len(self.reports_to("eve@example.com")), 1)

    def test_each_is_told_once_though_qmgr_dies(self):
        sent = [self.send("ses", f"<kim{n}@example.com>", ["<a@example.net> NOTIFY=SUCCESS"])[0] for n in range(10)]
        for n in range(4):
            wait_until(lambda n=n: self.told(sent) >= 2 * n, 60, "some reports")
            os.kill(self.proxy.child("qmgr"), signal.SIGKILL)
            sent += [self.send("ses", f"<kim{10 + 5 * n + i}@example.com>", ["<a@example.net> NOTIFY=SUCCESS"])[0] for i in range(5)]
        wait_until(lambda: self.told(sent) == len(sent), 90, "all reports")
        for n in range(len(sent)):
            self.report_to(f"kim{n}@example.com")

    def told(self, idents):
        ids = ",".join(f"'{i}'" for i in idents)
        return int(self.cluster.sql(f"SELECT count(*) FROM event WHERE kind = 'reported' AND message_id IN ({ids})")[0][0])


class Storm(Case):
    SETTINGS = {"smtpd": {"workers": 1}, "bounces": {"per_hour": 3}}

    @classmethod
    def providers(cls):
        return {"ses": Ses()}

    def test_a_storm_is_cut_off_and_a_suppressed_sender_hears_nothing(self):
        standin = self.provider["ses"]
        standin.misbehave(Fault(status=400, body=b'{"__type": "MessageRejected", "message": "no"}'), 100,
                          lambda p: b"multipart/report" not in standin.raw(p))
        self.proxy.ctl("suppression", "add", "forged@example.com", "--tenant", "tenant-ses")
        mark = self.proxy.log.mark()
        forged, _ = self.send("ses", "<Forged@example.com>", ["<a@example.net>"])
        # A message to many is one report; of the others the tenant has only so many.
        many, _ = self.send("ses", "<many@example.com>", [f"<r{n}@example.net>" for n in range(40)])
        self.assertEqual(len(self.recipients_of(self.report_to("many@example.com"))), 40)
        for n in range(8):
            self.send("ses", f"<joe{n}@example.com>", ["<a@example.net>"])
        wait_until(lambda: sum(self.counted()) == 10, 60, "an end of all")
        self.assertEqual(self.counted(), [3, 7])
        self.assertEqual(self.events(forged)[-1], "unreported")
        self.assertEqual(self.reports_to("forged@example.com") + self.reports_to("Forged@example.com"), [])
        self.assertEqual(len(self.proxy.log.all("qmgr.report.limited", since=mark)), 1)
        self.assertEqual(self.proxy.log.wait("qmgr.report.limited", since=mark)["tenant"], "tenant-ses")
        self.assertEqual(self.proxy.metric("bounce_messages_dropped_total"), 7)

    def counted(self):
        return [int(n) for n in self.cluster.sql(
            "SELECT count(*) FILTER (WHERE kind = 'reported'), count(*) FILTER (WHERE kind = 'unreported') FROM event")[0]]


if __name__ == "__main__":
    unittest.main()
