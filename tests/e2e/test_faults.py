# SPDX-License-Identifier: Apache-2.0
"""What can go wrong around a host, under load: Postgres restarts, dies, refuses, fills its disk, is slow, is replaced by its
standby; Redis goes; each process is killed at each step of a message's way. After each: accepted = delivered + dead +
waiting, nothing lost, nothing twice but what was under way at the provider in an agent that was killed.

SP_FAULTS_LONG=1 (make check-faults) has it last longer.
"""
import os
import signal
import subprocess
import time
import unittest

from tests.support import mail
from tests.support.base import IS_ROOT, Scratch, patience, wait_until
from tests.support.cluster import Cluster, _alive
from tests.support.load import AGENT_KILL, RECIPIENTS_A_CALL, Load, SlowSendGrid, account
from tests.support.proxy import Proxy
from tests.support.redis import Redis
from tests.support.relay import Relay

LONG = os.environ.get("SP_FAULTS_LONG") == "1"
USER = "load@queued.example"
SETTINGS = {"queue": {"retry_first": "1s", "retry_longest": "5s", "max_attempts": 100}, "deliver": {"call_timeout": "5s"},
            "smtpd": {"submit_timeout": "25s"}}


class Faults(unittest.TestCase):
    """One host under load."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.make_cluster()
        cls.addClassCleanup(cls.cluster.close)
        cls.standin = SlowSendGrid()
        cls.addClassCleanup(cls.standin.close)
        cls.proxy = Proxy(cls.cluster, {"sendgrid": dict(cls.standin.settings(), recipients_per_call=RECIPIENTS_A_CALL)},
                          SETTINGS | cls.more_settings())
        cls.addClassCleanup(cls.proxy.close)
        cls.proxy.migrate()
        cls.proxy.tenant("queued", "sendgrid")
        cls.proxy.add_user(USER, "queued")
        cls.before_start()
        cls.proxy.start()

    @classmethod
    def make_cluster(cls):
        return Cluster()

    @classmethod
    def more_settings(cls):
        return {}

    @classmethod
    def before_start(cls):
        pass

    def setUp(self):
        self.kills = []
        self.load = Load(self.proxy, [("queued", USER)], 6, 60)
        self.addCleanup(self.load.stop.set)
        self.load.start()
        self.load.wait(20)

    def refused(self):
        """Until somebody is told 451."""
        before = self.load.refused["451"]
        wait_until(lambda: self.load.refused["451"] > before, 40, "a 451")

    def settle(self):
        """Mail flows again, and the account is right."""
        self.load.wait(20, 60)
        self.load.finish()
        wait_until(lambda: self.proxy.depth() == 0, 60, "an empty queue", 0.2)
        found = account(self.load, self.kills, self.standin, self.cluster)
        found.check(self)
        self.assertEqual(found.dead, set())
        return found


class Postgres(Faults):
    def test_a_restart(self):
        for mode in ("fast", "immediate"):
            self.cluster.stop(mode)
            self.refused()
            self.cluster.start()
            self.load.wait(10)
        self.settle()

    def test_a_long_absence(self):
        self.cluster.stop("immediate")
        self.refused()
        time.sleep(120 if LONG else 12)       # longer than the lease
        self.cluster.start()
        self.settle()

    def test_its_death(self):
        self.cluster.kill()
        self.cluster.start()
        self.load.wait(10)
        # One backend's death ends them all, and the server recovers by itself.
        for _ in range(10 if LONG else 2):
            victim = int(self.cluster.one("SELECT pid FROM pg_stat_activity WHERE application_name = 'smtp-proxy qmgr' "
                                          "ORDER BY random() LIMIT 1"))
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: not _alive(victim), 10, "the backend's end")
            self.load.wait(5, 60)
        self.settle()

    def test_a_server_that_takes_no_writes(self):
        self.cluster.alter("default_transaction_read_only = on")
        self.refused()
        self.assertIsNotNone(self.proxy.log.wait("qmgr.database.away"))
        wait_until(lambda: self.proxy.http("/health/ready")[0] == 503, 20, "not ready")
        self.cluster.alter("default_transaction_read_only = off")
        self.settle()

    def test_no_connection_is_left_for_us(self):
        crowd = self.cluster.occupy()
        self.assertGreater(len(crowd), 30)
        ours = self.cluster_pids()
        for pid in ours:
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not any(_alive(p) for p in ours), 10, "our backends' end")
        crowd += self.cluster.occupy()
        self.refused()
        for s in crowd:
            s.close()
        self.settle()

    def cluster_pids(self):
        """Of our backends; no connection is free to ask for them."""
        out = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
        return [int(line.split()[0]) for line in out.splitlines()
                if line.split()[1] == str(self.cluster.pid()) and "smtp_proxy_queue" in line]

    def test_each_process_dies_at_each_step(self):
        """Before the commit, during it, at the provider, before the outcome is recorded."""
        self.cluster.sql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); "
                         "RETURN NULL; END $$")
        steps = {"accepted": None, "commit": "message", "call": None, "record": "delivery"}
        for step, table in steps.items():
            if table:
                self.cluster.sql(f"CREATE TRIGGER slow AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION slow()")
            self.standin.latencies = (0.5,) if step == "call" else (0.03,)
            for role in ("smtpd", "gate", "qmgr", "deliver", "master"):
                for _ in range(5 if LONG else 1):
                    self.load.wait(4, 60)
                    self.kill_role(role)
            if table:
                self.cluster.sql(f"DROP TRIGGER slow ON {table}")
        self.standin.latencies = (0.03,)
        self.settle()

    def kill_role(self, role):
        when = time.monotonic()
        if role != "master":
            if role == "deliver":
                self.kills.append((when, AGENT_KILL))
            os.kill(self.proxy.child(role), signal.SIGKILL)
            return
        children = list(self.proxy.children())
        self.kills.append((when, AGENT_KILL))   # its children end with it
        self.proxy.kill()
        wait_until(lambda: not any(_alive(p) for p in children), 20, "no orphans")
        self.proxy.log.join()
        self.proxy.start()


class Failover(Faults):
    """A server and its synchronous standby, both in database.host."""

    @classmethod
    def make_cluster(cls):
        cluster = Cluster(tcp=True)
        cls.standby = cluster.standby()
        cls.addClassCleanup(cls.standby.close)
        return cluster

    @classmethod
    def before_start(cls):
        cls.proxy.settings["database"]["host"] = f"127.0.0.1, 127.0.0.1:{cls.standby.port}"
        cls.proxy.write_settings()

    def test_a_promoted_standby_is_found(self):
        self.cluster.kill()
        self.refused()
        self.standby.promote()
        # Nobody follows it.
        self.standby.alter("synchronous_standby_names = ''")
        self.proxy.cluster = type(self).cluster = self.standby
        self.settle()
        self.assertIn("queued", self.proxy.ctl("tenant", "list").stdout)
        # gate has it too: this user is in nobody's memory.
        self.proxy.add_user("new@queued.example", "queued")
        self.proxy.await_logins("new@queued.example")
        # It is where both are sought at the next start too, first or not.
        self.assertEqual(self.proxy.stop(), 0)
        self.proxy.start()
        with self.proxy.session(USER) as s:
            self.assertEqual(s.mail(mail.plain()).code, 250)


@unittest.skipUnless(IS_ROOT, "SKIPPED: a file system of its own needs root")
class FullDisk(Faults):
    @classmethod
    def make_cluster(cls):
        scratch = Scratch("full")
        cls.addClassCleanup(scratch.close)
        cls.disk = scratch.sub("disk")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", cls.disk], check=True)
        cls.addClassCleanup(subprocess.run, ["umount", "-l", cls.disk], check=False)
        data = scratch.sub("disk/data", 0o700, owner="postgres")
        return Cluster("min_wal_size = 5MB\nmax_wal_size = 10MB\n", within=data)

    def test_what_does_not_fit_is_451_until_there_is_room(self):
        filler = self.disk / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=64k"], capture_output=True, check=False)
        self.refused()
        time.sleep(10 if LONG else 1)
        filler.unlink()
        if self.cluster.pid() is None or not _alive(self.cluster.pid()):
            self.cluster.start()        # it could not write its log any more, and gave up
        self.settle()


class SlowDatabase(Faults):
    @classmethod
    def make_cluster(cls):
        cluster = Cluster(tcp=True)
        cls.relay = Relay(cluster.port)
        cls.addClassCleanup(cls.relay.close)
        return cluster

    @classmethod
    def before_start(cls):
        cls.proxy.settings["database"]["port"] = cls.relay.port
        cls.proxy.write_settings()

    def tearDown(self):
        self.relay.delay, self.relay.is_deaf = 0.0, False

    def test_every_answer_takes_a_second(self):
        self.relay.delay = 0.5
        self.load.wait(20, 60)
        time.sleep(60 if LONG else 5)
        self.relay.delay = 0.0
        self.settle()

    def test_nothing_comes_through_and_nobody_says_so(self):
        self.relay.is_deaf = True
        self.refused()
        self.proxy.log.wait("qmgr.database.away", 40)
        if LONG:
            time.sleep(60)
        self.relay.is_deaf = False
        self.relay.cut()
        self.settle()


class RedisGone(Faults):
    @classmethod
    def more_settings(cls):
        cls.redis = Redis()
        cls.addClassCleanup(cls.redis.close)
        return {"redis": {"url": cls.redis.url}}

    def test_mail_goes_on(self):
        self.redis.flush()
        self.load.wait(10)
        self.redis.kill()
        self.load.wait(30)
        self.assertEqual(self.load.refused["451"], 0)
        self.redis.start()
        wait_until(lambda: self.proxy.metric("gate_redis_up") == 1, patience(60), "Redis again")
        self.settle()


if __name__ == "__main__":
    unittest.main()
