# SPDX-License-Identifier: Apache-2.0
"""The frame of a black-box test class: one Postgres, the stand-ins, one smtp-proxy, one tenant and user for each
provider, all made before its first test and gone after its last.
"""
import unittest

from tests.support.base import Authority, Scratch
from tests.support.cluster import Cluster
from tests.support.proxy import Proxy
from tests.support.standin import SendGrid, Ses


class ProxyCase(unittest.TestCase):
    """Overridden by test classes: providers() and SETTINGS. A provider `p` gets tenant `tenant-p` and the SMTP user
    `p@users.example`; self.user[p] is that name."""

    SETTINGS = {}
    UNPRIVILEGED = False
    WITH_DATABASE = True
    START = True

    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid(), "ses": Ses(), "file": "file"}

    @classmethod
    def environment(cls):
        """Variables for the master, beside the tests' own; asked after providers()."""
        return {}

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch("case")
        cls.addClassCleanup(cls.scratch.close)
        cls.authority = Authority(cls.scratch.path)
        cls.cluster = None
        if cls.WITH_DATABASE:
            cls.cluster = Cluster()
            cls.addClassCleanup(cls.cluster.close)
        cls.provider = cls.providers()
        for provider in cls.provider.values():
            if hasattr(provider, "close"):
                cls.addClassCleanup(provider.close)
        cls.proxy = Proxy(cls.cluster, cls.provider, cls.SETTINGS, cls.UNPRIVILEGED, cls.authority)
        cls.addClassCleanup(cls.proxy.close)
        cls.proxy.environment = cls.environment()
        cls.user = {}
        if cls.WITH_DATABASE:
            cls.proxy.migrate()
            for name in cls.provider:
                cls.proxy.tenant(f"tenant-{name}", name)
                cls.user[name] = f"{name}@users.example"
                cls.proxy.add_user(cls.user[name], f"tenant-{name}")
        if cls.START:
            cls.proxy.start()

    def tearDown(self):
        for name, provider in self.provider.items():
            if hasattr(provider, "violations"):
                provider.behave()
                with provider.lock:
                    found, provider.violations = provider.violations, []
                self.assertEqual(found, [], f"{name} would have refused this")

    def session(self, provider, **kw):
        """A logged-in session of the provider's user, closed at the end of the test."""
        session = self.proxy.session(self.user[provider], **kw)
        self.addCleanup(session.close)
        return session

    def smtp(self, *args, **kw):
        session = self.proxy.smtp(*args, **kw)
        self.addCleanup(session.close)
        return session

    def assertReply(self, reply, code, status=None):
        self.assertEqual(reply.code, code, reply)
        if status is not None:
            self.assertEqual(reply.status, status, reply)
        return reply


def queued_id(reply):
    """The message id in `250 2.0.0 Ok: queued as <id>`."""
    return reply.text.split()[-1].rstrip(".")
