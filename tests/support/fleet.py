# SPDX-License-Identifier: Apache-2.0
"""Several hosts that share one queue: each has its own settings, state and stand-in of the provider, which so tells who sent."""
import os
import signal
import time

from tests.support.base import Authority, Scratch, wait_until
from tests.support.cluster import _alive
from tests.support.load import RECIPIENTS_A_CALL, SlowSendGrid
from tests.support.proxy import Proxy

USER = "load@queued.example"


class Host:
    def __init__(self, fleet, number):
        self.standin = SlowSendGrid()
        self.proxy = Proxy(fleet.cluster, {"sendgrid": dict(self.standin.settings(), recipients_per_call=RECIPIENTS_A_CALL)},
                           fleet.settings, authority=fleet.authority, name=f"host{number}")
        self.proxy.settings["instance"]["host_name"] = self.name = f"host{number}.test"
        self.proxy.write_settings()

    def processes(self):
        return [self.proxy.process.pid, *self.proxy.children()]

    def _signal(self, number, pids):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        """As a power cut: all its processes at once. Returns when."""
        pids = self.processes()
        self._signal(signal.SIGSTOP, pids)      # or one would see the other's end, and say so
        when = time.monotonic()
        self._signal(signal.SIGKILL, pids)
        self.proxy.process.wait()
        wait_until(lambda: not any(_alive(p) for p in pids), 20, "the host to be dead")
        self.proxy.log.join()
        return when

    def pause(self, role=None):
        """Everything stands still, or the processes of one role. Returns since when."""
        when = time.monotonic()
        self._signal(signal.SIGSTOP, [p for p, n in self.proxy.children().items() if n == role] if role else self.processes())
        return when

    def resume(self):
        self._signal(signal.SIGCONT, self.processes())
        return time.monotonic()

    def sent(self):
        with self.standin.lock:
            return list(self.standin.accepted)


class Fleet:
    def __init__(self, cluster, n, settings):
        self.cluster = cluster
        self.scratch = Scratch("fleet")
        self.authority = Authority(self.scratch.path)
        self.settings = settings
        self.hosts = [Host(self, i) for i in range(n)]
        first = self.hosts[0].proxy
        first.migrate()
        first.tenant("queued", "sendgrid")
        first.add_user(USER, "queued")
        for host in self.hosts:
            host.proxy.passwords = first.passwords

    @property
    def users(self):
        return [("queued", USER)]

    @property
    def proxies(self):
        return [h.proxy for h in self.hosts]

    @property
    def standins(self):
        return [h.standin for h in self.hosts]

    def start(self):
        for host in self.hosts:
            host.proxy.start()
        return self

    def shards(self):
        """{host name: number of shards under a lease}"""
        rows = self.cluster.sql("SELECT h.name, count(*) FROM shard s JOIN host h USING (owner) WHERE s.until > now() GROUP BY 1")
        return {name: int(n) for name, n in rows}

    def wait_even(self, hosts, timeout=40):
        """Until these hosts have all shards between them, each its fair part."""
        wait_until(lambda: (found := self.shards()).keys() == {h.name for h in hosts} and sum(found.values()) == 64 and
                   max(found.values()) - min(found.values()) <= 64 % len(hosts) + 1, timeout,
                   f"the shards to be evened out among {len(hosts)} hosts", 0.1)

    def wait_taken_over(self, host, timeout=40):
        """Until all shards are under a lease, and none is this host's; how long it took."""
        begin = time.monotonic()
        wait_until(lambda: (found := self.shards()).get(host.name, 0) == 0 and sum(found.values()) == 64, timeout,
                   f"the shards of {host.name} to be taken over", 0.05)
        return time.monotonic() - begin

    def wait_empty(self, timeout=60):
        wait_until(lambda: self.cluster.one("SELECT count(*) FROM queue") == "0", timeout, "an empty queue", 0.2)

    def close(self):
        for host in self.hosts:
            if host.proxy.process is not None and host.proxy.process.poll() is None:
                host.resume()
        for host in self.hosts:
            host.proxy.close()
            host.standin.close()
        self.scratch.close()
