# SPDX-License-Identifier: Apache-2.0
"""dns-01 by updates (RFC 2136) against a real BIND: signatures, zones, delegation, the wait, and what is said when it cannot be."""
import base64
import hashlib
import socket
import subprocess
import threading
import time
import unittest

from tests.support.acme_case import Acme, AcmeCase, looked_at
from tests.support.base import Authority, BUILD, Scratch, free_port, patience, wait_until
from tests.support.named import Key, Named
from tests.support.pebble import Dns, Pebble

RECORD = "_acme-challenge.example.com"


def value(key_authorization):
    """RFC 8555, 8.4"""
    return base64.urlsafe_b64encode(hashlib.sha256(key_authorization.encode()).digest()).rstrip(b"=").decode()


class Check:
    """challenge_check with these settings."""

    def __init__(self, identifier, *authorizations, **settings):
        words = [f"{k}={v}" for k, v in ({"dns_wait": "0s"} | settings).items()]
        self.process = subprocess.Popen([str(BUILD / "tests/cert-renewer/challenge_check"), *words, identifier, *authorizations],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.n = len(authorizations)
        self.log = []
        self.timer = threading.Timer(patience(60), self.process.kill)
        self.timer.start()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.withdraw()

    def told(self):
        """The words about all that was presented, sorted."""
        words = []
        while len(words) < self.n:
            line = self.process.stdout.readline()
            assert line, self.log
            if line.startswith("{"):
                self.log.append(line)
            else:
                words.append(line.strip())
        return sorted(words)

    def withdraw(self):
        """Returns the lines of the log."""
        if self.process.stdin.closed:
            return self.log
        self.process.stdin.close()
        self.log += self.process.stdout.readlines()
        self.timer.cancel()
        assert self.process.wait(patience(30)) == 0
        self.process.stdout.close()
        return self.log


class Relay:
    """Passes questions on to a name server, over UDP; `change` makes of each answer what is said instead (None: nothing)."""

    def __init__(self, port, change):
        self.change, self.seen = change, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.server = ("127.0.0.1", port)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            question, client = self.socket.recvfrom(65535)
            if question == b"end":
                return
            self.seen += 1
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(patience(5))
                s.sendto(question, self.server)
                answer = self.change(question, s.recv(65535))
            for one in answer if isinstance(answer, list) else [answer]:
                if one is not None:
                    self.socket.sendto(one, client)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"end", ("127.0.0.1", self.port))
        self.thread.join()
        self.socket.close()


class Dns01(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.key = Key()
        cls.named = Named({"example.com": "sub NS ns\nalias._tls CNAME x\n", "sub.example.net": "",
                           "example.org": "_acme-challenge CNAME org.acme.example.com.\n"
                                          "_acme-challenge.loop CNAME _acme-challenge.loop\n"}, cls.key)
        cls.addClassCleanup(cls.named.close)

    def settings(self, key=None, **more):
        return {"dns_server": self.named.address, "dns_check": self.named.address} | (key or self.key).settings() | more

    def failure(self, identifier="example.com", **settings):
        with Check(identifier, "a.b", **settings) as check:
            told, = check.told()
        prefix = "failed a.b "
        self.assertTrue(told.startswith(prefix), told)
        return told[len(prefix):].replace(f"acme.dns_server 127.0.0.1 port {self.named.port}: ", "")

    def test_values_for_one_name_stand_side_by_side(self):
        with Check("example.com", "one.thumb", "two.thumb", **self.settings()) as check:
            self.assertEqual(check.told(), ["ok one.thumb", "ok two.thumb"])
            self.assertEqual(self.named.txt(RECORD), sorted([value("one.thumb"), value("two.thumb")]))
            with Check("example.com", "three.thumb", **self.settings()) as other:
                self.assertEqual(other.told(), ["ok three.thumb"])
            self.assertEqual(self.named.txt(RECORD), sorted([value("one.thumb"), value("two.thumb")]))
            log = check.withdraw()
        self.assertEqual(self.named.txt(RECORD), [])
        self.assertNotIn(self.key.secret, "".join(log))
        self.assertEqual(sum('"challenge.dns.removed"' in line for line in log), 2, log)

    def test_every_algorithm(self):
        for algorithm in ("hmac-sha384", "hmac-sha512"):
            key = Key("another.key.example", algorithm)
            named = Named({"example.com": ""}, key)
            self.addCleanup(named.close)
            with Check("example.com", "a.b", **self.settings(key, dns_server=named.address, dns_check=named.address)) as check:
                self.assertEqual(check.told(), ["ok a.b"])
                self.assertEqual(named.txt(RECORD), [value("a.b")])
            self.assertEqual(named.txt(RECORD), [])

    def test_the_zone_is_found_further_up(self):
        with Check("mail.a.sub.example.net", "a.b", **self.settings()) as check:
            self.assertEqual(check.told(), ["ok a.b"])
            self.assertEqual(self.named.txt("_acme-challenge.mail.a.sub.example.net"), [value("a.b")])

    def test_the_zone_may_be_said(self):
        with Check("example.com", "a.b", **self.settings(dns_zone="Example.com.")) as check:
            self.assertEqual(check.told(), ["ok a.b"])
        self.assertEqual(self.failure(**self.settings(dns_zone="example.org")),
                         "_acme-challenge.example.com is not in the zone example.org: see acme.dns_zone")

    def test_a_cname_is_followed(self):
        with Check("example.org", "a.b", **self.settings()) as check:
            self.assertEqual(check.told(), ["ok a.b"])
            self.assertEqual(self.named.txt("org.acme.example.com"), [value("a.b")])
        self.assertEqual(self.named.txt("org.acme.example.com"), [])

    def test_a_cname_that_only_the_name_servers_know_is_followed(self):
        static = Named({"elsewhere.example": "_acme-challenge CNAME there.example.com.\n"})
        self.addCleanup(static.close)
        with Check("elsewhere.example", "a.b", **self.settings(dns_check=f"{static.address} {self.named.address}", dns_wait="1s")) as check:
            # It was put where the server is that takes updates; the other one cannot show it.
            told, = check.told()
            self.assertIn(f"port {static.port} does not show the TXT record there.example.com: it answers with REFUSED", told)
            self.assertEqual(self.named.txt("there.example.com"), [value("a.b")])
        self.assertEqual(self.named.txt("there.example.com"), [])

    def test_cnames_without_end(self):
        self.assertEqual(self.failure("loop.example.org", **self.settings()),
                         "the record's name leads from CNAME to CNAME without end")

    def test_what_is_refused_says_what_to_do(self):
        stranger, wrong = Key("stranger"), Key()
        name = f'"{self.key.name}"'
        self.assertEqual(self.failure(**self.settings(stranger)),
                         'it does not know the key "stranger" with this algorithm (BADKEY): see acme.dns_key_name and '
                         'acme.dns_key_algorithm')
        self.assertEqual(self.failure(**self.settings(wrong)),
                         f"it has another key of the name {name} (BADSIG): see acme.dns_key")
        self.assertEqual(self.failure(**self.settings(dns_key_algorithm="hmac-sha512")),
                         f"it does not know the key {name} with this algorithm (BADKEY): see acme.dns_key_name and "
                         "acme.dns_key_algorithm")
        self.assertEqual(self.failure(**self.settings() | {"dns_key_name": "", "dns_key": ""}),
                         "it refuses (REFUSED): there this host must be allowed to update TXT records of "
                         "_acme-challenge.example.com, or a key, which acme.dns_key_name names here")
        self.assertEqual(self.failure("nowhere.example", **self.settings()),
                         "it does not say in which zone _acme-challenge.nowhere.example is (REFUSED): set acme.dns_zone")
        self.assertEqual(self.failure("nowhere.example", **self.settings(dns_zone="nowhere.example")),
                         f"it is not the primary server of the zone nowhere.example, or does not take the key {name} (NOTAUTH): "
                         "see acme.dns_server, acme.dns_zone and acme.dns_key")
        nobody = free_port()
        self.assertEqual(self.failure(**self.settings(dns_server=f"127.0.0.1:{nobody}")),
                         f"acme.dns_server 127.0.0.1 port {nobody}: Connection refused")
        self.assertEqual(self.failure(**self.settings(dns_server="no.such.host.invalid")).split(":")[0],
                         "acme.dns_server no.such.host.invalid port 53")

    def test_a_server_that_takes_updates_from_this_host(self):
        named = Named({"example.com": ""})
        self.addCleanup(named.close)
        with Check("example.com", "a.b", dns_server=named.address) as check:
            self.assertEqual(check.told(), ["ok a.b"])
            self.assertEqual(named.txt(RECORD), [value("a.b")])

    def test_all_name_servers_are_waited_for(self):
        late = Named({"example.com": ""})
        self.addCleanup(late.close)
        with Check("example.com", "a.b", **self.settings(dns_check=f"{self.named.address} {late.address}", dns_wait="50s")) as check:
            deadline = time.monotonic() + patience(20)
            while value("a.b") not in self.named.txt(RECORD):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            with Check("example.com", "a.b", dns_server=late.address) as other:
                other.told()
                self.assertEqual(check.told(), ["ok a.b"])

    def test_the_wait_follows_cnames_too(self):
        """As when a hook puts the record elsewhere: the server that is asked has a CNAME, and the record where that leads."""
        alias = Named({"example.com": "_acme-challenge CNAME _acme-challenge.there.example.org.\n", "example.org": ""})
        self.addCleanup(alias.close)
        with Check("there.example.org", "a.b", dns_server=alias.address) as there:
            self.assertEqual(there.told(), ["ok a.b"])
            with Check("example.com", "a.b", **self.settings(dns_check=alias.address)) as check:
                self.assertEqual(check.told(), ["ok a.b"])

    def test_one_that_does_not_show_it_is_named(self):
        late = Named({"example.com": ""})
        self.addCleanup(late.close)
        words = self.failure(**self.settings(dns_check=f"{self.named.address} {late.address}"))
        self.assertEqual(words, f"acme.dns_check: after 5 s the name server 127.0.0.1 port {late.port} does not show the TXT record "
                                f"{RECORD}: it has no such record")

    def test_a_long_answer_is_asked_for_over_tcp(self):
        names = [f"{i:02}.thumb" for i in range(14)]
        with Check("example.com", *names, **self.settings()) as check:
            self.assertEqual(check.told(), [f"ok {n}" for n in names])
            self.assertEqual(self.named.txt(RECORD), sorted(value(n) for n in names))
        self.assertEqual(self.named.txt(RECORD), [])

    def relay(self, change):
        relay = Relay(self.named.port, change)
        self.addCleanup(relay.close)
        return relay

    def test_lost_datagrams_are_sent_again(self):
        relay = self.relay(lambda question, answer: answer if relay.seen % 2 == 0 else None)
        with Check("example.com", "a.b", **self.settings(dns_server=f"127.0.0.1:{relay.port}")) as check:
            self.assertEqual(check.told(), ["ok a.b"])
        self.assertEqual(self.named.txt(RECORD), [])

    def test_forged_answers_are_passed_over(self):
        def forge(question, answer):
            wrong_id = bytes([answer[0] ^ 1]) + answer[1:]
            wrong_signature = answer[:-7] + bytes([answer[-7] ^ 1]) + answer[-6:]
            return [b"", b"x", answer[:20], wrong_id, wrong_signature, answer]
        relay = self.relay(forge)
        with Check("example.com", "a.b", **self.settings(dns_server=f"127.0.0.1:{relay.port}")) as check:
            self.assertEqual(check.told(), ["ok a.b"])
            self.assertEqual(self.named.txt(RECORD), [value("a.b")])

    def test_an_answer_without_its_signature_is_none(self):
        def strip(question, answer):
            at = answer.rindex(b"\x08acme-key")
            return answer[:10] + b"\0\0" + answer[12:at]
        relay = self.relay(strip)
        words = self.failure(**self.settings(dns_server=f"127.0.0.1:{relay.port}"))
        self.assertEqual(words, f"acme.dns_server 127.0.0.1 port {relay.port}: its answer is not signed")


class Whole(AcmeCase):
    """A certificate by updates, from the real authority to the listener. The authority asks the same server."""

    CERTIFICATES = {"wild": {"names": "example.com *.example.com mail.example.com", "challenge": "dns-01"}}
    START = False

    @classmethod
    def authority_for_tests(cls):
        cls.key = Key()
        cls.named = Named({"example.com": ""}, cls.key)
        cls.SETTINGS = {"acme": cls.key.settings() | {"dns_server": cls.named.address, "dns_check": cls.named.address,
                                                      "dns_wait": "20s"}}
        return Pebble(cls.tls_authority, dns=cls.named)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(cls.named.close)

    def test_after_the_key_is_set_right(self):
        right = self.acme.settings["acme"]["dns_key"]
        self.acme.settings["acme"]["dns_key"] = Key().secret
        self.acme.write_settings()
        self.acme.start()
        row = self.acme.await_row("wild", lambda r: r["failures"] > 0)
        self.assertIn('it has another key of the name "acme-key" (BADSIG): see acme.dns_key', row["last_error"])
        self.acme.settings["acme"]["dns_key"] = right
        self.acme.write_settings()
        self.acme.reload()
        self.acme.await_valid("wild")
        self.assertEqual(looked_at(self.acme.pem("wild"))["names"], ["*.example.com", "example.com", "mail.example.com"])
        wait_until(lambda: self.named.txt(RECORD) == [] and self.named.txt("_acme-challenge.mail.example.com") == [], 20,
                   "the records gone")
        self.assertEqual(len(self.acme.log.all("challenge.dns.removed")), 3)
        self.assertEqual(self.acme.log.all("service.forbidden_call"), [])


class Stopped(unittest.TestCase):
    """The service ends while a record is waited for: it is taken away first."""

    def stop_in_the_wait(self, dns, settings, shown):
        scratch = Scratch("stopped")
        self.addCleanup(scratch.close)
        ca = Pebble(Authority(scratch.path), dns=dns)
        self.addCleanup(ca.close)
        self.addCleanup(dns.close)
        acme = Acme(ca, {"example.com": {"challenge": "dns-01"}}, {"acme": settings(scratch.path) | {"dns_wait": "1h"}})
        self.addCleanup(acme.close)
        acme.start()
        wait_until(shown, 40, "the record there")
        acme.stop()
        self.assertFalse(shown())

    def test_by_updates(self):
        key = Key()
        named = Named({"example.com": ""}, key)
        self.stop_in_the_wait(named, lambda path: key.settings() | {"dns_server": named.address}, lambda: named.txt(RECORD) != [])

    def test_by_a_program(self):
        dns = Dns()
        self.stop_in_the_wait(dns, lambda path: {"dns_hook": dns.hook(path)}, lambda: dns.txt(RECORD + ".") != [])


if __name__ == "__main__":
    unittest.main()
