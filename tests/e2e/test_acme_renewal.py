# SPDX-License-Identifier: Apache-2.0
"""Renewal by itself: in time, at the authority's wish, under open sessions, on several hosts; OCSP responses; copies elsewhere."""
import concurrent.futures
import ssl
import time
import unittest

from tests.support.acme_case import Acme, AcmeCase, certificates_of, looked_at
from tests.support.base import wait_until
from tests.support.cluster import Cluster
from tests.support.redis import Redis
from tests.support.smtp import Smtp
from tests.support.standin import S3, AcmeAuthority, Fault, OcspResponder

SESSIONS = 100


def serial(pem):
    return looked_at(pem)["serial"]


class ShortLived(AcmeCase):
    """Certificates that live for seconds, from pebble."""

    PEBBLE = {"validity": 36}
    CERTIFICATES = {"mail.test": {}}
    SETTINGS = {"smtpd": {"workers": 2}, "limits": {"connections_per_address": 1000}}

    def test_it_is_renewed_by_itself_under_a_hundred_sessions(self):
        self.acme.await_valid("mail.test")
        self.acme.await_served("mail.test")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            # Those of the moment around a renewal may have the next one.
            sessions = list(pool.map(lambda _: Smtp(self.acme.port), range(SESSIONS)))
        for s in sessions:
            self.addCleanup(s.close)
        before = {ssl.DER_cert_to_PEM_cert(s.sock.getpeercert(binary_form=True)) for s in sessions}
        newest = max(before, key=lambda pem: looked_at(pem)["end"])
        wait_until(lambda: serial(self.acme.pem("mail.test")) != serial(newest), 60, "the renewal", 0.01)
        stored = (self.acme.store("mail.test") / "tls.pem").stat().st_mtime
        self.acme.await_served("mail.test")
        self.assertLess(time.time() - stored, 1 + 1, "the swap takes a second at most; the other is the machine's")
        for s in sessions:
            self.assertEqual(s.command("NOOP").code, 250)
        row = self.acme.row("mail.test")
        self.assertEqual(row["failures"], 0)
        self.assertLess(row["not_before"] + 20, row["renew_at"], "a third of its life is left then")


class Wishes(AcmeCase):
    """What pebble has not: renewal information and profiles; and OCSP responses."""

    CERTIFICATES = {"mail.test": {}, "short.test": {"profile": "shortlived"}}

    @classmethod
    def authority_for_tests(cls):
        cls.responder = OcspResponder(cls.scratch.sub("ocsp"))
        cls.addClassCleanup(cls.responder.close)
        cls.responder.of(cls.tls_authority)
        return AcmeAuthority(cls.tls_authority, profiles={"classic": 90, "shortlived": 6}, ocsp_url=cls.responder.url)

    def setUp(self):
        self.row = self.acme.await_valid("mail.test")

    def tearDown(self):
        self.ca.behave()
        self.assertEqual((self.ca.violations, self.responder.violations), ([], []))

    def test_profile(self):
        row = self.acme.await_valid("short.test")
        self.assertAlmostEqual(row["not_after"] - row["not_before"], 6 * 86400, delta=7200)
        self.assertAlmostEqual(row["renew_at"], row["not_before"] + 4 * 86400, delta=7200)
        self.assertEqual([c["profile"] for c in self.ca.issued if c["names"] == ["short.test"]], ["shortlived"])

    def ask_again(self, window):
        """The authority says when it may be asked again, in some hours: that is forgotten."""
        self.ca.window = window
        self.addCleanup(setattr, self.ca, "window", None)
        self.acme.stop()
        (self.acme.store("mail.test") / "state.json").unlink()
        self.acme.start()

    def test_the_authority_wishes_a_renewal_earlier(self):
        before = self.ca.issued[-1]
        self.ask_again((-7200, -3600))
        row = self.acme.await_valid("mail.test", other_than=self.row["serial"])
        after = next(c for c in reversed(self.ca.issued) if c["names"] == ["mail.test"])
        self.assertIn(after["replaces"], [c["id"] for c in self.ca.issued if c["names"] == ["mail.test"]])
        self.assertNotEqual(after["id"], before["id"])
        self.assertEqual(row["failures"], 0)

    def test_a_window_of_later_is_the_time_of_renewal(self):
        self.ask_again((30 * 86400, 31 * 86400))
        row = self.acme.await_row("mail.test", lambda r: r["renew_at"] and "ARI" in r["renew_why"])
        self.assertTrue(29 * 86400 < row["renew_at"] - time.time() < 32 * 86400, row)

    def test_ocsp_is_fetched_and_stapled(self):
        row = self.acme.await_row("mail.test", lambda r: r["ocsp"] == "good")
        self.assertGreater(row["ocsp_until"], time.time())
        wait_until(lambda: self.acme.stapled("mail.test") == "good", 10, "a stapled response")


class BadOcsp(AcmeCase):
    """Answers that must not be stapled."""

    CERTIFICATES = {"mail.test": {}}
    START = False

    @classmethod
    def authority_for_tests(cls):
        cls.responder = OcspResponder(cls.scratch.sub("ocsp"))
        cls.addClassCleanup(cls.responder.close)
        cls.responder.of(cls.tls_authority)
        return AcmeAuthority(cls.tls_authority, ocsp_url=cls.responder.url)

    def another(self):
        acme = Acme(self.ca, self.CERTIFICATES)
        self.addCleanup(acme.close)
        return acme

    def test_what_is_not_stapled(self):
        for what, nudge in (("signature", lambda a: self.changed(a)), ("truncated", lambda a: a[:40]), ("html", lambda a: b"<html>")):
            with self.subTest(what):
                self.responder.nudge = nudge
                acme = self.another()
                asked = self.responder.requests
                acme.start()
                acme.await_valid("mail.test")
                self.responder.wait_for(lambda: self.responder.requests > asked, 20, "a question")
                self.assertEqual(acme.row("mail.test")["ocsp"], "none")
                self.assertIsNone(acme.stapled("mail.test"))
                acme.stop()

    def changed(self, answer):
        """One bit of the signature, which stands before the certificate of who signed it."""
        at = answer.index(bytes.fromhex("06082a8648ce3d040302")) + 30
        return answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1:]

    def test_one_that_is_over_is_not_stapled(self):
        self.responder.nudge = None
        acme = self.another()
        acme.start()
        acme.await_row("mail.test", lambda r: r["ocsp"] == "good")
        wait_until(lambda: acme.stapled("mail.test") == "good", 10, "a stapled response")
        acme.stop()
        self.responder.nudge = lambda a: b""
        stored = acme.store("mail.test") / "ocsp.der"
        with open(stored, "r+b") as f:      # who owns it stays
            f.truncate()
            f.write(self.tls_authority.ocsp_of_yesterday(certificates_of(acme.pem("mail.test"))[0]))
        acme.start()
        self.assertIsNone(acme.stapled("mail.test"))


class Hosts(AcmeCase):
    """Two hosts with one database and one directory for copies. The authority finds the first one only."""

    CERTIFICATES = {"mail.test": {}}
    START = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.close)
        copies = cls.scratch.sub("copies", 0o777)
        cls.hosts = []
        for n, port in enumerate((cls.ca.http_port, 0)):
            host = Acme(cls.ca, cls.CERTIFICATES, {"acme": {"backup_directory": str(copies), "http_port": port},
                                                   "instance": {"host_name": f"host{n}.test"}},
                        cluster=cls.cluster, name=f"host{n}")
            cls.addClassCleanup(host.close)
            cls.hosts.append(host)
        cls.hosts[0].migrate()
        for host in cls.hosts:
            host.start()

    def test_one_obtains_it_and_the_other_has_the_same(self):
        first, second = self.hosts
        row = first.await_valid("mail.test")
        self.assertEqual(row["backup"], "good")
        self.assertEqual(second.await_valid("mail.test", 120)["serial"], row["serial"])
        self.assertEqual(first.pem("mail.test"), second.pem("mail.test"))
        second.renew("mail.test")       # the authority asks the first host
        renewed = second.await_valid("mail.test", other_than=row["serial"])
        first.stop()                    # or it would look in ten minutes
        first.start()
        self.assertEqual(first.await_valid("mail.test", other_than=row["serial"])["serial"], renewed["serial"])
        self.assertEqual(first.log.all("cert.order.begun"), [])

    def test_a_new_host_takes_it_from_the_copies(self):
        row = self.hosts[0].await_valid("mail.test")
        self.ca.pause()
        self.addCleanup(self.ca.resume)
        new = Acme(self.ca, self.CERTIFICATES,
                   {"acme": {"backup_directory": self.hosts[0].settings["acme"]["backup_directory"], "http_port": 0}})
        self.addCleanup(new.close)
        new.start()
        self.assertTrue(new.await_valid("mail.test")["serial"])
        new.await_served("mail.test")
        self.assertTrue(row["serial"])


class HostsByRedis(AcmeCase):
    """Two hosts without a database, which share by Redis: also when it was away, and has forgotten all."""

    CERTIFICATES = {"mail.test": {}}
    START = False

    def test_a_host_answers_for_another_and_takes_its_certificate(self):
        redis = Redis()
        self.addCleanup(redis.close)
        copies = self.scratch.sub("copies", 0o777)
        hosts = []
        for n, port in enumerate((self.ca.http_port, 0)):
            hosts.append(Acme(self.ca, self.CERTIFICATES, {"acme": {"backup_directory": str(copies), "http_port": port},
                                                           "redis": {"url": redis.url}, "instance": {"host_name": f"host{n}.test"}},
                              name=f"host{n}"))
            self.addCleanup(hosts[n].close)
        first, second = hosts
        first.start()
        row = first.await_valid("mail.test")
        second.start()
        self.assertEqual(second.await_valid("mail.test")["serial"], row["serial"])
        redis.flush()
        second.renew("mail.test")       # the authority asks the first host
        renewed = second.await_valid("mail.test", other_than=row["serial"])
        self.assertEqual(second.log.all("challenge.http.request"), [])
        first.stop()
        first.start()
        self.assertEqual(first.await_valid("mail.test", other_than=row["serial"])["serial"], renewed["serial"])


class S3Copies(AcmeCase):
    """Copies in S3."""

    CERTIFICATES = {"mail.test": {}}

    @classmethod
    def authority_for_tests(cls):
        return AcmeAuthority(cls.tls_authority)

    @classmethod
    def settings(cls):
        cls.s3 = S3()
        cls.addClassCleanup(cls.s3.close)
        cls.copies = {"acme": {"backup_s3": f"s3://{cls.s3.bucket}/certs"}, "aws": cls.s3.aws_settings()}
        return cls.copies

    def tearDown(self):
        self.s3.behave()
        self.assertEqual((self.ca.violations, self.s3.violations), ([], []))

    def test_a_new_host_begins_with_the_copy(self):
        self.acme.await_row("mail.test", lambda r: r["backup"] == "good")
        row = self.acme.row("mail.test")
        self.assertEqual(self.s3.files()["certs/mail.test/tls.pem"].decode(), self.acme.pem("mail.test"))
        orders = self.ca.count("new-order")
        new = Acme(self.ca, self.CERTIFICATES, self.copies)
        self.addCleanup(new.close)
        new.start()
        self.assertEqual(new.await_valid("mail.test")["serial"], row["serial"])
        new.await_served("mail.test")
        self.assertEqual(self.ca.count("new-order"), orders)
        self.assertEqual(new.pem("mail.test"), self.acme.pem("mail.test"))

    def test_no_account_is_made_while_the_copies_cannot_be_read(self):
        self.acme.renew("mail.test")        # a copy that failed is tried again only after minutes
        self.acme.await_row("mail.test", lambda r: r["backup"] == "good")
        shared = {name: text for name, text in self.s3.files().items() if "/.accounts/" in name}
        self.s3.misbehave(Fault(status=503), times=10**6, checks=True)
        new = Acme(self.ca, self.CERTIFICATES, self.copies)
        self.addCleanup(new.close)
        new.start()
        failed = new.await_row("mail.test", lambda r: r["failures"] > 0, 60)
        self.assertIn("the account's key may be in the backup, which cannot be read: acme.backup_s3", failed["last_error"])
        self.assertEqual(list(new.store(".accounts").glob("*")), [])
        self.s3.behave()
        new.renew("mail.test")
        self.assertEqual(new.await_valid("mail.test", timeout=60)["failures"], 0)
        new.log.wait("cert.account.key_restored")
        self.assertEqual({name: text for name, text in self.s3.files().items() if "/.accounts/" in name}, shared)

    def test_a_store_that_is_away_keeps_nothing_from_being_renewed(self):
        row = self.acme.await_row("mail.test", lambda r: r["backup"] == "good")
        self.s3.misbehave(Fault(status=503), times=10**6)
        self.acme.renew("mail.test")
        renewed = self.acme.await_row("mail.test", lambda r: r["serial"] != row["serial"] and r["backup"] == "failing", 60)
        self.assertEqual(renewed["failures"], 0)
        self.acme.await_served("mail.test")


if __name__ == "__main__":
    unittest.main()
