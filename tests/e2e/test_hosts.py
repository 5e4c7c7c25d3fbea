# SPDX-License-Identifier: Apache-2.0
"""Several hosts share one queue: what happens to the shards and the messages when one of them joins, stops, dies, or stands
still for longer than its lease. SP_FAULTS_LONG=1 (make check-faults) has it stand still for a minute.
"""
import os
import time
import unittest
from pathlib import Path

from tests.support import mail
from tests.support.base import patience, wait_until
from tests.support.case import queued_id
from tests.support.cluster import Cluster
from tests.support.fleet import USER, Fleet
from tests.support.load import HOST_KILL, Load, account

LONG = os.environ.get("SP_FAULTS_LONG") == "1"


class FleetCase(unittest.TestCase):
    HOSTS = 2
    LEASE = 10

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.close)
        cls.fleet = Fleet(cls.cluster, cls.HOSTS, {"queue": {"retry_first": "1s", "retry_longest": "5s", "max_attempts": 100,
                                                             "lease": f"{cls.LEASE}s"},
                                                   "smtpd": {"submit_timeout": "30s", "workers": 1}})
        cls.addClassCleanup(cls.fleet.close)
        cls.fleet.start()

    def setUp(self):
        for host in self.fleet.hosts:
            if host.proxy.process.poll() is not None:
                host.proxy.start()
        self.fleet.wait_even(self.fleet.hosts)

    def load(self, hosts=None, clients=6, rate=60):
        load = Load([h.proxy for h in hosts or self.fleet.hosts], self.fleet.users, clients, rate)
        self.addCleanup(load.stop.set)
        load.start()
        return load

    def settle(self, load, kills=()):
        load.finish()
        self.fleet.wait_empty()
        found = account(load, list(kills), self.fleet.standins, self.cluster)
        found.check(self)
        self.assertGreater(len(found.stored), 20)
        return found


class ThreeHosts(FleetCase):
    HOSTS = 3

    def test_a_host_that_is_killed_under_load_is_replaced_within_15_seconds(self):
        first, *others = self.fleet.hosts
        load = self.load()
        load.wait(60)
        killed = first.kill()
        load.proxies = [h.proxy for h in others]
        self.fleet.wait_taken_over(first)
        self.assertLess(time.monotonic() - killed, patience(15))
        load.wait(30)
        self.settle(load, [(killed, HOST_KILL)])
        # It comes back, with a journal that tells what is known by now, and gets its part again.
        first.proxy.start()
        self.fleet.wait_even(self.fleet.hosts)
        account(load, [(killed, HOST_KILL)], self.fleet.standins, self.cluster).check(self)

    def test_a_host_that_stops_hands_its_shards_over_at_once(self):
        first = self.fleet.hosts[0]
        load = self.load()
        load.wait(40)
        load.proxies = [h.proxy for h in self.fleet.hosts[1:]]
        self.assertEqual(first.proxy.stop(), 0)
        # The others look every fifth of the lease.
        self.assertLess(self.fleet.wait_taken_over(first), patience(self.LEASE * 0.6))
        load.wait(20)
        self.settle(load)


class AHostThatStoodStill(FleetCase):
    """All its processes are stopped, as in a virtual machine that is moved, for longer than its lease."""

    LEASE = 5
    PAUSE = 60 if LONG else 12

    def hold(self, host, paused):
        self.assertLess(self.fleet.wait_taken_over(host), patience(self.LEASE + 5))
        left = paused + self.PAUSE - time.monotonic()
        if left > 0:
            time.sleep(left)

    def test_it_begins_nothing_that_was_on_its_way(self):
        first, second = self.fleet.hosts
        late = first.proxy.log.mark()
        # The jobs of these lie in the agents' sockets.
        paused = first.pause("deliver")
        with first.proxy.session(USER) as s:
            ids = [queued_id(s.mail(mail.plain(load_id=f"still{i}"))) for i in range(20)]
        before = len(first.sent())
        first.pause()
        self.hold(first, paused)
        wait_until(lambda: sum((r.load_id or "").startswith("still") for r in second.sent()) == len(ids), 30,
                   "the other host to send them")
        first.resume()
        first.proxy.log.wait("deliver.job.late", 20, late)
        self.fleet.wait_even(self.fleet.hosts)
        self.fleet.wait_empty()
        self.assertEqual([r.load_id for r in first.sent()[before:]], [])
        self.assertEqual(len(first.proxy.log.all("deliver.job.late", late)), len(ids))
        self.assertEqual(self.cluster.one("SELECT count(*) FROM delivery WHERE attempts = 1 AND message_id IN "
                                          f"({', '.join(repr(i) for i in ids)})"), str(len(ids)))
        self.assertEqual(self.cluster.one("SELECT count(*) FROM event"), "0")

    def test_under_load_nothing_is_lost_and_only_calls_that_were_under_way_are_repeated(self):
        first, second = self.fleet.hosts
        load = self.load()
        load.wait(40)
        paused = first.pause()
        load.proxies = [second.proxy]
        self.hold(first, paused)
        load.wait(20)
        first.resume()
        load.proxies = self.fleet.proxies
        load.wait(20)
        self.fleet.wait_even(self.fleet.hosts)
        self.settle(load, [(paused, HOST_KILL)])


class CopiedHost(FleetCase):
    """The second host was made from an image of the first, with its host_id."""

    def test_it_leaves_the_queue_to_the_other_until_it_has_an_id_of_its_own(self):
        first, second = self.fleet.hosts
        files = [Path(h.proxy.settings["instance"]["state_dir"]) / "host_id" for h in (first, second)]
        second.proxy.stop()
        files[1].write_bytes(files[0].read_bytes())
        second.proxy.start(wait=False)
        second.proxy.wait_ready()
        found = second.proxy.log.wait("qmgr.lease.host_id_twice", 30)
        self.assertEqual((found["level"], found["other"]), ("error", first.name))
        self.assertIn("remove host_id", found["mend"])
        wait_until(lambda: "same host id" in second.proxy.http("/health/ready")[1], 20, "that it is not ready")
        wait_until(lambda: self.fleet.shards() == {first.name: 64}, 20, "the first to have it all")
        with first.proxy.session(USER) as s:
            ids = [queued_id(s.mail(mail.plain(load_id=f"copy{i}"))) for i in range(20)]
        self.fleet.wait_empty()
        self.assertEqual(sum((r.load_id or "").startswith("copy") for r in first.sent()), len(ids))
        self.assertEqual(sum((r.load_id or "").startswith("copy") for r in second.sent()), 0)
        self.assertEqual(first.proxy.log.all("qmgr.lease.lost"), [])
        # The first one is killed and comes back at once: it is its own successor, and the other waits on.
        first.kill()
        first.proxy.start()
        wait_until(lambda: self.fleet.shards() == {first.name: 64}, 20, "the first to have it all again")
        second.proxy.stop()
        files[1].unlink()
        second.proxy.start()
        self.fleet.wait_even(self.fleet.hosts)


if __name__ == "__main__":
    unittest.main()
