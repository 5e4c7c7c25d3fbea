# SPDX-License-Identifier: Apache-2.0
"""What a tenant or a user wishes otherwise than the settings say takes effect on its mail, and on nobody else's."""
import uuid

from tests.support import mail
from tests.support.base import marker, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.standin import Fault, SendGrid


class Wishes(ProxyCase):
    SETTINGS = {"deliver": {"agents": 1, "call_timeout": "2s"}, "queue": {"retry_first": "1s", "retry_longest": "2s", "max_attempts": 5}}

    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid()}

    def tenant(self, *wishes, provider="sendgrid"):
        """The user of a new tenant."""
        name = "t" + uuid.uuid4().hex[:12]  # unlike a marker it may be seen in the logs
        self.proxy.tenant(name, provider)
        self.proxy.add_user(f"{name}@users.example", name)
        if wishes:
            self.proxy.ctl("tenant", "set", name, *wishes)
        self.proxy.await_changes()
        return f"{name}@users.example"

    def send(self, user, to=("you@example.com",), word=None):
        """(id, word) of a new message."""
        word = word or marker()
        with self.proxy.session(user) as s:
            return queued_id(self.assertReply(s.mail(mail.plain(text=word + "\n"), to=to), 250)), word

    def send_refused(self, user, fault, times):
        """The same, and the provider misbehaves with it."""
        word = marker()
        self.provider["sendgrid"].misbehave(fault, times, lambda p: word in str(p))
        return self.send(user, word=word)

    def states(self, ident, n=1):
        return dict(wait_until(lambda: (lambda rows: rows if len(rows) == n else None)(self.cluster.sql(
            f"SELECT recipient, state FROM delivery WHERE message_id = '{ident}'")), 40, f"the end of {ident}"))

    def taken(self, word):
        """The recipients to whom the provider was asked to send it."""
        standin = self.provider["sendgrid"]
        with standin.lock:
            return [to["email"] for r in standin.accepted if word in str(r.payload)
                    for p in r.payload["personalizations"] for to in p["to"]]

    def octets(self, ident):
        return int(self.cluster.one(f"SELECT octet_length(content) FROM message WHERE message_id = '{ident}'"))

    def test_nothing_is_kept_of_what_was_sent(self):
        none, all_ = self.tenant("--keep-messages", "0s"), self.tenant()
        ident, _ = self.send_refused(none, Fault(status=503), 1)
        wait_until(lambda: self.cluster.sql(f"SELECT 1 FROM queue WHERE attempts = 1 AND message_id = '{ident}'"), 30, "the first attempt")
        self.assertGreater(self.octets(ident), 0)
        self.assertEqual(set(self.states(ident).values()), {"sent"})
        self.assertEqual(self.octets(ident), 0)
        kept, _ = self.send(all_)
        self.assertEqual(set(self.states(kept).values()), {"sent"})
        self.assertGreater(self.octets(kept), 0)

    def test_attempts_of_a_tenant(self):
        few, others = self.tenant("--max-attempts", "2", "--retry-first", "1s"), self.tenant()
        ident, _ = self.send_refused(few, Fault(status=503), 2)
        self.assertEqual(set(self.states(ident).values()), {"failed"})
        self.assertEqual(self.cluster.sql(f"SELECT attempts FROM dead_letter WHERE message_id = '{ident}'"), [["2"]])
        # A good one between them: four failures one after the other would be the provider's.
        self.states(self.send(others)[0])
        ident, _ = self.send_refused(others, Fault(status=503), 2)
        self.assertEqual(set(self.states(ident).values()), {"sent"})

    def test_all_mail_goes_to_one_address(self):
        user = self.tenant("--redirect-to", "all@example.org")
        ident, word = self.send(user, to=("a@example.com", "b@example.com"))
        self.assertEqual(set(self.states(ident, 2).values()), {"sent"})
        self.assertEqual(self.taken(word), ["all@example.org"])

    def test_of_a_user_in_test_mode_the_address_says_what_becomes_of_it(self):
        user, other = self.tenant(), self.tenant()
        self.proxy.ctl("user", "set", user, "--test", "on")
        wait_until(lambda: self.taken_not(user), 20, "gate to know")
        ident, word = self.send(user, to=("you@example.com", "permanent@example.com"))
        self.assertEqual(self.states(ident, 2), {"you@example.com": "sent", "permanent@example.com": "failed"})
        for address, kind in (("transient@example.com", "transient"), ("timeout@example.com", "unknown")):
            ident, again = self.send(user, to=(address,))
            wait_until(lambda i=ident, k=kind: self.cluster.sql(f"SELECT 1 FROM event WHERE message_id = '{i}' AND kind = '{k}'"), 40, kind)
            self.proxy.ctl("queue", "hold", ident)
            self.assertEqual(self.taken(again), [])
        self.assertEqual(self.taken(word), [])
        ident, word = self.send(other, to=("permanent@example.com",))
        self.assertEqual(self.states(ident), {"permanent@example.com": "sent"})
        self.assertEqual(self.taken(word), ["permanent@example.com"])

    def taken_not(self, user):
        ident, word = self.send(user)
        self.states(ident)
        return self.taken(word) == []
