# SPDX-License-Identifier: Apache-2.0
"""SparkPost, through the real programs: sent, refused, throttled, key refused, no templates."""
import unittest

from tests.e2e.test_provider import ProviderCase
from tests.support import mail
from tests.support.base import marker, wait_until
from tests.support.case import queued_id
from tests.support.standin import Fault, SparkPost


class ThroughSparkPost(ProviderCase):
    SETTINGS = {"deliver": {"call_timeout": "3s"}, "queue": {"retry_first": "1s", "max_attempts": 3}}

    @classmethod
    def providers(cls):
        return {"sparkpost": SparkPost(unwanted=("bad@example.net",), names_them=False)}

    def submit(self, raw, to, options=""):
        with self.proxy.session(self.user["sparkpost"]) as s:
            return queued_id(self.assertReply(s.mail(raw, to=to), 250))

    def taken(self, word):
        self.arrives("sparkpost", word)
        return next(r for r in self.provider["sparkpost"].accepted if word.encode() in r.raw)

    def test_a_message_arrives_with_its_envelope_and_parts(self):
        word = marker()
        rich = mail.rich(word)
        ident = self.submit(b"Bcc: secret@example.org\r\n" + rich, mail.RICH_RECIPIENTS)
        record = self.taken(word)
        self.assertEqual(SparkPost.recipients(record.payload), mail.RICH_RECIPIENTS)
        self.assertFalse(record.payload["options"]["perform_substitutions"])
        self.assertEqual(record.payload["metadata"]["smtp_proxy_id"], ident)
        self.assertNotIn(b"secret@example.org", record.raw)
        self.assertEqual(mail.parts(record.raw), mail.parts(rich))
        self.assertEqual(self.state(ident), "sent")

    def test_what_is_not_ascii_is_encoded_and_templates_are_hidden(self):
        word = marker()
        raw = (f"From: Jörg {{{{x}}}} <sender@example.com>\r\nTo: rcpt@example.net\r\nSubject: Grüße {{{{name}}}} {word}\r\n"
               "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
               "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße {{body}}\r\n--b\r\n"
               "Content-Type: application/x-thing; name=\"{{ä}}.bin\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\x81\x82ä\r\n"
               "--b--\r\n").encode()
        ident = self.submit(raw, ["rcpt@example.net"])
        self.provider["sparkpost"].wait_for(
            lambda: any(r.payload["metadata"]["smtp_proxy_id"] == ident for r in self.provider["sparkpost"].accepted),
            30, ident)
        record = next(r for r in self.provider["sparkpost"].accepted if r.payload["metadata"]["smtp_proxy_id"] == ident)
        self.assertEqual(mail.header(record.raw, "Subject"), f"Grüße {{{{name}}}} {word}")
        self.assertEqual(str(mail.header(record.raw, "From")), "Jörg {{x}} <sender@example.com>")
        got = mail.parts(record.raw)
        self.assertEqual(got[0][4], mail.sha("Grüße {{body}}".encode()))
        self.assertEqual(got[1][1], "{{ä}}.bin")
        self.assertEqual(got[1][4], mail.sha("\x81\x82ä".encode()))

    def failing(self, fault):
        word = marker()
        self.provider["sparkpost"].misbehave(fault, 1, self.only(word))
        ident, _ = self.send("sparkpost", word)
        return ident, word

    def test_a_refused_message_is_a_dead_letter(self):
        ident, _ = self.failing(Fault(status=422, body=b'{"errors":[{"message":"odd","code":"1400"}]}'))
        self.assertEqual(self.state(ident), "failed")
        self.assertIn("1400: odd", self.proxy.ctl("dead", "show", ident).stdout)

    def test_a_sending_limit_bounces_nothing(self):
        ident, word = self.failing(Fault(status=420, body=b'{"errors":[{"message":"Exceed Sending Limit (hourly)",'
                                                          b'"code":"2101"}]}'))
        events = wait_until(lambda: self.events(ident), 20, "the refusal")
        self.assertEqual(events[0][:2], ["provider-fault", "420"])
        self.arrives("sparkpost", word, 60)

    def test_429_is_tried_again(self):
        ident, word = self.failing(Fault(status=429))
        self.assertEqual(self.state(ident), "sent")
        self.assertEqual(self.events(ident)[0][:2], ["transient", "429"])
        self.assertEqual(len(self.times("sparkpost", word)), 1)

    def test_a_refused_key_bounces_nothing(self):
        ident, word = self.failing(Fault(status=401))
        events = wait_until(lambda: self.events(ident), 20, "the refusal")
        self.assertEqual(events[0][:2], ["provider-fault", "401"])
        self.arrives("sparkpost", word, 60)

    def test_who_was_refused_is_not_guessed(self):
        word = marker()
        ident = self.submit(mail.plain(text=word + "\n"), ["rcpt@example.net", "bad@example.net"])
        self.assertEqual(self.state(ident), "failed")
        self.assertEqual(len(self.times("sparkpost", word)), 1)
        self.assertIn("does not say which", self.proxy.ctl("dead", "show", ident).stdout)


if __name__ == "__main__":
    unittest.main()
