# SPDX-License-Identifier: Apache-2.0
"""A smarthost as the provider: what reaches it, octet by octet, and what each of its answers and failures comes to."""
import json

from tests.support import mail
from tests.support.base import Authority, Scratch, marker, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.standin import Reply, Smarthost


class SmarthostCase(ProxyCase):
    SETTINGS = {"deliver": {"call_timeout": "4s", "agents": 1}, "queue": {"retry_first": "1s", "max_attempts": 3}}

    @classmethod
    def tls_files(cls, names="DNS:localhost, IP:127.0.0.1"):
        chain, key = cls.authority.issue("smarthost", names=names)
        return str(cls.authority.file(chain)), str(cls.authority.file(key))

    @classmethod
    def providers(cls):
        cls.SETTINGS = {**cls.SETTINGS, "deliver": {**cls.SETTINGS["deliver"], "ca_file": str(cls.authority.ca_file)}}
        return {"host": Smarthost(tls=cls.tls_files(), ca_host="localhost")}

    def send(self, text=None, provider="host", to=("b@example.com",), message=None, **kw):
        """(id, word) of a new message."""
        word = text or marker()
        with self.proxy.session(self.user[provider]) as s:
            reply = s.mail(message or mail.plain(text=word + "\n"), to=list(to), **kw)
            return queued_id(self.assertReply(reply, 250)), word

    def arrives(self, word, provider="host", n=1, timeout=30):
        host = self.provider[provider]
        host.wait_for(lambda: sum(word.encode() in r.raw for r in host.accepted) >= n, timeout, word)
        return [r for r in host.accepted if word.encode() in r.raw]

    def deliveries(self, ident, timeout=40):
        rows = wait_until(lambda: self.cluster.sql(
            f"SELECT recipient, state FROM delivery WHERE message_id = '{ident}' ORDER BY recipient"), timeout, f"the end of {ident}")
        return [tuple(r) for r in rows]


class Arriving(SmarthostCase):
    def test_message_arrives_with_envelope_and_content(self):
        ident, word = self.send()
        found = self.arrives(word)[0]
        self.assertEqual([r[0] for r in found.recipients], ["b@example.com"])
        self.assertIsNotNone(found.tls)
        self.assertEqual(found.user, self.provider["host"].user)
        self.assertEqual(self.deliveries(ident), [("b@example.com", "sent")])
        end = self.proxy.log.wait("deliver.call.end", message=ident)
        self.assertEqual((end["outcome"], end["provider_id"], end["status"]), ("sent", found.provider_id, "2.0.0"))
