# SPDX-License-Identifier: Apache-2.0
"""Mailgun, through the real programs: sent, refused, throttled, key refused."""
import email.utils
import json
import time
import unittest

from tests.e2e.test_provider import ProviderCase
from tests.support import mail
from tests.support.base import marker, wait_until
from tests.support.case import queued_id
from tests.support.standin import Fault, Mailgun


class ThroughMailgun(ProviderCase):
    SETTINGS = {"deliver": {"call_timeout": "3s"}, "queue": {"retry_first": "1s", "max_attempts": 3}}

    @classmethod
    def providers(cls):
        return {"mailgun": Mailgun()}

    def taken(self, word):
        self.arrives("mailgun", word)
        return next(r for r in self.provider["mailgun"].accepted if word in r.payload["message"])

    def test_a_message_arrives_as_it_was_with_its_envelope(self):
        word = marker()
        rich = mail.rich(word)
        raw = (b"Bcc: secret@example.org\r\nX-Mailgun-Tag: mine\r\nBcc\r\n : secret@example.org\r\nX-Mailgun-Tag\r\n\t: mine\r\n"
               + rich)
        with self.proxy.session(self.user["mailgun"]) as s:
            ident = queued_id(self.assertReply(s.mail(raw, to=mail.RICH_RECIPIENTS), 250))
        record = self.taken(word)
        self.assertEqual(record.payload["to"], mail.RICH_RECIPIENTS)
        self.assertEqual(record.payload["v:smtp_proxy_id"], ident)
        self.assertEqual(record.payload["o:tracking"], "no")
        self.assertTrue(record.raw.endswith(rich.split(b"\r\n\r\n", 1)[1]))
        self.assertNotIn("secret@example.org", record.payload["message"])
        self.assertNotIn("X-Mailgun", record.payload["message"])
        self.assertEqual(self.state(ident), "sent")
        self.assertEqual(mail.parts(record.raw), mail.parts(rich))
        self.assertIn(record.provider_id, self.proxy.ctl("message", "show", ident).stdout)

    def failing(self, fault):
        word = marker()
        standin = self.provider["mailgun"]
        standin.misbehave(fault, 1, lambda p: word in p["message"])
        began = time.time()
        ident, _ = self.send("mailgun", word)
        return ident, word, began

    def test_a_refused_message_is_a_dead_letter(self):
        ident, _, _ = self.failing(Fault(status=400, body=b'{"message":"\'to\' parameter is not a valid address"}'))
        self.assertEqual(self.state(ident), "failed")
        self.assertIn("is not a valid address", self.proxy.ctl("dead", "show", ident).stdout)

    def test_the_time_it_names_is_waited_for(self):
        until = email.utils.formatdate(time.time() + 4, usegmt=True).replace("GMT", "UTC")
        ident, word, began = self.failing(Fault(status=429, body=json.dumps(
            {"message": f"Domain mg.example.com is not allowed to send: request limit exceeded, try again after {until}"}
        ).encode()))
        self.assertEqual(self.state(ident), "sent")
        self.assertEqual([k for k, _, _ in self.events(ident)], ["transient"])
        self.assertGreater(time.time() - began, 2.5)
        self.assertEqual(len(self.times("mailgun", word)), 1)

    def test_a_refused_key_bounces_nothing(self):
        ident, word, _ = self.failing(Fault(status=401))
        events = wait_until(lambda: self.events(ident), 20, "the refusal")
        self.assertEqual(events[0][:2], ["provider-fault", "401"])
        self.arrives("mailgun", word)

    def test_a_domain_that_may_not_send_bounces_nothing(self):
        ident, word, _ = self.failing(Fault(status=400, body=b'{"message":"Domain mg.example.com is not allowed to send: '
                                                             b'Please activate your Mailgun account."}'))
        events = wait_until(lambda: self.events(ident), 20, "the refusal")
        self.assertEqual(events[0][:2], ["provider-fault", "400"])
        self.arrives("mailgun", word)

    def test_accepted_without_an_id_is_unknown(self):
        ident, word, _ = self.failing(Fault(status=200, body=b"<html>"))
        self.assertEqual(self.state(ident), "sent")
        self.assertEqual([k for k, _, _ in self.events(ident)], ["unknown"])
        self.assertEqual(len(self.times("mailgun", word)), 2)


if __name__ == "__main__":
    unittest.main()
