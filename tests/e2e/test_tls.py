# SPDX-License-Identifier: Apache-2.0
"""TLS towards clients: which certificate is shown to whom, how certificates are replaced, client certificates, OCSP
responses, session tickets, and what an operator sees of it."""
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import time
import unittest

from tests.support import mail
from tests.support.base import marker, patience, run, wait_until, PROGRAM_MASTER
from tests.support.case import ProxyCase, queued_id
from tests.support.proxy import Proxy
from tests.support.smtp import Smtp

RSA_ONLY = "ECDHE-RSA-AES128-GCM-SHA256"


class TlsCase(ProxyCase):
    """Starts in setUpClass, after install() has put the files there."""

    START = False

    @classmethod
    def providers(cls):
        return {"file": "file"}

    @classmethod
    def put(cls, name, content):
        """Replaces a file as a renewer would."""
        new = cls.proxy.tls / (name + ".new")
        new.write_bytes(content if isinstance(content, bytes) else content.encode())
        new.chmod(0o600)
        new.rename(cls.proxy.tls / name)
        return str(cls.proxy.tls / name)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.install()
        cls.proxy.write_settings()
        cls.proxy.start()

    @classmethod
    def install(cls):
        pass

    def reload(self):
        mark = self.proxy.log.mark()
        self.assertTrue(self.proxy.reload())
        return mark

    def change(self, section, **values):
        """Settings that are taken back at the end of the test."""
        before = dict(self.proxy.settings.get(section, {}))

        def back():
            self.proxy.settings[section] = before
            self.proxy.write_settings()
            self.proxy.reload()
        self.addCleanup(back)
        self.proxy.settings.setdefault(section, {}).update(values)
        self.proxy.write_settings()
        return self.reload()

    def connect(self, port, name=None, context=None, session=None):
        context = context or self.context()
        sock = socket.create_connection(("127.0.0.1", port), patience(10))
        try:
            tls = context.wrap_socket(sock, server_hostname=name, session=session)
        except BaseException:
            sock.close()
            raise
        self.addCleanup(tls.close)
        return tls

    def context(self, ciphers=None, version=None):
        context = ssl.create_default_context(cafile=str(self.authority.ca_file))
        context.check_hostname = False
        if ciphers:
            context.set_ciphers(ciphers)
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def shown(self, name=None, ciphers=None):
        """The common name of the certificate that a client is shown."""
        with self.connect(self.proxy.port_implicit, name, self.context(ciphers)) as tls:
            return dict(pair for rdn in tls.getpeercert()["subject"] for pair in rdn)["commonName"]

    def stapled(self, name="localhost"):
        """What openssl says of the OCSP response: "good", "revoked", or None when there is none."""
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.proxy.port_implicit}", "-servername", name,
                               "-status", "-CAfile", str(self.authority.ca_file)], input=b"QUIT\r\n", capture_output=True,
                              timeout=patience(20), check=False)
        text = done.stdout.decode(errors="replace")
        found = re.search(r"Cert Status: (\w+)", text)
        return (found.group(1), re.search(r"Produced At: (.*)", text).group(1)) if found else None


class Certificates(TlsCase):
    @classmethod
    def install(cls):
        cls.names = {"shop": "DNS:shop.test, DNS:www.shop.test", "wild": "DNS:*.wild.test", "exact": "DNS:x.wild.test"}
        cls.proxy.settings["certificates"] = {}
        for key, names in cls.names.items():
            cls.renew(key)
            cls.proxy.settings["certificates"][key] = {"certificate_file": str(cls.proxy.tls / f"{key}.pem")}
        # RSA beside ECDSA, for the fallback and for a name; one with its key in a file of its own.
        cls.put("rsa.pem", "".join(cls.authority.issue("fallback-rsa", kind="rsa")))
        chain, key = cls.authority.issue("shop-rsa", names=cls.names["shop"], kind="rsa")
        cls.proxy.settings["certificates"] |= {
            "rsa": {"certificate_file": str(cls.proxy.tls / "rsa.pem")},
            "shop-rsa": {"certificate_file": cls.put("shop-rsa.pem", chain), "key_file": cls.put("shop-rsa.key", key)}}

    @classmethod
    def renew(cls, key, name=None, **more):
        cls.put(f"{key}.pem", "".join(cls.authority.issue(name or key, names=cls.names[key], **more)))

    def test_each_name_is_shown_its_certificate(self):
        for name, shown in (("shop.test", "shop"), ("WWW.SHOP.test", "shop"), ("x.wild.test", "exact"), ("y.wild.test", "wild"),
                            ("a.b.wild.test", "first"), ("elsewhere.test", "first"), ("localhost", "first"), (None, "first")):
            with self.subTest(name):
                self.assertEqual(self.shown(name), shown)

    def test_a_client_that_knows_only_rsa_is_shown_rsa(self):
        self.assertEqual(self.shown("shop.test", RSA_ONLY), "shop-rsa")
        self.assertEqual(self.shown(None, RSA_ONLY), "fallback-rsa")

    def test_one_bad_file_of_several_stops_no_other(self):
        good = (self.proxy.tls / "shop.pem").read_text()
        key = (self.proxy.tls / "exact.pem").read_text().split("-----END CERTIFICATE-----\n")[1]
        cases = {"garbage": "nothing\n", "expired": "".join(self.authority.issue("old", -20 * 86400, -86400)),
                 "key of another": good.split("-----BEGIN PRIVATE")[0] + key, "empty": ""}
        for n, (what, text) in enumerate(cases.items()):
            with self.subTest(what):
                failures = self.proxy.metric("tls_certificate_load_failures_total")
                self.put("shop.pem", text)
                self.renew("wild", f"wild-{n}")
                mark = self.reload()
                bad = self.proxy.log.find("master.certificate.bad", mark)
                self.assertEqual((bad["certificate"], bad["text"]), ("shop", "Failed to load certificate"))
                self.assertIn("shop.pem", bad["reason"])
                self.assertEqual(self.shown("shop.test"), "shop")
                self.assertEqual(self.shown("y.wild.test"), f"wild-{n}")
                self.assertEqual(self.proxy.metric("tls_certificate_load_failures_total"), failures + 1)
        self.put("shop.pem", good)
        mark = self.reload()
        self.assertEqual({e["certificate"] for e in self.proxy.log.all("master.certificate.unchanged", mark)},
                         {"", "rsa", *self.names, "shop-rsa"})
        self.assertEqual(self.proxy.log.all("smtpd.certificate.loaded", mark), [], "nothing was handed out")

    def test_a_certificate_that_ended_is_served_by_a_new_worker_too(self):
        self.renew("exact", "short", end=2)
        self.reload()
        self.assertEqual(self.shown("x.wild.test"), "short")
        time.sleep(2)
        victims = [pid for pid, name in self.proxy.children().items() if name == "smtpd"]
        mark = self.proxy.log.mark()
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        for slot in (0, 1):
            self.proxy.log.wait("master.child.ready", since=mark, child="smtpd", slot=slot)
        context = self.context()
        context.verify_mode = ssl.CERT_NONE
        with self.connect(self.proxy.port_implicit, "x.wild.test", context) as tls:
            shown = ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True))
        self.assertIn(shown, (self.proxy.tls / "exact.pem").read_text())
        self.renew("exact")
        self.reload()
        self.assertEqual(self.shown("x.wild.test"), "exact")

    def test_certificates_come_and_go_with_a_reload(self):
        chain, key = self.authority.issue("late", names="DNS:late.test")
        self.assertEqual(self.shown("late.test"), "first")
        pids = set(self.proxy.children())
        self.change("certificates", late={"certificate_file": self.put("late.pem", chain + key)})
        self.assertEqual(self.shown("late.test"), "late")
        del self.proxy.settings["certificates"]["late"]
        self.proxy.write_settings()
        self.reload()
        self.assertEqual(self.shown("late.test"), "first")
        self.assertEqual(set(self.proxy.children()), pids)

    def test_the_floor_of_versions_changes_with_a_reload(self):
        old = self.context(version=ssl.TLSVersion.TLSv1_2)
        self.connect(self.proxy.port_implicit, context=old)
        self.change("tls", min_version="1.3")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.connect(self.proxy.port_implicit, context=old)
        self.assertEqual(self.shown("shop.test"), "shop")

    def test_the_metric_is_the_first_one_to_end(self):
        self.renew("exact", end=5 * 86400)
        self.reload()
        self.assertAlmostEqual(self.proxy.metric("tls_certificate_not_after_seconds"), time.time() + 5 * 86400, delta=300)
        self.renew("exact")
        self.reload()
        self.assertGreater(self.proxy.metric("tls_certificate_not_after_seconds"), time.time() + 20 * 86400)

    def test_tls_status_shows_what_every_worker_serves(self):
        rows = self.proxy.ctl("tls", "status", json_out=True)
        self.assertEqual({r["slot"] for r in rows}, {0, 1})
        serial = self.connect(self.proxy.port_implicit).getpeercert()["serialNumber"]
        for slot in (0, 1):
            mine = [r for r in rows if r["slot"] == slot]
            self.assertEqual([r["state"] for r in mine].count("fallback"), 2)
            self.assertEqual(len(mine), 6)
            first = next(r for r in mine if r["serial"].lstrip("0") == serial.lstrip("0"))
            self.assertEqual((first["names"], first["key"], first["ocsp"]), ("localhost, 127.0.0.1", "ECDSA P-256", "none"))
            self.assertTrue(first["ticket_key_made_at"])
        self.assertIn("RSA 2048", self.proxy.ctl("tls", "status").stdout)

    def test_a_start_needs_only_the_first_certificate(self):
        other = Proxy(None, {"file": "file"}, {"certificates": {"bad": {"certificate_file": "/nonexistent/cert.pem"}}},
                      authority=self.authority, name="bad-certificate")
        self.addCleanup(other.close)
        checked = run(PROGRAM_MASTER, "-c", other.config, "-t")
        self.assertEqual(checked.returncode, 78)
        self.assertIn("/nonexistent/cert.pem", checked.stderr)
        other.start()
        self.assertEqual(other.log.wait("master.certificate.bad")["certificate"], "bad")
        self.assertEqual(other.metric("tls_certificate_load_failures_total"), 1)
        with other.smtp() as s:
            self.assertReply(s.command("NOOP"), 250)


class Swaps(TlsCase):
    SETTINGS = {"smtpd": {"workers": 2}}
    SESSIONS, SWAPS = 100, 20

    def begin(self, kind):
        """A session in that state; and what takes it to logged in, and then to its message."""
        if kind == "greeting":
            return self.smtp(tls="none", ehlo=False)
        if kind == "handshake":
            s = self.smtp(tls="none", ehlo=True)
            self.assertReply(s.command("STARTTLS"), 220)
            s.incoming, s.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            s.object = s.context().wrap_bio(s.incoming, s.outgoing, server_hostname="localhost")
            with self.assertRaises(ssl.SSLWantReadError):
                s.object.do_handshake()
            s.hello = s.outgoing.read()
            s.sock.sendall(s.hello[:len(s.hello) // 2])
            return s
        s = self.session("file", tls="implicit")
        if kind == "data":
            self.assertReply(s.command("MAIL FROM:<sender@example.com>"), 250)
            self.assertReply(s.command("RCPT TO:<rcpt@example.net>"), 250)
            self.assertReply(s.command("DATA"), 354)
            s.word = marker()
            s.message = mail.plain(text=s.word + "\n")
            s.send(s.message[:20])
        return s

    def finish_handshake(self, s):
        s.sock.sendall(s.hello[len(s.hello) // 2:])
        while True:
            try:
                s.object.do_handshake()
                break
            except ssl.SSLWantReadError:
                s.incoming.write(s.sock.recv(65536))
        s.sock = Spliced(s)
        s.sock.flush()
        s.ehlo()

    def deliver(self, kind, s):
        if kind == "data":
            s.send(s.message[20:] + b".\r\n")
            return s.reply()
        if kind == "greeting":
            s.command("EHLO client.test")
            s.starttls()
            s.ehlo()
        if kind == "handshake":
            self.finish_handshake(s)
        if kind in ("greeting", "handshake"):
            s.login(self.user["file"], self.proxy.passwords[self.user["file"]])
        return s.mail(mail.plain(text=marker() + "\n"))

    def old_sessions(self):
        return sum(r["sessions"] for r in self.proxy.ctl("tls", "status", json_out=True) if r["state"] == "replaced")

    def test_sessions_in_every_state_live_through_many_swaps(self):
        kinds = ["greeting", "handshake", "idle", "data"]
        sessions = [(kind, self.begin(kind)) for kind in kinds for _ in range(self.SESSIONS // len(kinds))]
        pids = set(self.proxy.children())
        before = self.shown()
        for n in range(self.SWAPS):
            self.proxy.install_certificate(*self.authority.issue(f"swap{n}"))
            begin = time.monotonic()
            self.reload()
            self.assertEqual(self.shown(), f"swap{n}")
            self.assertLess(time.monotonic() - begin, patience(1))
        self.assertNotEqual(before, self.shown())
        self.assertEqual(set(self.proxy.children()), pids)
        # Those that had shaken hands before.
        self.assertEqual(self.old_sessions(), self.SESSIONS // 2)
        wait_until(lambda: self.proxy.metric("smtp_tls_sessions_on_old_certificates") == self.SESSIONS // 2, 5, "the metric")
        idents = [queued_id(self.assertReply(self.deliver(kind, s), 250)) for kind, s in sessions]
        self.assertEqual(len(set(idents)), self.SESSIONS)
        for _, s in sessions:
            s.close()
        wait_until(lambda: self.proxy.metric("smtp_tls_sessions_on_old_certificates") == 0, 10, "the metric to fall")
        self.assertEqual(self.old_sessions(), 0)
        wait_until(lambda: len(list(self.proxy.out.glob("*.eml"))) >= self.SESSIONS, 40, "all messages")
        delivered = {i for i in idents for path in self.proxy.out.glob(f"*{i}*.eml")}
        self.assertEqual(delivered, set(idents))


class Spliced:
    """The TLS of an ssl.SSLObject as a socket."""

    def __init__(self, s):
        self.s, self.sock = s, s.sock

    def flush(self):
        self.sock.sendall(self.s.outgoing.read())

    def sendall(self, data):
        self.s.object.write(data)
        self.flush()

    def recv(self, n):
        while True:
            try:
                return self.s.object.read(n)
            except ssl.SSLWantReadError:
                more = self.sock.recv(65536)
                if not more:
                    return b""
                self.s.incoming.write(more)

    def close(self):
        self.sock.close()


class Ocsp(TlsCase):
    @classmethod
    def install(cls):
        cls.chain, cls.key = cls.authority.issue("stapled")
        cls.proxy.install_certificate(cls.chain, cls.key)
        cls.proxy.settings["tls"]["ocsp_file"] = cls.put("ocsp.der", cls.authority.ocsp(cls.chain))

    def test_responses_are_stapled_and_swapped_alone(self):
        first = self.stapled()
        self.assertEqual(first[0], "good")
        time.sleep(1.1)     # the time in a response has seconds
        fresh = self.authority.ocsp(self.chain)
        self.put("ocsp.der", fresh)
        mark = self.reload()
        self.assertIsNotNone(self.proxy.log.find("master.certificate.loaded", mark))
        second = self.stapled()
        self.assertNotEqual(first, second)
        rows = self.proxy.ctl("tls", "status", json_out=True)
        self.assertEqual({r["ocsp"] for r in rows}, {"good"})
        # A bad one leaves the good one where it is, and the certificate in use.
        other = self.authority.issue("another")
        for bad, why in ((b"garbage", "it is no OCSP response"), (self.authority.ocsp(other[0]), "another certificate")):
            self.put("ocsp.der", bad)
            mark = self.reload()
            self.assertIn(why, self.proxy.log.find("master.ocsp.bad", mark)["reason"])
            self.assertEqual(self.stapled(), second)
        # For a new certificate it is no good.
        self.proxy.install_certificate(*other)
        self.put("ocsp.der", fresh)
        mark = self.reload()
        self.assertIsNotNone(self.proxy.log.find("master.ocsp.bad", mark))
        self.assertIsNone(self.stapled())
        self.assertEqual(self.shown(), "another")
        # Nor is one that says revoked.
        self.authority.revoke(other[0])
        self.put("ocsp.der", self.authority.ocsp(other[0]))
        mark = self.reload()
        self.assertIn("revoked", self.proxy.log.find("master.ocsp.bad", mark)["reason"])
        self.assertIsNone(self.stapled())


class ClientCertificates(TlsCase):
    @classmethod
    def install(cls):
        for name, mode in (("asking", "ask"), ("requiring", "require")):
            cls.proxy.settings["listeners"][name] = {"address": "127.0.0.1", "port": 0, "tls": "implicit",
                                                     "client_certificate": mode}
        cls.proxy.settings["tls"]["client_ca_file"] = cls.put("clients.pem", cls.authority.ca_file.read_text())
        issue = cls.authority.issue
        cls.good = issue("good", names="DNS:app.clients.test, email:app@clients.test", usage="clientAuth")
        cls.bad = issue("bad", names="DNS:bad.clients.test", usage="clientAuth")
        cls.expired = issue("expired", -20 * 86400, -86400, names="DNS:old.clients.test", usage="clientAuth")

    def client(self, pair, version=None):
        context = self.context(version=version)
        if pair:
            context.load_cert_chain(self.authority.file("".join(pair)))
        return context

    def greeted(self, listener, pair, version=None):
        """The server's greeting, or None when the handshake failed."""
        try:
            with self.connect(self.proxy.ports[listener], context=self.client(pair, version)) as tls:
                return tls.recv(4096) or None
        except (ssl.SSLError, ConnectionError):
            return None

    def ended(self, mark, reason):
        """The log's line of a session that ended for this reason."""
        return self.proxy.log.wait_for(lambda: next((e for e in self.proxy.log.all("smtpd.session.end", mark)
                                                     if reason in (e.get("reason") or "")), None), 10, reason)

    def test_a_listener_that_requires_one_takes_only_good_ones(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for name, pair, reason in (("none", None, "peer did not return a certificate"), ("good", self.good, None),
                                       ("expired", self.expired, "certificate has expired")):
                with self.subTest(name, version=version):
                    mark = self.proxy.log.mark()
                    greeting = self.greeted("requiring", pair, version)
                    if reason is None:
                        self.assertTrue(greeting.startswith(b"220 "))
                        continue
                    self.assertIsNone(greeting)
                    self.assertEqual(self.ended(mark, reason)["client"], "127.0.0.1")

    def test_a_listener_that_asks_takes_everybody_and_says_whom_it_does_not_know(self):
        for pair, reason in ((None, None), (self.good, None), (self.expired, "certificate has expired")):
            mark = self.proxy.log.mark()
            self.assertTrue(self.greeted("asking", pair).startswith(b"220 "))
            if reason is None:
                self.assertIsNone(self.proxy.log.find("smtpd.client_certificate.ignored", mark))
                continue
            event = self.proxy.log.wait("smtpd.client_certificate.ignored", since=mark)
            self.assertIn(reason, event["reason"])
            self.assertEqual(event["client"], "127.0.0.1")

    def test_a_listener_that_does_not_ask_gets_none(self):
        self.assertTrue(self.greeted("submissions", self.expired).startswith(b"220 "))

    def test_a_good_one_stands_for_its_user_without_a_password(self):
        self.cluster.sql(f"UPDATE smtp_user SET certificates = '{{dns:app.clients.test}}' WHERE name = '{self.user['file']}'")
        for pair, answer in ((self.good, b"235 "), (self.bad, b"535 ")):
            with self.connect(self.proxy.ports["asking"], context=self.client(pair)) as tls:
                tls.recv(4096)
                tls.sendall(b"EHLO client.test\r\n")
                self.assertIn(b"EXTERNAL", tls.recv(4096))
                tls.sendall(b"AUTH EXTERNAL =\r\n")
                self.assertEqual(tls.recv(4096)[:4], answer)
        with self.connect(self.proxy.ports["asking"], context=self.client(self.expired)) as tls:
            tls.recv(4096)
            tls.sendall(b"EHLO client.test\r\n")
            self.assertNotIn(b"EXTERNAL", tls.recv(4096))

    def test_a_revoked_one_is_refused(self):
        self.assertIsNotNone(self.greeted("requiring", self.bad))
        self.authority.revoke(self.bad[0])
        self.change("tls", client_crl_file=self.put("crl.pem", self.authority.crl()))
        mark = self.proxy.log.mark()
        self.assertIsNone(self.greeted("requiring", self.bad))
        self.ended(mark, "certificate revoked")
        self.assertIsNotNone(self.greeted("requiring", self.good))

    def test_hundreds_of_authorities_are_no_burden(self):
        bundle = pathlib.Path("/etc/ssl/certs/ca-certificates.crt").read_text(encoding="utf-8")
        self.assertGreater(len(bundle), 131072, "more than a frame")
        mark = self.change("tls", client_ca_file=self.put("many.pem", bundle + self.authority.ca_file.read_text()))
        self.assertGreater(self.proxy.log.find("master.client_trust.loaded", mark)["authorities"], 100)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertIsNotNone(self.greeted("requiring", self.good, version))
            self.assertIsNone(self.greeted("requiring", None, version))

    def test_a_bad_file_of_authorities_changes_nothing(self):
        good = (self.proxy.tls / "clients.pem").read_text()
        try:
            self.put("clients.pem", "nothing\n")
            mark = self.reload()
            self.assertIn("no certificate of an authority", self.proxy.log.find("master.client_trust.bad", mark)["reason"])
            self.assertIsNotNone(self.greeted("requiring", self.good))
        finally:
            self.put("clients.pem", good)
            self.reload()

    def test_pins_go_before_authorities(self):
        directory = self.authority.directory
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                        "/CN=device", "-keyout", "device.key", "-out", "device.pem"], cwd=directory, check=True,
                       capture_output=True)
        own = ((directory / "device.pem").read_text(), (directory / "device.key").read_text())
        self.assertIsNone(self.greeted("requiring", own))
        pin = subprocess.run(["openssl", "x509", "-in", "device.pem", "-noout", "-fingerprint", "-sha256"], cwd=directory,
                             check=True, capture_output=True, text=True).stdout.strip().split("=")[1]
        self.change("tls", client_pins=pin)
        self.assertIsNotNone(self.greeted("requiring", own))
        mark = self.proxy.log.mark()
        self.assertIsNone(self.greeted("requiring", self.good))
        self.ended(mark, "is not pinned")

    def test_a_listener_changes_with_a_reload(self):
        listeners = {k: dict(v) for k, v in self.proxy.settings["listeners"].items()}
        self.change("listeners", asking=listeners["asking"] | {"client_certificate": "require"})
        self.assertIsNone(self.greeted("asking", None))
        self.assertIsNotNone(self.greeted("asking", self.good))


class Tickets(TlsCase):
    SETTINGS = {"smtpd": {"workers": 2}}

    def visit(self, context, session=None, port=None):
        """(whether the session was resumed, the next ticket)."""
        with self.connect(port or self.proxy.port_implicit, "localhost", context, session) as tls:
            tls.recv(1000)      # the greeting, behind the ticket
            tls.sendall(b"QUIT\r\n")
            tls.recv(1000)
            return tls.session_reused, tls.session

    def test_a_session_is_resumed_at_any_worker(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version):
                context = self.context(version=version)
                before = self.proxy.metric("smtp_tls_resumed_total")
                mark = self.proxy.log.mark()
                reused, session = self.visit(context)
                self.assertFalse(reused)
                n = 0
                while len({e["role"] for e in self.proxy.log.all("smtpd.session.end", mark)}) < 2 or n < 10:
                    self.assertLess(n, 300, "one worker takes all")
                    reused, session = self.visit(context, session)
                    self.assertTrue(reused)
                    n += 1
                wait_until(lambda b=before, m=n: self.proxy.metric("smtp_tls_resumed_total") == b + m, 5, "the metric")

    def test_a_ticket_outlives_one_rotation_and_a_worker_but_not_three(self):
        context = self.context()
        mark = self.change("tls", ticket_rotation="2s")
        self.proxy.log.wait("master.tickets.rotated", since=mark)
        _, session = self.visit(context)
        victims = [pid for pid, name in self.proxy.children().items() if name == "smtpd"]
        mark = self.proxy.log.mark()
        self.proxy.log.wait("master.tickets.rotated", since=mark)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        for slot in (0, 1):
            self.proxy.log.wait("master.child.ready", since=mark, child="smtpd", slot=slot)
        reused, _ = self.visit(context, session)
        self.assertTrue(reused)
        for _ in range(2):
            mark = self.proxy.log.mark()
            self.proxy.log.wait("master.tickets.rotated", since=mark)
        reused, _ = self.visit(context, session)
        self.assertFalse(reused)

    def test_status_tells_the_age_of_the_key(self):
        before = {r["ticket_key_made_at"] for r in self.proxy.ctl("tls", "status", json_out=True)}
        self.assertEqual(len(before), 1, "all workers have the same")


if __name__ == "__main__":
    unittest.main()
