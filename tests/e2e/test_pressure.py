# SPDX-License-Identifier: Apache-2.0
"""Backpressure: when too many messages wait, no new ones are taken, at connect and at MAIL; and again when they are sent."""
import unittest

from tests.support import mail
from tests.support.base import wait_until
from tests.support.case import ProxyCase
from tests.support.standin import Fault, SendGrid


class Pressure(ProxyCase):
    SETTINGS = {"queue": {"max_depth": 10, "retry_longest": "1s"}}

    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid()}

    def refused_at_connect(self):
        with self.proxy.smtp(tls="clear", ehlo=False) as session:
            if session.greeting.code == 421:
                self.assertEqual(session.greeting.status, "4.3.2")
                return True
        return False

    def test_a_full_queue_takes_nothing_until_it_is_sent(self):
        sendgrid = self.provider["sendgrid"]
        session = self.session("sendgrid")
        sendgrid.misbehave(Fault(status=503), times=1000000)
        for _ in range(10):
            self.assertReply(session.mail(mail.plain()), 250)
        self.proxy.log.wait("qmgr.queue.full", depth=10)
        wait_until(lambda: session.command("MAIL FROM:<a@example.com>").code == 451 or
                   session.command("RSET").code != 250, 10, "451 at MAIL")
        self.assertReply(session.command("MAIL FROM:<a@example.com>"), 451, "4.3.2")
        self.assertTrue(self.refused_at_connect())
        self.assertEqual(self.proxy.metric("queue_pressure"), 1)
        sendgrid.behave()
        self.proxy.log.wait("qmgr.queue.relieved", 30)
        wait_until(lambda: not self.refused_at_connect(), 10, "a connection")
        self.assertEqual(self.proxy.metric("queue_pressure"), 0)
        self.assertReply(session.mail(mail.plain()), 250)
        sendgrid.wait(11)


if __name__ == "__main__":
    unittest.main()
