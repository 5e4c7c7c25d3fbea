# SPDX-License-Identifier: Apache-2.0
"""What a tenant may ask of the front: a message twice is a message once."""
import os
import signal
import threading
import unittest

from tests.support import mail
from tests.support.base import wait_until
from tests.support.case import ProxyCase, queued_id


def with_field(field, text="x\n"):
    return field.encode() + b"\r\n" + mail.plain(text=text)


class Idempotency(ProxyCase):
    SETTINGS = {"smtpd": {"workers": 2, "idempotency_envid": "true"}}

    @classmethod
    def providers(cls):
        return {"file": "file"}

    def delivered(self, ident):
        return wait_until(lambda: next(iter(self.proxy.out.glob(f"*{ident}*.eml")), None), 20, f"the .eml of {ident}")

    def test_a_message_with_a_known_key_has_the_id_of_the_first(self):
        message = with_field("X-Idempotency-Key: order 17")
        s = self.session("file")
        since = self.proxy.log.mark()
        first = queued_id(self.assertReply(s.mail(message), 250, "2.0.0"))
        again = self.assertReply(self.session("file").mail(with_field("x-idempotency-key:order 17", "other\n")), 250, "2.0.0")
        self.assertEqual(queued_id(again), first)
        self.proxy.log.wait("smtpd.message.repeated", since=since, repeats=first)
        self.assertGreaterEqual(self.proxy.metric("smtp_messages_repeated_total"), 1)
        self.assertNotIn(b"dempotency", self.delivered(first).read_bytes())
        self.assertNotEqual(queued_id(s.mail(with_field("X-Idempotency-Key: order 18"))), first)
        self.assertReply(s.mail(with_field("X-Idempotency-Key: a\r\nX-Idempotency-Key: b")), 554, "5.6.0")

    def test_of_many_at_once_one_is_taken(self):
        before = int(self.cluster.sql("SELECT count(*) FROM message")[0][0])
        ids = []

        def send():
            ids.append(queued_id(self.assertReply(self.session("file").mail(with_field("X-Idempotency-Key: at once")), 250)))

        threads = [threading.Thread(target=send) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        self.assertEqual(len(ids), 8)
        self.assertEqual(len(set(ids)), 1)
        self.assertEqual(int(self.cluster.sql("SELECT count(*) FROM message")[0][0]), before + 1)
        self.delivered(ids[0])

    def test_an_envid_is_a_key_and_survives_qmgr(self):
        def send():
            s = self.session("file")
            self.assertReply(s.command("MAIL FROM:<a@example.com> ENVID=Q+2B1"), 250)
            self.assertReply(s.command("RCPT TO:<b@example.net>"), 250)
            self.assertReply(s.command("DATA"), 354)
            s.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
            return queued_id(self.assertReply(s.reply(), 250))

        first = send()
        os.kill(self.proxy.child("qmgr"), signal.SIGKILL)
        self.assertEqual(send(), first)
        self.assertEqual(self.cluster.sql("SELECT key FROM idempotency WHERE key LIKE 'Q%'"), [["Q+1"]])


if __name__ == "__main__":
    unittest.main()
