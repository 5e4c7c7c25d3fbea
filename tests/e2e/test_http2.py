# SPDX-License-Identifier: Apache-2.0
"""A provider that says GOAWAY: to a request that it has not looked at, after its answer, and instead of it."""
import unittest

from tests.support import mail
from tests.support.base import Authority, Scratch, marker, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.standin.http2 import Http2


class Goaway(ProxyCase):
    @classmethod
    def providers(cls):
        cls.certificates = Scratch("http2")
        cls.addClassCleanup(cls.certificates.close)
        trust = Authority(cls.certificates.path)
        chain, key = trust.issue("provider")
        cls.SETTINGS = {"deliver": {"ca_file": str(trust.ca_file), "agents": 1}}
        return {"http2": Http2((trust.file(chain), trust.file(key)))}

    def send(self):
        word = marker()
        return queued_id(self.assertReply(self.session("http2").mail(mail.plain(text=word + "\n")), 250)), word

    def copies(self, word):
        standin = self.provider["http2"]
        with standin.lock:
            return sum(word in str(r.payload) for r in standin.accepted)

    def is_sent(self, ident):
        wait_until(lambda: self.cluster.sql(f"SELECT 1 FROM delivery WHERE message_id = '{ident}' AND state = 'sent'"), 30,
                   f"the end of {ident}")

    def test_http2_is_spoken(self):
        ident, word = self.send()
        self.is_sent(ident)
        self.assertEqual(self.copies(word), 1)

    def test_a_request_that_was_not_looked_at_is_made_again(self):
        self.provider["http2"].goodbyes.append("refuse")
        ident, word = self.send()
        self.is_sent(ident)
        self.assertEqual(self.copies(word), 1)

    def test_after_goaway_the_next_call_has_a_new_connection(self):
        self.provider["http2"].goodbyes.append("answer")
        for _ in range(2):
            ident, word = self.send()
            self.is_sent(ident)
            self.assertEqual(self.copies(word), 1)

    def test_taken_and_not_answered_is_unknown(self):
        self.cluster.sql("UPDATE tenant SET on_unknown = 'hold'")
        self.proxy.await_changes()
        self.provider["http2"].goodbyes.append("silence")
        ident, word = self.send()
        self.proxy.log.wait("qmgr.message.held", message=ident)
        self.assertEqual(self.copies(word), 1)


if __name__ == "__main__":
    unittest.main()
