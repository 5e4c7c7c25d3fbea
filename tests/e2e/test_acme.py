# SPDX-License-Identifier: Apache-2.0
"""Certificates by ACME from an authority that somebody else wrote (pebble), in the mood it is in by default: it refuses good
nonces now and then, and takes its time with validations."""
import socket
import ssl
import stat
import subprocess
import unittest
import urllib.error
import urllib.request

from tests.support.acme_case import Acme, AcmeCase, certificates_of, looked_at
from tests.support.base import EVIDENCE, IS_ROOT, wait_until
from tests.support.pebble import Pebble
from tests.support.smtp import Smtp
from tests.support.standin import OcspResponder

RSA_ONLY = "ECDHE-RSA-AES128-GCM-SHA256"
HTTP_01 = "/.well-known/acme-challenge/"


def asked(port, path):
    """The status of an answer, or None when nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        return e.code
    except urllib.error.URLError:
        return None


class FirstStart(AcmeCase):
    """From nothing to certificates of every kind. The authority stands still until clients have seen what there is without it."""

    PEBBLE = {"eab": True, "sleep": 1, "chains": 1}
    START = False

    @classmethod
    def authority_for_tests(cls):
        cls.responder = OcspResponder(cls.scratch.sub("ocsp"))
        cls.addClassCleanup(cls.responder.close)
        ca = Pebble(cls.tls_authority, ocsp_url=cls.responder.url, **cls.PEBBLE)
        cls.responder.issuer(ca.intermediate(), ca.intermediate_key())
        return ca

    @classmethod
    def certificates(cls):
        return {"mail.test": {},
                "several": {"names": "several.test www.several.test third.test", "challenge": "tls-alpn-01", "key_type": "rsa"},
                "wild": {"names": "wild.test *.wild.test", "challenge": "dns-01"},
                "chain.test": {"preferred_chain": looked_at(cls.ca.root(1))["issuer"]}}

    @classmethod
    def settings(cls):
        return {"acme": {"dns_hook": cls.ca.dns.hook(cls.scratch.path), "dns_check": cls.ca.dns.address, "dns_wait": "20s"}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ca.pause()
        cls.acme.start()
        cls.addClassCleanup(cls.ca.resume)
        cls.children = set(cls.acme.children())
        cls.placeholder = {name: cls.acme.served(name) for name in (None, "mail.test", "wild.test", "elsewhere.test")}
        cls.early = Smtp(cls.acme.port)
        cls.addClassCleanup(cls.early.close)
        cls.before = cls.acme.certificates()
        cls.status_before = cls.acme.ctl("cert", "status", check=False)
        cls.ca.resume()
        cls.rows = {key: cls.acme.await_valid(key, 90) for key in cls.certificates()}
        for key in cls.rows:
            cls.acme.await_served(key if "." in key else f"{key}.test", key)
        cls.roots = [cls.ca.root(0), cls.ca.root(1)]

    def test_until_then_clients_are_shown_one_that_nobody_vouches_for(self):
        self.assertEqual(len(set(self.placeholder.values())), 1)
        found = looked_at(self.placeholder[None])
        self.assertNotIn("Pebble", found["issuer"])
        for key, row in self.before.items():
            self.assertNotEqual(row["state"], "valid")
            self.assertFalse(row["serial"])

    def test_nothing_was_started_again_and_no_session_ended(self):
        self.assertEqual(set(self.acme.children()), self.children)
        self.assertEqual(self.early.command("NOOP").code, 250)
        self.assertEqual(ssl.DER_cert_to_PEM_cert(self.early.sock.getpeercert(binary_form=True)), self.placeholder[None])

    def test_each_name_is_shown_its_certificate(self):
        for key, names in (("mail.test", ["mail.test"]), ("several", ["several.test", "www.several.test", "third.test"]),
                           ("wild", ["wild.test", "x.wild.test"])):
            for name in names:
                with self.subTest(name):
                    shown = self.acme.served(name, self.roots[0])
                    self.assertEqual(looked_at(shown)["serial"], self.rows[key]["serial"].lower().lstrip("0"))
        self.assertEqual(self.acme.served("elsewhere.test"), self.acme.served("mail.test"), "the first is for all others")

    def test_a_certificate_has_the_names_and_key_that_were_wished(self):
        for key, names, kind in (("mail.test", ["mail.test"], "ecdsa"), ("wild", ["*.wild.test", "wild.test"], "ecdsa"),
                                 ("several", ["several.test", "third.test", "www.several.test"], "rsa")):
            with self.subTest(key):
                found = looked_at(self.acme.pem(key))
                self.assertEqual((found["names"], found["key"]), (names, kind))
        self.acme.served("third.test", self.roots[0], ciphers=RSA_ONLY)

    def test_of_several_chains_the_preferred_one_is_taken(self):
        for key, root in (("chain.test", 1), ("mail.test", 0)):
            chain = certificates_of(self.acme.pem(key))
            self.assertEqual(looked_at(chain[-1])["issuer"], looked_at(self.roots[root])["issuer"])
        self.acme.served("chain.test", self.roots[1])

    def test_what_operators_see(self):
        row = self.rows["several"]
        found = looked_at(self.acme.pem("several"))
        self.assertEqual(row["challenge"], "tls-alpn-01")
        self.assertEqual(row["names"], "several.test www.several.test third.test")
        self.assertEqual(row["not_after"], found["end"])
        self.assertGreater(row["renew_at"], row["not_before"])
        self.assertLess(row["renew_at"], row["not_after"])
        self.assertEqual((row["failures"], row["last_error"]), (0, ""))
        self.assertIn("several.test", self.acme.ctl("cert", "list").stdout)
        self.assertEqual(self.acme.ctl("cert", "status").returncode, 0)
        self.assertEqual(self.acme.ctl("cert", "check").returncode, 0)
        self.assertNotEqual(self.status_before.returncode, 0, "a placeholder is nothing to be content with")

    def test_ocsp_responses_are_stapled(self):
        for key, name in (("mail.test", "mail.test"), ("several", "third.test")):
            self.acme.await_row(key, lambda r: r["ocsp"] == "good")
            wait_until(lambda: self.acme.stapled(name) == "good", 10, f"a stapled response for {name}")
        self.assertEqual(self.responder.violations, [])

    def test_metrics(self):
        for key, row in self.rows.items():
            self.assertEqual(self.acme.metric("certificate_not_after_seconds", certificate=key), row["not_after"])
            self.assertEqual(self.acme.metric("certificate_failures_in_a_row", certificate=key), 0)

    def test_keys_are_for_cert_renewer_only(self):
        for path in self.acme.store("x").parent.rglob("*"):
            with self.subTest(path):
                mode = stat.S_IMODE(path.stat().st_mode)
                self.assertEqual(mode, 0o700 if path.is_dir() else 0o600)
                if IS_ROOT:
                    self.assertEqual(path.owner(), "_sp-cert-renewer")
        self.assertEqual(len({looked_at(self.acme.pem(key))["serial"] for key in self.rows}), 4)

    def test_nothing_is_left_where_the_authority_looked(self):
        for name in ("wild.test",):
            self.assertEqual(self.ca.dns.txt(f"_acme-challenge.{name}."), [])
        self.assertEqual(asked(self.ca.http_port, HTTP_01 + "x"), 404)
        self.assertEqual(asked(self.ca.http_port, "/"), 404)
        context = ssl._create_unverified_context()
        context.set_alpn_protocols(["acme-tls/1"])
        with self.assertRaises((ssl.SSLError, OSError)):
            with socket.create_connection(("127.0.0.1", self.ca.alpn_port), 10) as sock:
                context.wrap_socket(sock, server_hostname="several.test")

    def test_no_key_is_in_any_log(self):
        self.acme.note_secrets()
        self.assertEqual([leak for leak in EVIDENCE.leaks() if leak[2] in self.acme.secrets], [])


class Changes(AcmeCase):
    """What operators do to certificates while the service runs. Half of the good nonces are refused."""

    PEBBLE = {"reject": 50}
    CERTIFICATES = {"mail.test": {}}
    SETTINGS = {"acme": {"history": 2}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.acme.await_valid("mail.test")

    def setUp(self):
        self.row = self.acme.await_valid("mail.test")

    def renewed(self, before):
        row = self.acme.await_valid("mail.test", other_than=before["serial"])
        self.acme.await_served("mail.test")
        return row

    def test_renew_when_asked(self):
        for _ in range(3):
            before = self.acme.pem("mail.test")
            row = self.acme.await_valid("mail.test")
            self.acme.renew("mail.test")
            self.renewed(row)
            after = self.acme.pem("mail.test")
            self.assertNotEqual(before.split("-----BEGIN CERT")[0], after.split("-----BEGIN CERT")[0], "the key is another one")
        kept = self.acme.history("mail.test")
        self.assertEqual(len(kept), 2)
        self.assertEqual((self.acme.store("mail.test") / "history" / kept[-1]).read_text(), before)

    def test_revoke(self):
        self.acme.ctl("cert", "revoke", "mail.test", "--reason", "superseded", "--yes")
        self.renewed(self.row)
        self.assertEqual(self.ca.status(self.row["serial"])["Status"], "Revoked")
        self.assertEqual(self.ca.status(self.row["serial"])["Reason"], 4)
        self.assertEqual(self.acme.ctl("cert", "revoke", "mail.test", "--reason", "boredom", "--yes", check=False).returncode, 64)

    def test_another_account_key(self):
        keys = {p: p.read_bytes() for p in self.acme.store(".accounts").glob("*.pem")}
        self.assertEqual(len(keys), 1)
        self.acme.ctl("cert", "rollover")
        wait_until(lambda: next(iter(keys)).read_bytes() != next(iter(keys.values())), 20, "another account key")
        self.acme.renew("mail.test")
        self.renewed(self.row)

    def test_a_certificate_is_added_and_taken_away_by_reload(self):
        children = set(self.acme.children())
        before = dict(self.acme.settings["certificates"])
        self.acme.settings["certificates"] = before | {"added.test": {"from": "acme"}}
        self.acme.write_settings()
        self.assertTrue(self.acme.reload())
        self.acme.await_valid("added.test")
        self.acme.await_served("added.test")
        self.acme.settings["certificates"] = before
        self.acme.write_settings()
        self.assertTrue(self.acme.reload())
        self.assertEqual(looked_at(self.acme.served("added.test"))["names"], ["mail.test"])
        self.assertNotIn("added.test", self.acme.certificates())
        self.assertTrue(self.acme.pem("added.test"), "what is no longer wanted stays in its place")
        self.assertEqual(set(self.acme.children()), children)

    def test_other_names_are_another_certificate(self):
        before = dict(self.acme.settings["certificates"])
        self.acme.settings["certificates"] = {"mail.test": {"from": "acme", "names": "mail.test more.test"}}
        self.acme.write_settings()
        self.assertTrue(self.acme.reload())
        self.renewed(self.row)
        self.assertEqual(looked_at(self.acme.served("more.test"))["names"], ["mail.test", "more.test"])
        self.acme.settings["certificates"] = before
        self.acme.write_settings()
        self.acme.reload()

    def test_a_start_with_a_certificate_needs_no_authority(self):
        pem = self.acme.pem("mail.test")
        self.acme.stop()
        self.ca.pause()
        try:
            self.acme.start()
            self.assertIn(self.acme.served("mail.test"), pem)
        finally:
            self.ca.resume()

    def test_an_upgrade_takes_the_port_of_challenges_along(self):
        mark = self.acme.log.mark()
        self.acme.ctl("upgrade", "--wait")
        taken = self.acme.log.wait("master.listening", since=mark, listener="acme.http")
        self.assertEqual((taken["port"], taken["is_inherited"]), (self.ca.http_port, True))
        self.assertIn(self.acme.served("mail.test"), self.acme.pem("mail.test"))
        self.acme.renew("mail.test")
        self.renewed(self.row)

    def test_unknown_certificates_are_told_apart(self):
        for words in (("renew", "nothing.test"), ("revoke", "nothing.test", "--yes")):
            done = self.acme.ctl("cert", *words, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("nothing.test", done.stderr)


class Settings(AcmeCase):
    """Settings that need a start of their own, at one authority."""

    PEBBLE = {"eab": True, "blocked": ["blocked.test"]}
    START = False

    def other(self, certificates, settings=None, start=True):
        acme = Acme(self.ca, certificates, settings)
        self.addCleanup(acme.close)
        return acme.start() if start else acme

    def test_refuse_instead_of_a_placeholder(self):
        self.ca.pause()
        self.addCleanup(self.ca.resume)
        acme = self.other({"mail.test": {}}, {"tls": {"placeholder": "refuse"}})
        s = Smtp(acme.port, tls=None)
        self.addCleanup(s.close)
        self.assertEqual(s.command("STARTTLS").code, 454)
        with self.assertRaises((ssl.SSLError, OSError)):
            acme.served("mail.test")
        self.ca.resume()
        acme.await_valid("mail.test")
        acme.log.wait("smtpd.certificate.loaded")
        acme.served("mail.test", self.ca.root())
        self.assertEqual(s.command("STARTTLS").code, 220, "in a session that was told 454 before, too")

    def test_a_wrong_binding_is_told_and_no_account_made(self):
        for settings, words in (({"eab_key_id": "", "eab_key": ""}, "external account binding"),
                                ({"eab_key": "A" * 43}, "unauthorized")):
            with self.subTest(settings):
                acme = self.other({"mail.test": {}}, {"acme": settings})
                row = acme.await_row("mail.test", lambda r: r["last_error"])
                self.assertIn(words, row["last_error"])
                self.assertNotEqual(row["state"], "valid")
                self.assertEqual(list(acme.store(".accounts").glob("*.url")), [])
                acme.stop()

    def test_the_authoritys_refusal_is_told_in_its_words(self):
        acme = self.other({"blocked.test": {}})
        row = acme.await_row("blocked.test", lambda r: r["last_error"])
        self.assertIn("rejectedIdentifier", row["last_error"])

    def test_webroot(self):
        root = self.scratch.sub("webroot", 0o777)
        server = subprocess.Popen(["python3", "-m", "http.server", "-b", "127.0.0.1", "-d", root, str(self.ca.http_port)],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        wait_until(lambda: asked(self.ca.http_port, "/"), 20, "a web server")
        acme = self.other({"mail.test": {}}, {"acme": {"webroot": str(root)}})
        acme.await_valid("mail.test")
        wait_until(lambda: not list((root / ".well-known/acme-challenge").glob("*")), 10, "an empty directory")

    def test_a_port_that_is_taken_is_said_and_nothing_else_suffers(self):
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", self.ca.http_port))
            taken.listen()
            acme = self.other({"mail.test": {}, "alpn.test": {"challenge": "tls-alpn-01"}})
            acme.await_valid("alpn.test")
            with Smtp(acme.port) as s:
                self.assertEqual(s.command("NOOP").code, 250)
            said = [line for line in acme.log.lines if "Address already in use" in line]
            self.assertTrue(said)

    def test_as_an_ordinary_user(self):
        if not IS_ROOT:
            self.skipTest("all the others did it")
        acme = Acme(self.ca, {"mail.test": {}}, unprivileged=True)
        self.addCleanup(acme.close)
        acme.start()
        acme.await_valid("mail.test")
        acme.await_served("mail.test")
        acme.served("mail.test", self.ca.root())


if __name__ == "__main__":
    unittest.main()
