# SPDX-License-Identifier: Apache-2.0
"""The dialogues of tests/e2e/conformance/*.txt, each a test of its own; after every file a normal message on a new session
is accepted and arrives.
"""
import re
import unittest

from tests.support import mail
from tests.support.base import marker, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.conformance import Player, all_groups


class Conformance(ProxyCase):
    SETTINGS = {"smtpd": {"message_size": "64KiB", "recipients": 100, "idempotency_envid": "true"}}
    START = False
    CAREFUL = ("suppression",) # groups that the user of a tenant with a suppression list plays

    @classmethod
    def providers(cls):
        return {"file": "file", "careful": "file"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for address in ("gone@example.net", "@suppressed.example"):
            cls.proxy.ctl("suppression", "add", address, "--tenant", "tenant-careful")
        cls.proxy.start()

    def play(self, case):
        Player(self, self.proxy, self.user["careful" if case.group in self.CAREFUL else "file"]).play(case)

    def a_normal_message_arrives(self):
        word = marker()
        ident = queued_id(self.assertReply(self.session("file").mail(mail.plain(text=word)), 250, "2.0.0"))
        path = wait_until(lambda: next(iter(self.proxy.out.glob(f"*{ident}*.eml")), None), 20, f"the .eml of {ident}")
        self.assertIn(word.encode(), path.read_bytes())
        self.assertEqual(self.proxy.log.all("master.child.ended"), [])


def _add(name, function):
    assert not hasattr(Conformance, name), name
    function.__name__ = name
    setattr(Conformance, name, function)


def _make():
    for group, cases in all_groups().items():
        stem = "test_" + re.sub(r"\W", "_", group)
        for number, case in enumerate(cases, 1):
            words = re.sub(r"\W+", "_", case.name).strip("_")
            _add(f"{stem}_{number:03}_{words}", lambda self, case=case: self.play(case))
        _add(f"{stem}_then_a_normal_message_arrives", lambda self: self.a_normal_message_arrives())


_make()

if __name__ == "__main__":
    unittest.main()
