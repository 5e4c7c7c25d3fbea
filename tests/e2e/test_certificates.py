# SPDX-License-Identifier: Apache-2.0
"""Certificates that the service obtains itself, as master sees them: what is put into the store by hand is taken into use, what is not
a file of cert-renewer's is refused; what clients see before the first one is there; the ports for challenges."""
import os
import pathlib
import pwd
import shutil
import socket
import ssl
import time
import unittest

from tests.support.base import IS_ROOT, patience, run, wait_until, PROGRAM_MASTER
from tests.support.case import ProxyCase
from tests.support.proxy import Proxy
from tests.support.systemd import ServiceManager

ACME = {"from": "acme", "challenge": "dns-01"}


def insecure():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class StoreCase(ProxyCase):
    """No certificate but those of the store. The authority is one that does not answer."""

    START = False
    PLACEHOLDER = "self-signed"
    CERTIFICATES = {"mail.test": ACME}

    @classmethod
    def providers(cls):
        return {"file": "file"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.proxy.settings["tls"] = {"certificate_file": "", "placeholder": cls.PLACEHOLDER}
        cls.proxy.settings["acme"] = {"agree_to_terms": True, "directory": "http://127.0.0.1:1/dir", "http_port": 0, "alpn_port": 0,
                                      "http_address": "127.0.0.1", "alpn_address": "127.0.0.1", "dns_hook": "/bin/false"}
        cls.proxy.settings["certificates"] = dict(cls.CERTIFICATES)
        cls.proxy.write_settings()
        cls.store = pathlib.Path(cls.proxy.settings["instance"]["state_dir"]) / "certs"
        cls.owner = pwd.getpwuid(os.getuid())
        if IS_ROOT:
            cls.owner = pwd.getpwnam(cls.proxy.user if cls.UNPRIVILEGED else "_sp-cert-renewer")
        cls.directory(cls.store)

    @classmethod
    def own(cls, path):
        if IS_ROOT:
            os.chown(path, cls.owner.pw_uid, cls.owner.pw_gid, follow_symlinks=False)

    @classmethod
    def directory(cls, path):
        path.mkdir(0o700, exist_ok=True)
        cls.own(path)
        return path

    @classmethod
    def put(cls, key, content, name="tls.pem"):
        """As cert-renewer would."""
        new = cls.directory(cls.store / key) / (name + ".new")
        new.write_bytes(content if isinstance(content, bytes) else content.encode())
        new.chmod(0o600)
        cls.own(new)
        new.rename(cls.store / key / name)

    @classmethod
    def issue(cls, name, **more):
        return "".join(cls.authority.issue(name, names=f"DNS:{name}", **more))

    @classmethod
    def clear(cls, key):
        path = cls.store / key
        if path.is_symlink() or path.is_file():
            path.unlink()
        # cert-renewer is there too, and may write what it remembers of the certificate.
        elif path.exists():
            wait_until(lambda: shutil.rmtree(path, ignore_errors=True) or not path.exists(), 20, f"{path} to be gone")

    def reload(self):
        mark = self.proxy.log.mark()
        self.assertTrue(self.proxy.reload())
        return mark

    def shown(self, name=None):
        """What a client is shown: the certificate as PEM."""
        with socket.create_connection(("127.0.0.1", self.proxy.port_implicit), patience(10)) as sock:
            with insecure().wrap_socket(sock, server_hostname=name) as tls:
                return ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True))

    def status(self):
        return self.proxy.ctl("status", json_out=True)


class FromNothing(StoreCase):
    CERTIFICATES = {"mail.test": ACME, "other.test": ACME | {"names": "other.test www.other.test"}}

    def test_a_placeholder_until_the_first_one_is_there(self):
        manager = ServiceManager()
        self.addCleanup(manager.close)
        self.proxy.start(manager=manager)
        self.assertEqual({e["certificate"] for e in self.proxy.log.all("master.certificate.awaited")},
                         {"mail.test", "other.test"})
        said = self.proxy.log.find("master.certificate.placeholder")
        self.assertEqual((said["level"], said["names"]), ("error", "mail.test, other.test, www.other.test"))
        placeholder = self.shown()
        self.assertEqual(self.shown("other.test"), placeholder)
        self.assertIn("placeholder", self.status()["notice"])
        self.assertIn("placeholder", [words["STATUS"] for words in manager.said if "STATUS" in words][-1])
        self.assertEqual(self.proxy.metric("tls_certificate_not_after_seconds"), 0)
        with self.assertRaises(ssl.SSLCertVerificationError):
            context = ssl.create_default_context(cafile=str(self.authority.ca_file))
            with socket.create_connection(("127.0.0.1", self.proxy.port_implicit), patience(10)) as sock:
                context.wrap_socket(sock, server_hostname="mail.test")
        # A reload makes no other one, and hands nothing out.
        mark = self.reload()
        self.assertEqual(self.shown(), placeholder)
        self.assertEqual(self.proxy.log.all("smtpd.certificate.loaded", mark), [])
        # A session from before lives on.
        old = self.smtp(tls="none", ehlo=True)
        old.ca = None
        old.starttls()
        old.ehlo()
        pids = set(self.proxy.children())
        second = self.issue("other.test")
        self.put("other.test", second)
        begin = time.monotonic()
        self.reload()
        self.assertIn(self.shown(), second)
        self.assertLess(time.monotonic() - begin, patience(1))
        self.assertNotIn("placeholder", self.status()["notice"])
        self.assertNotIn("placeholder", [words["STATUS"] for words in manager.said if "STATUS" in words][-1])
        # The first in the settings' order is for those who name nobody.
        first = self.issue("mail.test")
        self.put("mail.test", first)
        self.reload()
        self.assertIn(self.shown(), first)
        self.assertIn(self.shown("other.test"), second)
        self.assertReply(old.command("NOOP"), 250)
        old.close()
        self.assertEqual(set(self.proxy.children()), pids)
        # What is there is never given up for a placeholder.
        self.clear("mail.test")
        self.clear("other.test")
        mark = self.reload()
        self.assertEqual({e["is_old_kept"] for e in self.proxy.log.all("master.certificate.bad", mark)}, {True})
        self.assertIn(self.shown(), first)


@unittest.skipUnless(IS_ROOT, "the other tests are this one then")
class Unprivileged(FromNothing):
    """All is one ordinary user's."""

    UNPRIVILEGED = True


class Forgotten(StoreCase):
    def test_what_is_in_the_way_of_a_start_and_the_way_out_are_named(self):
        self.proxy.settings["tls"] = {"certificate_file": "/nowhere/tls.pem"}
        self.proxy.write_settings()
        done = run(PROGRAM_MASTER, "-c", self.proxy.config)
        self.assertEqual(done.returncode, 78)
        self.assertIn("/nowhere/tls.pem: No such file", done.stderr)
        self.assertIn('with tls.certificate_file: ""', done.stderr)


class Refusing(StoreCase):
    PLACEHOLDER = "refuse"

    def test_tls_is_refused_until_there_is_one(self):
        self.proxy.start()
        self.assertIsNotNone(self.proxy.log.find("master.certificate.none"))
        self.assertIn("TLS is refused", self.status()["notice"])
        with self.smtp(tls="none", ehlo=False) as s:
            self.assertNotIn("STARTTLS", str(s.command("EHLO client.test")))
            self.assertReply(s.command("STARTTLS"), 454)
        with socket.create_connection(("127.0.0.1", self.proxy.port_implicit), patience(10)) as sock:
            self.assertEqual(sock.recv(10), b"")
        self.assertEqual(self.proxy.ctl("status").returncode, 0)
        self.put("mail.test", "".join(self.authority.issue("mail.test")))
        self.reload()
        with self.smtp(tls="starttls") as s:
            self.assertReply(s.command("NOOP"), 250)
        self.assertNotIn("TLS is refused", self.status()["notice"])


class Hostile(StoreCase):
    """What a cert-renewer in another's hands could put there. The good one stays in use."""

    CERTIFICATES = {"mail.test": ACME, "evil.test": ACME}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.good = cls.issue("mail.test")
        cls.put("mail.test", cls.good)
        cls.proxy.start()

    def refused(self, why):
        failures = self.proxy.metric("tls_certificate_load_failures_total")
        mark = self.reload()
        # cert-renewer may have had it read once more, and the one before, too.
        bad = next((e for e in self.proxy.log.all("master.certificate.bad", mark) if why in e["reason"]), None)
        self.assertIsNotNone(bad, f"no complaint; {self.proxy.log.lines[-8:]}")
        self.assertEqual((bad["certificate"], bad["text"], bad["is_old_kept"]),
                         ("evil.test", "Failed to load certificate", False))
        self.assertIn("/certs/evil.test/tls.pem: ", bad["reason"])
        self.assertGreater(self.proxy.metric("tls_certificate_load_failures_total"), failures)
        self.assertIn(self.shown("evil.test"), self.good)
        checked = run(PROGRAM_MASTER, "-c", self.proxy.config, "-t")
        self.assertEqual(checked.returncode, 78)
        self.assertIn(why, checked.stderr)

    def setUp(self):
        self.clear("evil.test")
        self.addCleanup(self.clear, "evil.test")

    def test_links_lead_nowhere(self):
        outside = self.proxy.directory / "outside"
        outside.mkdir(exist_ok=True)
        (outside / "tls.pem").write_text(self.issue("evil.test"))
        self.own(outside / "tls.pem")
        self.directory(self.store / "evil.test")
        (self.store / "evil.test/tls.pem").symlink_to(outside / "tls.pem")
        self.refused("is a link or of another kind")
        self.clear("evil.test")
        (self.store / "evil.test").symlink_to(outside)
        self.refused("is a link or of another kind")

    def test_only_files_are_read(self):
        self.directory(self.store / "evil.test")
        os.mkfifo(self.store / "evil.test/tls.pem")
        self.own(self.store / "evil.test/tls.pem")
        self.refused("it is not a file")
        (self.store / "evil.test/tls.pem").unlink()
        (self.store / "evil.test/tls.pem").mkdir()
        self.refused("it is not a file")
        self.clear("evil.test")
        (self.store / "evil.test").write_text("no directory")
        self.refused("is a link or of another kind")

    @unittest.skipUnless(IS_ROOT, "needs two users")
    def test_another_users_file_is_not_read(self):
        self.addCleanup(self.forget)
        self.put("evil.test", self.issue("evil.test"))
        os.chown(self.store / "evil.test/tls.pem", 65534, 65534)
        self.refused("it belongs to another user")
        # root's own, as an operator leaves it, is; but not by another name of it.
        os.chown(self.store / "evil.test/tls.pem", 0, 0)
        os.link(self.store / "evil.test/tls.pem", self.store / "evil.test/another")
        self.refused("has another name")
        (self.store / "evil.test/another").unlink()
        mark = self.reload()
        self.assertIsNotNone(self.proxy.log.find("master.certificate.loaded", mark, certificate="evil.test"))

    def forget(self):
        """Taken out of the settings and in again, it is as if it had never been."""
        self.clear("evil.test")
        for certificates in ({"mail.test": ACME}, self.CERTIFICATES):
            self.proxy.settings["certificates"] = certificates
            self.proxy.write_settings()
            self.reload()

    def test_what_is_no_good_certificate_is_not_used(self):
        chain, key = self.authority.issue("evil.test", names="DNS:evil.test")
        other = self.authority.issue("other")[1]
        for what, why in ((b"", "it is empty"), (b"\0" * 5000, "there is no certificate in it"), (b"x" * 100001, "larger than"),
                          (chain, "there is no private key in it"), (chain + other, "does not belong to the first"),
                          ("".join(self.authority.issue("old", -20 * 86400, -86400)), "expired"),
                          ("".join(self.authority.issue("new", 86400)), "not valid before"),
                          (chain + key.replace("M", "N", 3), "")):
            with self.subTest(why):
                self.put("evil.test", what)
                self.refused(why)

    def test_a_response_that_is_not_good_is_not_stapled(self):
        mark = self.reload()
        self.assertIsNone(self.proxy.log.find("master.ocsp.bad", mark))
        for response, why in ((b"garbage", "it is no OCSP response"), (b"x" * 20000, "larger than"),
                              (self.authority.ocsp(self.authority.issue("another")[0]), "another certificate")):
            self.put("mail.test", response, "ocsp.der")
            mark = self.reload()
            self.assertIn(why, self.proxy.log.find("master.ocsp.bad", mark, certificate="mail.test")["reason"])
        self.put("mail.test", self.authority.ocsp(self.good.split("-----BEGIN PRIVATE")[0]), "ocsp.der")
        mark = self.reload()
        self.assertIsNone(self.proxy.log.find("master.ocsp.bad", mark))
        self.assertTrue(self.proxy.log.find("master.certificate.loaded", mark, certificate="mail.test")["has_ocsp"])
        mark = self.reload()
        self.assertIsNotNone(self.proxy.log.find("master.certificate.unchanged", mark, certificate="mail.test"))


class Beside(StoreCase):
    """Files of the operator's, and a cert-renewer in another's hands that would like to be shown in their place."""

    CERTIFICATES = {"evil.test": ACME | {"names": "evil.test more.test"}}

    def test_the_operators_own_names_stay_theirs(self):
        ours = self.issue("mail.test")
        path = self.proxy.directory / "ours.pem"
        path.write_text(ours)
        path.chmod(0o600)
        self.proxy.settings["tls"]["certificate_file"] = str(path)
        self.proxy.write_settings()
        self.put("evil.test", "".join(self.authority.issue("evil.test", names="DNS:evil.test,DNS:mail.test")))
        self.proxy.start()
        bad = self.proxy.log.find("master.certificate.bad", certificate="evil.test")
        self.assertIn("for other names, too", bad["reason"])
        self.assertIn(self.shown("mail.test"), ours)
        self.assertIn(self.shown("evil.test"), ours)
        # One name of two is no reason.
        fewer = self.issue("evil.test")
        self.put("evil.test", fewer)
        self.reload()
        self.assertIn(self.shown("evil.test"), fewer)
        self.assertIn(self.shown("mail.test"), ours)


class Ports(StoreCase):
    CERTIFICATES = {"mail.test": ACME}

    def listening(self, name, mark=0):
        return self.proxy.log.find("master.listening", mark, listener=name)

    def change(self, **certificates):
        self.proxy.settings["certificates"] = {"mail.test": ACME} | certificates
        self.proxy.write_settings()
        return self.reload()

    def refuses(self, port):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) != 0

    def test_they_are_there_while_a_certificate_wants_them(self):
        manager = ServiceManager()
        self.addCleanup(manager.close)
        self.put("mail.test", self.issue("mail.test"))
        self.proxy.start(manager=manager)
        self.assertIsNone(self.listening("acme.http"))
        kept = {"api", "listener.submission", "listener.submissions"}
        self.assertTrue(manager.wait_names(*kept))
        mark = self.change(a={"from": "acme", "names": "a.test"})
        http = self.listening("acme.http", mark)["port"]
        self.assertFalse(self.refuses(http))
        self.assertIsNone(self.listening("acme.alpn"))
        self.assertTrue(manager.wait_names("acme.http", *kept))
        mark = self.change(a={"from": "acme", "names": "a.test"}, b={"from": "acme", "challenge": "tls-alpn-01", "names": "b.test"})
        self.assertIsNone(self.listening("acme.http", mark), "it is bound already")
        alpn = self.listening("acme.alpn", mark)["port"]
        self.assertTrue(manager.wait_names("acme.http", "acme.alpn", *kept))
        # Over an upgrade and a restart by the service manager they are the same ones.
        mark = self.proxy.log.mark()
        self.proxy.ctl("upgrade")
        self.proxy.log.wait("master.upgrade.exec", 60, mark)
        self.proxy.log.wait("master.ready", 60, mark)
        self.assertEqual((self.listening("acme.http", mark)["port"], self.listening("acme.http", mark)["is_inherited"]), (http, True))
        self.assertEqual((self.listening("acme.alpn", mark)["port"], self.listening("acme.alpn", mark)["is_inherited"]), (alpn, True))
        self.proxy.stop()
        self.assertTrue(manager.wait_names("acme.http", "acme.alpn", *kept))
        self.proxy.start(manager=manager)
        self.assertEqual((self.listening("acme.http")["port"], self.listening("acme.http")["is_inherited"]), (http, True))
        # None wants them any more.
        self.change()
        self.assertTrue(manager.wait_names(*kept))
        wait_until(lambda: self.refuses(alpn), 10, "the port to be closed")

    def test_one_that_is_taken_does_not_stop_the_mail(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            other = Proxy(None, {"file": "file"}, {"certificates": {"a": {"from": "acme", "names": "a.test"}},
                                                   "acme": dict(self.proxy.settings["acme"], http_port=taken.getsockname()[1])},
                          authority=self.authority, name="taken-port")
            self.addCleanup(other.close)
            other.start()
            said = other.log.wait("master.challenge.no_port")
            self.assertEqual(said["level"], "error")
            self.assertIn("acme.http: cannot listen on 127.0.0.1 port", said["reason"])
            self.assertIn("cannot listen", other.ctl("status", json_out=True)["notice"])
            with other.smtp() as s:
                self.assertReply(s.command("NOOP"), 250)
        # When it is free it is taken, without anybody's help.
        other.log.wait("master.listening", 30, listener="acme.http")
        wait_until(lambda: other.ctl("status", json_out=True)["notice"].count("cannot listen") == 0, 10, "the notice to go")
        self.assertEqual(len(other.log.all("master.challenge.no_port")), 1)


@unittest.skipUnless(IS_ROOT, "the variables of a process are its user's to read, and it has shut itself off")
class Surroundings(StoreCase):
    @classmethod
    def environment(cls):
        return {"AWS_ACCESS_KEY_ID": "AKIAOFTHETEST", "SP_OF_MASTER": "secret"}

    def variables(self, role):
        text = pathlib.Path(f"/proc/{self.proxy.child(role)}/environ").read_bytes()
        return {v.split(b"=")[0].decode() for v in text.split(b"\0") if v}

    def test_cert_renewer_gets_the_variables_of_aws_when_it_needs_them(self):
        self.put("mail.test", self.issue("mail.test"))
        self.proxy.start()
        self.assertNotIn("AWS_ACCESS_KEY_ID", self.variables("cert-renewer"))
        self.proxy.stop()
        self.proxy.settings["acme"]["backup_s3"] = "s3://bucket"
        self.proxy.settings["aws"] = {"s3_endpoint": "http://127.0.0.1:1", "credentials": "environment"}
        self.proxy.write_settings()
        self.proxy.start()
        self.assertIn("AWS_ACCESS_KEY_ID", self.variables("cert-renewer"))
        self.assertNotIn("SP_OF_MASTER", self.variables("cert-renewer"))
        for role in ("smtpd", "gate", "qmgr", "deliver", "api"):
            self.assertNotIn("AWS_ACCESS_KEY_ID", self.variables(role))


if __name__ == "__main__":
    unittest.main()
