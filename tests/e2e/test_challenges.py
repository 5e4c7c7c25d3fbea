# SPDX-License-Identifier: Apache-2.0
"""The authority comes to another host than the one that has the order: both answer, with what they share."""
import unittest

from tests.support.acme_case import Acme, looked_at
from tests.support.base import Authority, Scratch
from tests.support.cluster import Cluster
from tests.support.pebble import Pebble


class OtherHost(unittest.TestCase):
    """Only the first host's ports are those that the authority asks; the order is the second's."""

    def test_both_ways(self):
        scratch = Scratch("challenges")
        self.addCleanup(scratch.close)
        ca = Pebble(Authority(scratch.path))
        self.addCleanup(ca.close)
        cluster = Cluster()
        self.addCleanup(cluster.close)
        own = {"first.test": {}, "alpn.first.test": {"challenge": "tls-alpn-01"}}
        first = Acme(ca, own, {"instance": {"host_name": "host0.test"}}, cluster=cluster, name="host0")
        self.addCleanup(first.close)
        second = Acme(ca, {"second.test": {}, "alpn.second.test": {"challenge": "tls-alpn-01"}},
                      {"acme": {"http_port": 0, "alpn_port": 0}, "instance": {"host_name": "host1.test"}},
                      cluster=cluster, name="host1")
        self.addCleanup(second.close)
        first.migrate()
        first.start()
        for key in own:
            first.await_valid(key)
        second.start()
        for key in ("second.test", "alpn.second.test"):
            second.await_valid(key)
            self.assertEqual(looked_at(second.pem(key))["names"], [key])
        asked = [e for e in first.log.all("challenge.http.request") if e["status"] == 200]
        self.assertEqual(len({e["token"] for e in asked}), 2)
        self.assertEqual(second.log.all("challenge.http.request"), [])


if __name__ == "__main__":
    unittest.main()
