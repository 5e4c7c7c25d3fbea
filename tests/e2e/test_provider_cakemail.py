# SPDX-License-Identifier: Apache-2.0
"""Cakemail, through the real programs: token and senders fetched, renewed, exchanged; sent, refused, throttled."""
import time
import unittest
from email.message import EmailMessage

from tests.e2e.test_provider import ProviderCase
from tests.support import mail
from tests.support.base import marker, wait_until
from tests.support.case import queued_id
from tests.support.standin import CakemailApi, Fault

HEALTH = {"probe_time": "500ms", "open_time": "1s"}


class CakemailCase(ProviderCase):
    def submit(self, raw, to, provider="cakemail"):
        with self.proxy.session(self.user[provider]) as s:
            return queued_id(self.assertReply(s.mail(raw, to=to), 250))

    def records(self, word, provider="cakemail"):
        return [r for r in self.provider[provider].accepted if word in str(r.payload)]

    def fates(self, ident, n):
        return wait_until(lambda: (rows := dict(self.cluster.sql(
            f"SELECT recipient, state FROM delivery WHERE message_id = '{ident}'"))) and len(rows) == n and rows, 30,
            f"the end of {ident}")


class ThroughCakemail(CakemailCase):
    SETTINGS = {"deliver": {"call_timeout": "3s", "agents": 1}, "queue": {"retry_first": "1s", "max_attempts": 3}, "health": HEALTH}

    @classmethod
    def providers(cls):
        return {"cakemail": CakemailApi(senders={f"{i}@example.com": True for i in range(120)} | {
                    "sender@example.com": True, "new@example.com": False}, rejected=("unwanted@example.net",)),
                "key": CakemailApi(with_key=True, list_id=0)}

    def test_each_recipient_gets_a_copy_and_they_do_not_see_each_other(self):
        word = marker()
        m = EmailMessage()
        m["From"], m["To"], m["Subject"], m["Reply-To"] = "Zoë <sender@example.com>", "a@example.net, b@example.net", "Häll", "r@example.com"
        m.set_content(word + "\n")
        m.add_alternative(f"<p>{word}</p>", subtype="html")
        m.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="größe.pdf")
        ident = self.submit(m.as_bytes(), ["a@example.net", "b@example.net", "hidden@example.org"])
        self.assertEqual(set(self.fates(ident, 3).values()), {"sent"})
        records = self.records(word)
        self.assertEqual(sorted(r.payload["email"] for r in records), ["a@example.net", "b@example.net", "hidden@example.org"])
        for r in records:
            pieces = self.provider["cakemail"].pieces(r.payload)
            self.assertEqual((pieces.subject, pieces.from_name), ("Häll", "Zoë"))
            self.assertEqual(pieces.files, [("größe.pdf", "pdf", "", b"%PDF")])
            self.assertIn({"name": "Reply-To", "value": "r@example.com"}, r.payload["additional_headers"])
            self.assertEqual(str(r.payload).count("@example.net"), r.payload["email"].count("@example.net"))

    def test_token_and_senders_are_asked_for_once(self):
        for provider in ("cakemail", "key"):
            idents = [self.send(provider)[0] for _ in range(20)]
            for ident in idents:
                self.assertEqual(self.state(ident), "sent")
        self.assertEqual(self.provider["key"].count("/token"), 0)
        self.assertEqual(self.provider["key"].count("/brands/default/senders"), 1)

    def test_a_token_that_is_ended_is_exchanged_and_the_messages_go_at_once(self):
        standin = self.provider["cakemail"]
        self.assertEqual(self.state(self.send("cakemail")[0]), "sent")
        before = standin.count("/token")
        standin.end_tokens()
        idents = [self.send("cakemail")[0] for _ in range(10)]
        for ident in idents:
            self.assertEqual(self.state(ident), "sent")
            self.assertEqual(self.events(ident), [])
        self.assertEqual(standin.count("/token"), before + 1)

    def test_a_password_that_is_refused_and_mended_loses_no_mail(self):
        standin = self.provider["cakemail"]
        good, standin.password = standin.password, "another"
        standin.end_tokens()
        idents = [self.send("cakemail")[0] for _ in range(5)]
        events = wait_until(lambda: [e for i in idents for e in self.events(i)], 20, "the refusal")
        self.assertEqual(events[0][0], "provider-fault")
        time.sleep(1)
        standin.password = good
        for ident in idents:
            self.assertEqual(self.state(ident, 60), "sent")

    def test_an_author_who_is_no_sender_is_told_and_found_when_there(self):
        standin = self.provider["cakemail"]
        raw = mail.plain(sender="new@example.com")
        ident = self.submit(raw, ["a@example.net"])
        self.assertEqual(self.state(ident), "failed")
        self.assertIn("not confirmed", self.proxy.ctl("dead", "show", ident).stdout)
        standin.senders["new@example.com"] = True
        # The list is looked up again, but not with every message.
        end = time.monotonic() + 40
        while time.monotonic() < end:
            ident = self.submit(raw, ["a@example.net"])
            if self.state(ident) == "sent":
                break
            time.sleep(1)
        self.assertEqual(self.state(ident), "sent")

    def test_a_201_that_rejects_is_a_failure(self):
        ident = self.submit(mail.plain(to="unwanted@example.net"), ["unwanted@example.net"])
        self.assertEqual(self.state(ident), "failed")
        self.assertIn("rejected", self.proxy.ctl("dead", "show", ident).stdout)

    def test_what_it_has_no_word_for_is_not_sent_without_it(self):
        m = EmailMessage()
        m["From"], m["To"], m["Subject"] = "sender@example.com", "a@example.net", "x"
        m.set_content("text")
        m.add_attachment(b"PK", maintype="application", subtype="zip", filename="a.zip")
        ident = self.submit(m.as_bytes(), ["a@example.net"])
        self.assertEqual(self.state(ident), "failed")
        self.assertIn("application/zip", self.proxy.ctl("dead", "show", ident).stdout)

    def test_answers_have_their_classes(self):
        for fault, kind in ((Fault(status=429, headers={"Retry-After": "2"}), "transient"), (Fault(status=500), "transient"),
                            (Fault(status=403), "provider-fault"), (Fault(reset_after=True), "unknown")):
            with self.subTest(fault=fault.status):
                word = marker()
                self.provider["cakemail"].misbehave(fault, 1, self.only(word))
                ident, _ = self.send("cakemail", word)
                self.assertEqual(self.state(ident, 60), "sent")
                self.assertEqual([k for k, _, _ in self.events(ident)], [kind])

    def test_the_password_can_be_checked(self):
        for provider in ("cakemail", "key"):
            self.assertIn("takes the key", self.proxy.ctl("provider", "test", provider).stdout)


class ShortLived(CakemailCase):
    SETTINGS = {"deliver": {"call_timeout": "3s", "agents": 1}, "queue": {"retry_first": "1s"}, "health": HEALTH}

    @classmethod
    def providers(cls):
        return {"cakemail": CakemailApi(lifetime=4)}

    def test_renewal_under_load_is_seen_by_no_message(self):
        idents, end = [], time.monotonic() + 12
        while time.monotonic() < end:
            idents.append(self.send("cakemail")[0])
            time.sleep(0.1)
        for ident in idents:
            self.assertEqual(self.state(ident), "sent")
            self.assertEqual(self.events(ident), [])
        self.assertIn(self.provider["cakemail"].count("/token"), range(3, 12))


if __name__ == "__main__":
    unittest.main()
