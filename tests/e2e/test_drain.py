# SPDX-License-Identifier: Apache-2.0
"""How deliver ends: calls under way are finished, the rest stays in the queue, nothing is lost and nothing sent twice."""
import signal

from tests.support import mail
from tests.support.base import marker, patience, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.standin import Fault, Reply, SendGrid, Smarthost

TEXT = "Graceful shutdown initiated, processing remaining messages"


class DrainCase(ProxyCase):
    START = False
    SETTINGS = {"deliver": {"agents": 1, "places": 2}, "queue": {"retry_first": "1s"}}

    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid(), "host": Smarthost()}

    def setUp(self):
        self.proxy.settings["deliver"].pop("drain_time", None)

    def start(self, **deliver):
        self.proxy.settings["deliver"] |= deliver
        self.proxy.write_settings()
        self.proxy.start()

    def send(self, provider, n):
        """{id: word}"""
        sent = {}
        with self.proxy.session(self.user[provider]) as s:
            for _ in range(n):
                word = marker()
                sent[queued_id(self.assertReply(s.mail(mail.plain(text=word + "\n")), 250))] = word
        return sent

    def times(self, provider, word):
        standin = self.provider[provider]
        with standin.lock:
            return sum(word in str(r.payload) or word.encode() in r.raw for r in standin.accepted)

    def end(self, ident, timeout=40):
        return wait_until(lambda: self.cluster.sql(f"SELECT state FROM delivery WHERE message_id = '{ident}'"), timeout,
                          f"the end of {ident}")[0][0]


class Finishing(DrainCase):
    def finishes(self, provider):
        standin = self.provider[provider]
        begun = len(standin.accepted)
        standin.latency = 3
        self.start()
        sent = self.send(provider, 6)
        standin.wait_for(lambda: any(r.answered_at is None for r in standin.accepted[begun:]), what="a call under way")
        self.assertEqual(self.proxy.stop(), 0)
        told = self.proxy.log.find("deliver.drain.begun")
        self.assertEqual((told["text"], told["limit_ms"]), (TEXT, 180000))
        self.assertGreater(told["calls"], 0)
        self.assertIsNone(self.proxy.log.find("deliver.drain.cut"))
        # Those under way were answered and recorded; the others were not begun.
        done = len(standin.accepted) - begun
        self.assertIn(done, range(1, 6))
        self.assertEqual(self.proxy.depth(), 6 - done)
        ended = [i for i in sent if self.cluster.sql(f"SELECT 1 FROM delivery WHERE message_id = '{i}' AND state = 'sent'")]
        self.assertEqual(len(ended), done)
        standin.latency = 0
        self.proxy.start()
        for ident in sent:
            self.assertEqual(self.end(ident), "sent")
        self.assertEqual([self.times(provider, word) for word in sent.values()], [1] * 6)
        self.assertEqual(self.cluster.sql("SELECT kind FROM event"), [])
        self.assertEqual(self.proxy.stop(), 0)

    def test_http_calls_are_finished_and_the_rest_stays_queued(self):
        self.finishes("sendgrid")

    def test_smtp_calls_are_finished_and_the_rest_stays_queued(self):
        self.finishes("host")
        # Connections that are idle then are ended in order.
        host = self.provider["host"]
        host.wait_for(lambda: host.open == 0)
        self.assertEqual(host.quits, host.connections)


class Cutting(DrainCase):
    def unknown_once(self, ident, word, provider):
        """After the next start: the call that was cut is known as such, and the message is sent again."""
        self.proxy.start()
        self.assertEqual(self.end(ident), "sent")
        self.assertEqual([r[0] for r in self.cluster.sql(f"SELECT kind FROM event WHERE message_id = '{ident}'")], ["unknown"])
        self.assertEqual(self.times(provider, word), 2)
        self.assertEqual(self.proxy.stop(), 0)

    def test_after_the_time_calls_are_cut_and_unknown(self):
        standin = self.provider["sendgrid"]
        standin.misbehave(Fault(hang=True))
        self.start(drain_time="2s")
        (ident, word), = self.send("sendgrid", 1).items()
        standin.wait_for(lambda: self.times("sendgrid", word) == 1, what="the call")
        self.assertEqual(self.proxy.stop(), 0)
        self.assertEqual(self.proxy.log.find("deliver.drain.cut")["calls"], 1)
        self.unknown_once(ident, word, "sendgrid")

    def test_a_second_signal_cuts_the_calls(self):
        host = self.provider["host"]
        host.misbehave(Reply("final", hang=True, take=True))
        self.start()
        (ident, word), = self.send("host", 1).items()
        host.wait_for(lambda: self.times("host", word) == 1, what="the call")
        self.proxy.signal(signal.SIGTERM)
        self.proxy.log.wait("deliver.drain.begun")
        self.proxy.signal(signal.SIGTERM)
        self.proxy.process.wait(patience(20))
        self.proxy.log.join()
        self.unknown_once(ident, word, "host")
