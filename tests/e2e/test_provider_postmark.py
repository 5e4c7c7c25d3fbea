# SPDX-License-Identifier: Apache-2.0
"""Postmark, through the real programs: sent, partly refused, refused, throttled, key refused."""
import json
import unittest

from tests.e2e.test_provider import ProviderCase
from tests.support import mail
from tests.support.base import marker, wait_until
from tests.support.case import queued_id
from tests.support.standin import Fault, Postmark


class ThroughPostmark(ProviderCase):
    SETTINGS = {"deliver": {"call_timeout": "3s"}, "queue": {"retry_first": "1s", "max_attempts": 3},
                "health": {"probe_time": "500ms", "open_time": "1s"}}

    @classmethod
    def providers(cls):
        return {"postmark": Postmark(inactive=("asleep@example.net", "Gone@example.net"), invalid=("bad@example.net",))}

    def submit(self, raw, to):
        with self.proxy.session(self.user["postmark"]) as s:
            return queued_id(self.assertReply(s.mail(raw, to=to), 250))

    def record(self, word):
        self.arrives("postmark", word)
        return next(r for r in self.provider["postmark"].accepted if word in str(r.payload))

    def fates(self, ident, n):
        """{recipient: state} when all n have one."""
        return wait_until(lambda: (rows := dict(self.cluster.sql(
            f"SELECT recipient, state FROM delivery WHERE message_id = '{ident}'"))) and len(rows) == n and rows, 30,
            f"the end of {ident}")

    def test_a_rich_message_arrives_with_its_parts_and_blind_recipients_stay_blind(self):
        word = marker()
        rich = mail.rich(word)
        ident = self.submit(b"X-PM-Tag: mine\r\n" + rich, mail.RICH_RECIPIENTS)
        record = self.record(word)
        m = record.payload
        standin = self.provider["postmark"]
        self.assertEqual(standin.addresses(m, "To"), ["first@example.net", "second@example.net"])
        self.assertEqual(standin.addresses(m, "Cc"), ["copy@example.org"])
        self.assertEqual(standin.addresses(m, "Bcc"), ["hidden@example.org"])
        self.assertEqual(m["Metadata"]["smtp_proxy_id"], ident)
        self.assertEqual(standin.pieces(m).from_name, "Zoë Sender")
        sent = {(name, kind): digest for kind, name, _, _, digest in mail.parts(rich) if name}
        got = {(n, t): mail.sha(octets) for n, t, _, octets in standin.pieces(m).files}
        self.assertEqual(set(got), set(sent))
        for key, digest in sent.items():
            if key[1] != "text/csv":
                self.assertEqual(got[key], digest, key)
        self.assertEqual(self.state(ident), "sent")
        self.assertIn(record.provider_id, self.proxy.ctl("message", "show", ident).stdout)

    def test_recipients_that_no_header_names_do_not_see_each_other(self):
        word = marker()
        self.submit(mail.plain(text=word + "\n", to="undisclosed-recipients:;"), ["one@example.net", "two@example.net"])
        m = self.record(word).payload
        self.assertEqual((m.get("To"), m.get("Cc"), m["Bcc"]), (None, None, "one@example.net, two@example.net"))

    def test_inactive_recipients_fail_and_the_others_have_it(self):
        word = marker()
        to = ["asleep@example.net", "awake@example.net", "gone@example.net"]
        ident = self.submit(mail.plain(text=word + "\n", to=", ".join(to)), to)
        fates = self.fates(ident, 3)
        # Addresses are compared as the stand-in has them.
        self.assertEqual(fates, {"asleep@example.net": "failed", "awake@example.net": "sent", "gone@example.net": "sent"})
        self.assertEqual(len(self.times("postmark", word)), 1)
        self.assertIn("inactive", self.proxy.ctl("message", "show", ident).stdout)

    def test_only_inactive_recipients_is_a_dead_letter(self):
        ident = self.submit(mail.plain(), ["asleep@example.net"])
        self.assertEqual(self.state(ident), "failed")
        self.assertIn("inactive", self.proxy.ctl("dead", "show", ident).stdout)

    def test_one_bad_address_does_not_keep_the_others_from_it(self):
        word = marker()
        to = ["fine@example.net", "bad@example.net"]
        ident = self.submit(mail.plain(text=word + "\n", to=", ".join(to)), to)
        self.assertEqual(self.fates(ident, 2), {"fine@example.net": "sent", "bad@example.net": "failed"})
        self.assertEqual(self.provider["postmark"].addresses(self.record(word).payload), ["fine@example.net"])

    def failing(self, fault):
        word = marker()
        self.provider["postmark"].misbehave(fault, 1, self.only(word))
        ident, _ = self.send("postmark", word)
        return ident, word

    def answer(self, code, text="told to fail"):
        return json.dumps({"ErrorCode": code, "Message": text}).encode()

    def test_what_is_refused_is_a_dead_letter(self):
        ident, word = self.failing(Fault(status=422, body=self.answer(300, "Invalid 'From' address.")))
        self.assertEqual(self.state(ident), "failed")
        self.assertEqual(self.times("postmark", word), [])

    def test_the_time_it_names_is_waited_for(self):
        ident, word = self.failing(Fault(status=429, headers={"Retry-After": "3"}))
        self.assertEqual(self.state(ident), "sent")
        self.assertEqual([k for k, _, _ in self.events(ident)], ["transient"])

    def test_a_refused_key_or_sender_bounces_nothing(self):
        for fault in (Fault(status=401, body=self.answer(10)), Fault(status=422, body=self.answer(400)),
                      Fault(status=422, body=self.answer(405))):
            with self.subTest(fault=fault.body):
                ident, word = self.failing(fault)
                events = wait_until(lambda i=ident: self.events(i), 20, "the refusal")
                self.assertEqual(events[0][0], "provider-fault")
                self.assertEqual(self.state(ident, 60), "sent")

    def test_a_forbidden_file_goes_nowhere_else_and_is_told(self):
        raw = (b"From: sender@example.com\r\nTo: a@example.net\r\nSubject: x\r\nContent-Type: application/octet-stream\r\n"
               b"Content-Disposition: attachment; filename=tool.exe\r\n\r\nMZ\r\n")
        ident = self.submit(raw, ["a@example.net"])
        self.assertEqual(self.state(ident), "failed")
        self.assertIn("tool.exe", self.proxy.ctl("dead", "show", ident).stdout)

    def test_the_key_can_be_checked(self):
        self.assertIn("takes the key", self.proxy.ctl("provider", "test", "postmark").stdout)


if __name__ == "__main__":
    unittest.main()
