# SPDX-License-Identifier: Apache-2.0
"""The database behind PgBouncer in transaction mode: every statement may meet another session, and there are fewer of them
than we have connections. Nothing else is different.
"""
import time
import unittest

from tests.e2e.test_faults import USER, Faults
from tests.support import mail
from tests.support.base import wait_until
from tests.support.case import queued_id
from tests.support.cluster import Cluster
from tests.support.load import SlowSendGrid
from tests.support.pgbouncer import PROGRAM, PgBouncer
from tests.support.standin import Fault


@unittest.skipUnless(PROGRAM, "SKIPPED: there is no pgbouncer")
class BehindPgBouncer(Faults):
    @classmethod
    def make_cluster(cls):
        cluster = Cluster(tcp=True)
        cls.bouncer = PgBouncer(cluster, pool=2)
        cls.addClassCleanup(cls.bouncer.close)
        return cluster

    @classmethod
    def before_start(cls):
        cls.proxy.settings["database"]["port"] = cls.bouncer.port
        cls.proxy.write_settings()

    def test_the_whole_road(self):
        self.assertGreater(self.bouncer.clients()["smtp_proxy", "smtp_proxy_queue"], 2)
        self.assertGreater(self.bouncer.clients()["smtp_proxy", "smtp_proxy_gate"], 0)
        mark = self.proxy.log.mark()
        self.load.wait(100)         # sessions are kept, logins repeated, commits side by side
        # Never so many in a row that the provider would count as down.
        self.standin.misbehave(Fault(status=503), 6, lambda p: SlowSendGrid.load_id(p).endswith("5"))
        wait_until(lambda: int(self.cluster.one("SELECT count(*) FROM event WHERE kind = 'transient'")) >= 6, 30, "retries")
        self.settle()
        # Leases were renewed, none was lost or taken twice.
        self.assertEqual(self.cluster.one("SELECT count(DISTINCT owner), min(until) > now() FROM shard"), "1")
        self.assertIsNone(self.proxy.log.find("qmgr.lease.lost", mark))
        self.assertIsNone(self.proxy.log.find("qmgr.outcome.unrecorded", mark))

    def test_the_operators_commands(self):
        self.load.finish()
        self.proxy.migrate()
        self.proxy.tenant("other")
        self.proxy.add_user("one@other.example", "other")
        self.proxy.await_logins("one@other.example")      # whom gate does not remember
        with self.proxy.session("one@other.example") as s:
            self.standin.misbehave(Fault(status=503), 1)
            ident = queued_id(s.mail(mail.plain()))
        wait_until(lambda: self.cluster.one(f"SELECT attempts FROM queue WHERE message_id = '{ident}' "
                                            "UNION ALL SELECT 9 LIMIT 1") != "0", 20, "an attempt")
        self.proxy.ctl("queue", "hold", ident, check=False)
        self.proxy.ctl("queue", "release", ident, check=False)
        self.proxy.ctl("queue", "flush", "--tenant", "other")
        wait_until(lambda: self.proxy.depth() == 0, 30, "an empty queue")
        self.assertIn("sent", self.proxy.ctl("message", "show", ident).stdout)

    def test_a_restart_of_either(self):
        self.bouncer.kill()
        self.refused()
        self.bouncer.start()
        self.load.wait(10, 60)
        mark = self.proxy.log.mark()
        self.cluster.stop("immediate")
        self.refused()
        time.sleep(3)
        self.cluster.start()
        self.settle()
        # PgBouncer lets us in and has no server: that is no reason to come again at once.
        self.assertLess(len(self.proxy.log.all("gate.database.down", mark)), 20)


del Faults      # it is not run here

if __name__ == "__main__":
    unittest.main()
