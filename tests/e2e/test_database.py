# SPDX-License-Identifier: Apache-2.0
"""The database goes away and comes back: nothing is lost, nothing is pretended, nothing is sent twice."""
import threading
import unittest

from tests.support import mail
from tests.support.base import marker, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.standin import Fault, SendGrid


class Outage(ProxyCase):
    SETTINGS = {"smtpd": {"submit_timeout": "5s"}, "gate": {"cache_time": "5m"}}

    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid()}

    def setUp(self):
        self.word = marker()
        self.message = mail.plain(text=self.word + "\n")

    def tearDown(self):
        if self.cluster.pid() is None:
            self.cluster.start()
        wait_until(lambda: self.session("sendgrid").mail(mail.plain(text="after\n")).code == 250, 30, "250 again")
        wait_until(lambda: self.proxy.depth() == 0, 30, "an empty queue")
        super().tearDown()

    def count(self, word=None):
        standin = self.provider["sendgrid"]
        with standin.lock:
            return sum((word or self.word) in str(r.payload) for r in standin.accepted)

    def test_without_database_a_message_is_451_and_a_new_login_454(self):
        s = self.session("sendgrid")
        self.assertReply(s.mail(self.message), 250)
        self.cluster.stop("immediate")
        self.assertIn(s.mail(self.message).code, (451,))
        self.assertReply(s.command("NOOP"), 250)
        fresh = self.smtp()
        self.assertReply(fresh.auth("never-seen@users.example", "x"), 454, "4.7.0")
        self.cluster.start()
        wait_until(lambda: s.mail(mail.plain(text="again\n")).code == 250, 20, "250 again in the same session")
        self.assertReply(self.session("sendgrid").mail(mail.plain(text="again\n")), 250)
        self.assertEqual(self.count(), 1)

    def test_who_was_let_in_lately_is_let_in_without_the_database(self):
        self.session("sendgrid").quit()
        self.cluster.stop("immediate")
        s = self.session("sendgrid")
        self.assertEqual(s.mail(self.message).code, 451)

    def test_an_answer_that_comes_during_the_outage_is_recorded_later_and_not_repeated(self):
        standin = self.provider["sendgrid"]
        standin.misbehave(Fault(latency=2.0), 1, lambda p: self.word in str(p))
        s = self.session("sendgrid")
        ident = queued_id(self.assertReply(s.mail(self.message), 250))
        standin.wait_for(lambda: self.count() == 1, 20, "the call")
        self.cluster.stop("immediate")
        standin.wait_for(lambda: any(r.answered_at for r in standin.accepted if self.word in str(r.payload)), 20,
                         "the answer")
        self.cluster.start()
        wait_until(lambda: self.cluster.sql(f"SELECT 1 FROM delivery WHERE message_id = '{ident}' AND state = 'sent'"),
                   30, "the record")
        wait_until(lambda: self.proxy.depth() == 0, 20, "an empty queue")
        self.assertEqual(self.count(), 1)

    def test_an_agent_that_dies_during_the_outage_repeats_nothing_that_was_answered(self):
        import os
        import signal
        standin = self.provider["sendgrid"]
        s = self.session("sendgrid")
        standin.misbehave(Fault(latency=1.0), 1, lambda p: self.word in str(p))
        ident = queued_id(self.assertReply(s.mail(self.message), 250))
        standin.wait_for(lambda: self.count() == 1, 20, "the call")
        self.cluster.stop("immediate")
        standin.wait_for(lambda: any(r.answered_at for r in standin.accepted if self.word in str(r.payload)), 20,
                         "the answer")
        # The journal is written by the agent before anybody hears of the outcome.
        threading.Event().wait(0.7)
        for pid, name in self.proxy.children().items():
            if name in ("deliver", "qmgr"):
                os.kill(pid, signal.SIGKILL)
        self.cluster.start()
        wait_until(lambda: self.cluster.sql(f"SELECT 1 FROM delivery WHERE message_id = '{ident}' AND state = 'sent'"),
                   40, "the record")
        wait_until(lambda: self.proxy.depth() == 0, 20, "an empty queue")
        self.assertEqual(self.count(), 1)

    def test_a_crash_of_postgres_under_load_loses_and_repeats_nothing(self):
        accepted, failed = [], []

        def client(n):
            with self.proxy.session(self.user["sendgrid"]) as s:
                for i in range(60):
                    word = f"{self.word}-{n}-{i}-"
                    reply = s.mail(mail.plain(text=word + "\n"))
                    (accepted if reply.code == 250 else failed).append(word)
                    if reply.code != 250:
                        self.assertEqual(reply.code, 451, reply)
                        threading.Event().wait(0.1)
        threads = [threading.Thread(target=client, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        self.provider["sendgrid"].wait_for(lambda: self.count() > 20, 20, "load")
        self.cluster.kill()
        self.cluster.start()
        for t in threads:
            t.join()
        self.assertTrue(accepted)
        wait_until(lambda: self.session("sendgrid").mail(mail.plain(text="after\n")).code == 250, 30, "250 again")
        wait_until(lambda: self.proxy.depth() == 0, 40, "an empty queue")
        counts = {word: self.count(word) for word in accepted}
        self.assertEqual([w for w, n in counts.items() if n == 0], [], "lost")
        self.assertEqual([w for w, n in counts.items() if n > 1], [], "sent twice")

    def test_the_health_page_says_that_the_database_is_gone(self):
        self.cluster.stop("immediate")
        wait_until(lambda: self.proxy.http("/health/ready")[0] == 503, 20, "not ready")
        self.assertEqual(self.proxy.http("/health/live")[0], 200)
        wait_until(lambda: self.proxy.metric("queue_database_up") == 0, 20, "the metric")
        self.cluster.start()
        wait_until(lambda: self.proxy.http("/health/ready")[0] == 200, 20, "ready again")


class NoDatabaseAtStart(ProxyCase):
    """Started before its database: it serves as soon as there is one."""

    START = False

    @classmethod
    def providers(cls):
        return {"file": "file"}

    def test_it_waits_for_the_database(self):
        self.cluster.stop()
        self.proxy.start()
        self.assertReply(self.smtp().auth(self.user["file"], "x"), 454)
        self.cluster.start()
        wait_until(lambda: self.smtp().auth(self.user["file"], self.proxy.passwords[self.user["file"]]).code == 235, 20,
                   "235")
        wait_until(lambda: self.session("file").mail(mail.plain()).code == 250, 20, "250")
        wait_until(lambda: list(self.proxy.out.glob("*.eml")), 20, "the message")


if __name__ == "__main__":
    unittest.main()
