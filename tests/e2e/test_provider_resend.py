# SPDX-License-Identifier: Apache-2.0
"""Resend, through the real programs: sent, refused, throttled, key refused, repeated safely, partly refused."""
import base64
import json
import re
import unittest

from tests.e2e.test_provider import ProviderCase
from tests.support import mail
from tests.support.base import marker, wait_until
from tests.support.case import queued_id
from tests.support.standin import Fault, Resend


class ThroughResend(ProviderCase):
    SETTINGS = {"deliver": {"call_timeout": "3s"}, "queue": {"retry_first": "1s", "max_attempts": 3}}

    @classmethod
    def providers(cls):
        return {"resend": Resend(unwanted=("bad@example.net",))}

    def submit(self, raw, to):
        with self.proxy.session(self.user["resend"]) as s:
            return queued_id(self.assertReply(s.mail(raw, to=to), 250))

    def test_a_rich_message_arrives_with_its_parts_and_blind_recipients_stay_blind(self):
        word = marker()
        rich = mail.rich(word)
        ident = self.submit(rich, mail.RICH_RECIPIENTS)
        self.arrives("resend", word)
        standin = self.provider["resend"]
        record = next(r for r in standin.accepted if word in str(r.payload))
        message = record.payload["mails"][0]
        self.assertEqual(message["from"], "Zoë Sender <sender@example.com>")
        self.assertEqual(message["to"], ["First Person <first@example.net>", "second@example.net"])
        self.assertEqual(message["cc"], ["Ærlig Ven <copy@example.org>"])
        self.assertEqual(message["bcc"], ["hidden@example.org"])
        self.assertEqual(message["reply_to"], ["answers@example.com"])
        self.assertEqual({t["name"]: t["value"] for t in message["tags"]}["smtp_proxy_id"], ident)
        sent = {(name, kind): digest for kind, name, _, _, digest in mail.parts(rich) if name}
        got = {(a["filename"], a["content_type"]): mail.sha(base64.b64decode(a["content"])) for a in message["attachments"]}
        self.assertEqual(set(got), set(sent))
        for key, digest in sent.items():
            if key[1] != "text/csv":
                self.assertEqual(got[key], digest, key)
        self.assertEqual(standin.dropped, [])
        self.assertIn(f"/{0}/", record.headers["idempotency-key"])
        self.assertEqual(self.state(ident), "sent")

    def test_recipients_that_no_header_names_do_not_see_each_other(self):
        word = marker()
        ident = self.submit(mail.plain(text=word + "\n", to="undisclosed-recipients:;"),
                            ["one@example.net", "two@example.net"])
        self.arrives("resend", word)
        record = next(r for r in self.provider["resend"].accepted if word in str(r.payload))
        self.assertEqual([m["to"] for m in record.payload["mails"]], [["one@example.net"], ["two@example.net"]])
        self.assertTrue(all("bcc" not in m and "cc" not in m for m in record.payload["mails"]))
        self.assertEqual(self.state(ident), "sent")

    def test_with_attachments_each_of_them_gets_a_call_of_its_own(self):
        word = marker()
        raw = re.sub(rb"(?m)^(To|Cc): [^\r]*\r\n", b"", mail.rich(word))
        ident = self.submit(raw, ["one@example.net", "two@example.net", "three@example.net"])
        standin = self.provider["resend"]
        standin.wait_for(lambda: len(self.times("resend", word)) >= 3, 30, "three calls")
        self.assertEqual(self.state(ident), "sent")
        taken = [r.payload["mails"][0] for r in standin.accepted if word in str(r.payload)]
        self.assertEqual(sorted(m["to"][0] for m in taken), ["one@example.net", "three@example.net", "two@example.net"])
        self.assertTrue(all(len(m["attachments"]) == 3 and "cc" not in m and "bcc" not in m for m in taken))

    def test_a_refused_recipient_of_a_batch_is_the_only_one(self):
        word = marker()
        ident = self.submit(mail.plain(text=word + "\n", to="undisclosed-recipients:;"),
                            ["one@example.net", "bad@example.net", "two@example.net"])
        self.arrives("resend", word)
        rows = wait_until(lambda: (r := self.cluster.sql(
            f"SELECT recipient, state, reason FROM delivery WHERE message_id = '{ident}' ORDER BY recipient")) and
            len(r) == 3 and r, 20, "what became of the three")
        self.assertEqual([row[:2] for row in rows], [["bad@example.net", "failed"], ["one@example.net", "sent"],
                                                     ["two@example.net", "sent"]])
        self.assertIn("Invalid `to`", rows[0][2])
        self.assertEqual(len(self.times("resend", word)), 1)

    def failing(self, fault):
        word = marker()
        self.provider["resend"].misbehave(fault, 1, self.only(word))
        ident, _ = self.send("resend", word)
        return ident, word

    def test_a_refused_message_is_a_dead_letter(self):
        ident, _ = self.failing(Fault(status=422, body=b'{"statusCode":422,"name":"invalid_parameter","message":"odd"}'))
        self.assertEqual(self.state(ident), "failed")
        self.assertIn("invalid_parameter: odd", self.proxy.ctl("dead", "show", ident).stdout)

    def test_429_waits_as_long_as_it_says(self):
        ident, word = self.failing(Fault(status=429, headers={"retry-after": "3"}))
        self.assertEqual(self.state(ident), "sent")
        self.assertEqual(self.events(ident)[0][:2], ["transient", "429"])
        self.assertEqual(len(self.times("resend", word)), 1)

    def test_a_refused_key_bounces_nothing(self):
        ident, word = self.failing(Fault(status=403))
        events = wait_until(lambda: self.events(ident), 20, "the refusal")
        self.assertEqual(events[0][:2], ["provider-fault", "403"])
        self.arrives("resend", word)

    def test_who_waits_rather_than_sends_twice_need_not_wait_here(self):
        self.cluster.sql("UPDATE tenant SET on_unknown = 'hold' WHERE name = 'tenant-resend'")
        self.proxy.await_changes()
        self.test_what_was_taken_without_an_answer_is_not_taken_twice()
        self.cluster.sql("UPDATE tenant SET on_unknown = 'retry' WHERE name = 'tenant-resend'")

    def test_what_was_taken_without_an_answer_is_not_taken_twice(self):
        standin = self.provider["resend"]
        before = standin.repeated
        word = marker()
        taken = standin.success

        def forgetful(record):
            answer = taken(record)
            if word in json.dumps(record.payload) and not standin.repeated > before:
                raise ConnectionAbortedError        # taken, and never answered
            return answer
        standin.success = forgetful
        self.addCleanup(setattr, standin, "success", taken)
        ident, _ = self.send("resend", word)
        self.assertEqual(self.state(ident), "sent")
        self.assertEqual([k for k, _, _ in self.events(ident)], ["unknown"])
        self.assertEqual(standin.repeated, before + 1)
        self.assertEqual(len(self.times("resend", word)), 1)


if __name__ == "__main__":
    unittest.main()
