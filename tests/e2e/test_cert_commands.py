# SPDX-License-Identifier: Apache-2.0
"""smtp-proxyctl cert: what operators and their monitoring see of certificates, from files and from the store."""
import copy
import datetime
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
import unittest

from tests.support.base import PROGRAM_CTL, free_port, ordinary_user, run, wait_until
from tests.support.acme_case import AcmeCase
from tests.support.case import ProxyCase
from tests.support.cluster import Cluster

DAY = 86400


class Contains:
    """Equal to every text with this in it."""

    def __init__(self, words):
        self.words = words

    def __eq__(self, text):
        return self.words in text

    def __repr__(self):
        return f"...{self.words}..."


class Answering(http.server.HTTPServer):
    """A web server that gives one answer."""

    def __init__(self, status):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()

            def log_message(self, *args):
                pass
        super().__init__(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self.server_port

    def __exit__(self, *args):
        self.shutdown()
        self.server_close()


class CertCase(ProxyCase):
    START = False
    SETTINGS = {"certificates": {}}

    @classmethod
    def providers(cls):
        return {"file": "file"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.install()
        cls.proxy.write_settings()
        cls.proxy.start()

    @classmethod
    def install(cls):
        pass

    @classmethod
    def put(cls, name, *args, **more):
        """A file with chain and key, replaced as whoever renews it would."""
        new = cls.proxy.tls / (name + ".new")
        new.write_text("".join(cls.authority.issue(*args, **more)))
        new.chmod(0o600)
        new.rename(cls.proxy.tls / name)
        return str(cls.proxy.tls / name)

    @classmethod
    def store(cls, key, text):
        """What cert-renewer would have stored."""
        directory = cls.proxy.directory / "state" / "certs" / key
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "tls.pem"
        path.write_text(text)
        for one in (path, directory, directory.parent):
            one.chmod(0o600 if one == path else 0o700)
            shutil.chown(one, cls.owner(), cls.owner())
        return path

    @classmethod
    def owner(cls):
        return "_sp-cert-renewer" if os.getuid() == 0 else ordinary_user()

    def rows(self, *args, status=0):
        done = self.proxy.ctl("--json", "cert", *args, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def check(self, *args, status=0):
        done = self.proxy.ctl("cert", "check", *args, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("\n"), 1, "one line")
        return done.stdout.strip()

    def doctor(self, check):
        done = self.proxy.ctl("--json", "doctor", check=False)
        return [row for row in map(json.loads, done.stdout.splitlines()) if row["check"] == check]

    def results(self, key, status=0):
        return {row["slot"]: row["result"] for row in self.rows("status", status=status) if row["key"] == key}


class Files(CertCase):
    @classmethod
    def install(cls):
        cls.proxy.settings["certificates"]["shop"] = {"certificate_file": cls.put("shop.pem", "shop", names="DNS:shop.test")}

    def serial(self, name):
        text = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", self.proxy.tls / name], capture_output=True,
                              text=True, check=True).stdout
        return text.strip().split("=")[1]

    def test_list_shows_all(self):
        first, shop = self.rows("list")
        self.assertEqual((first["key"], first["from"], first["state"]), ("tls.certificate_file", "files", "valid"))
        self.assertIn(first["days"], (29, 30))
        self.assertEqual((shop["key"], shop["names"], shop["serial"]), ("shop", "shop.test", self.serial("shop.pem")))
        self.assertRegex(shop["fingerprint"], "^[0-9a-f]{64}$")
        self.assertIn("VALID UNTIL", self.proxy.ctl("cert", "list").stdout)

    def test_metrics_tell_how_long_it_is_good(self):
        (row,) = (row for row in self.rows("list") if row["key"] == "shop")
        self.assertIn(self.proxy.metric("certificate_days_left", certificate="shop"), (29, 30))
        end = datetime.datetime.fromisoformat(row["not_after"].replace("Z", "+00:00")).timestamp()
        self.assertEqual(self.proxy.metric("certificate_not_after_seconds", certificate="shop"), end)

    def test_the_service_s_status_names_the_first(self):
        self.assertRegex(self.proxy.ctl("status").stdout, r"certificate: +CN=first, and 1 more")
        status = self.proxy.ctl("status", json_out=True)
        self.assertEqual([c["key"] for c in status["certificates"]], ["", "shop"])
        self.assertFalse(status["is_placeholder"])

    def test_status_compares_the_disk_with_every_worker(self):
        self.assertEqual(self.results("shop"), {0: "serves it", 1: "serves it"})
        was = self.serial("shop.pem")
        self.put("shop.pem", "shop", names="DNS:shop.test")
        self.assertEqual(self.results("shop", 1), {n: f"serves another: {was}" for n in (0, 1)})
        self.assertEqual(self.results("tls.certificate_file", 1), {n: "serves it" for n in (0, 1)})
        people = self.proxy.ctl("cert", "status", check=False)
        self.assertEqual(people.returncode, 1)
        self.assertIn(f"serves another: {was}", people.stdout)
        self.assertEqual([r["level"] for r in self.doctor("tls.served")], ["ok", "warning"])
        self.assertTrue(self.proxy.reload())
        self.assertEqual(self.results("shop"), {n: "serves it" for n in (0, 1)})

    def test_status_of_one_that_was_not_taken_into_use(self):
        self.addCleanup(self.proxy.write_settings)
        self.addCleanup(self.proxy.settings["certificates"].pop, "new")
        self.proxy.settings["certificates"]["new"] = {"certificate_file": self.put("new.pem", "new", names="DNS:new.test")}
        self.proxy.write_settings()
        self.assertEqual(self.results("new", 1), {n: "does not serve it" for n in (0, 1)})
        (self.proxy.tls / "new.pem").write_text("nothing\n")
        (broken,) = self.results("new", 1).values()
        self.assertIn("new.pem", broken)
        self.assertIn("no certificate", broken)

    def test_status_of_one_that_is_not_on_the_disk_any_more(self):
        kept = self.proxy.settings["certificates"].pop("shop")
        self.proxy.write_settings()
        try:
            strangers = self.results("", 1)
        finally:
            self.proxy.settings["certificates"]["shop"] = kept
            self.proxy.write_settings()
        self.assertEqual(strangers, {n: f"serves {self.serial('shop.pem')} for shop.test, which is not on the disk" for n in (0, 1)})

    def test_check_names_the_worst(self):
        self.assertRegex(self.check(), r"^OK - (shop|tls.certificate_file) (29|30) days \(of 2\) \| 'tls.certificate_file'=\d+;6:;3: 'shop'=\d+;6:;3:$")
        self.assertRegex(self.check("--warn", "40d", status=1), "^WARNING - ")
        self.assertRegex(self.check("--warn", "40d", "--critical", "30d", status=2), "^CRITICAL - ")
        for start, end, status, words in (
                (-80 * DAY, 10.5 * DAY, 1, "WARNING - soon 10 days"),
                (-85 * DAY, 5.5 * DAY, 2, "CRITICAL - soon 5 days"),
                (-9 * DAY, -DAY, 2, "CRITICAL - soon has expired"),
                (DAY, 9 * DAY, 2, "CRITICAL - soon is not valid yet"),
                # One of six days is renewed when two are left.
                (-3 * DAY, 3.5 * DAY, 0, "OK - soon 3 days")):
            with self.subTest(words):
                self.with_one_more("soon", self.put("soon.pem", "soon", start, end, "DNS:soon.test"), status, words)
        broken = self.proxy.tls / "soon.pem"
        broken.write_text("nothing\n")
        self.with_one_more("soon", str(broken), 2, "CRITICAL - soon: ")
        self.with_one_more("soon", str(self.proxy.tls / "none.pem"), 2, "No such file")

    def with_one_more(self, key, path, status, words):
        self.proxy.settings["certificates"][key] = {"certificate_file": path}
        self.proxy.write_settings()
        try:
            self.assertIn(words, self.check(status=status))
        finally:
            del self.proxy.settings["certificates"][key]
            self.proxy.write_settings()

    def test_check_looks_at_hosts(self):
        starttls, implicit = f"127.0.0.1:{self.proxy.port}", f"127.0.0.1:{self.proxy.port_implicit}"
        self.assertRegex(self.check("--host", starttls), f"'{starttls}'=(29|30);")
        # Which of its ports speaks TLS at once is in the settings, when they name it.
        self.proxy.settings["listeners"]["submissions"]["port"] = self.proxy.port_implicit
        self.proxy.write_settings()
        self.addCleanup(self.proxy.write_settings)
        self.addCleanup(self.proxy.settings["listeners"]["submissions"].update, {"port": 0})
        both = self.check("--host", starttls, f"--host={implicit}")
        self.assertIn("(of 4)", both)
        self.assertRegex(both, f"'{implicit}'=(29|30);")
        self.assertRegex(self.check("--host", "127.0.0.1:1", status=2), "^CRITICAL - 127.0.0.1:1: ")
        for bad in ("127.0.0.1:x", "127.0.0.1:0", ":25", "[::1"):
            self.assertEqual(self.proxy.ctl("cert", "check", "--host", bad, check=False).returncode, 64, bad)

    def test_check_without_settings_is_unknown(self):
        done = run(PROGRAM_CTL, "-c", self.proxy.directory / "none.yaml", "cert", "check")
        self.assertEqual((done.returncode, done.stdout[:10]), (3, "UNKNOWN - "), done.stdout + done.stderr)
        row = self.rows("check")[0]
        self.assertEqual((row["result"], row["checked"]), ("OK", 2))

    def test_files_are_renewed_by_others(self):
        for command in (("renew", "shop"), ("revoke", "shop", "--yes")):
            done = self.proxy.ctl("cert", *command, check=False)
            self.assertEqual(done.returncode, 65)
            self.assertIn("comes from files", done.stderr)
        self.assertIn("no such certificate", self.proxy.ctl("cert", "renew", "nobody", check=False).stderr)

    @unittest.skipIf(os.getuid() != 0, "only root can be another user")
    def test_whoever_may_not_read_is_told_so(self):
        config = self.proxy.directory / "open.yaml"
        shutil.copy(self.proxy.config, config)
        config.chmod(0o644)
        for command, status, words in (("status", 77, "you may not read it; ask as root"), ("check", 3, "UNKNOWN - "),
                                       ("list", 0, "you may not read it; ask as root")):
            done = run(PROGRAM_CTL, "-c", config, "cert", command, user=ordinary_user())
            self.assertEqual(done.returncode, status, done.stdout + done.stderr)
            self.assertIn(words, done.stdout + done.stderr)


class Store(CertCase):
    """cert-renewer has nobody to ask here: what is in the store the test has put there."""

    KEY = "smtp.example.test"

    @classmethod
    def install(cls):
        cls.proxy.settings["tls"] = {"certificate_file": ""}
        cls.proxy.settings["acme"] = {"directory": "https://127.0.0.1:1/dir", "agree_to_terms": True, "dns_hook": "/bin/false"}
        cls.proxy.settings["certificates"][cls.KEY] = {"from": "acme", "challenge": "dns-01"}

    def test_before_and_after_there_is_one(self):
        none = self.results(self.KEY, 1)
        self.assertEqual(none, {None: "there is none yet"})
        self.assertIn("which is not on the disk", " ".join(self.results("", 1).values()))
        self.assertRegex(self.proxy.ctl("status").stdout, "certificate: +none yet")
        self.assertIn(f"CRITICAL - {self.KEY}: there is none yet", self.check(status=2))
        self.assertIn("(of 2)", self.check("--host", f"127.0.0.1:{self.proxy.port}", status=2))
        self.store(self.KEY, "".join(self.authority.issue("stored", names=f"DNS:{self.KEY}")))
        self.assertTrue(self.proxy.reload())
        self.assertEqual(self.results(self.KEY), {n: "serves it" for n in (0, 1)})
        self.assertIn("OK - ", self.check())
        (row,) = self.rows("list")
        self.assertEqual((row["key"], row["from"], row["names"]), (self.KEY, "acme", self.KEY))

    def test_links_in_the_store_are_not_followed(self):
        self.store(self.KEY, "".join(self.authority.issue("stored", names=f"DNS:{self.KEY}")))
        directory = self.store("other", "x").parent
        secret = self.proxy.directory / "secret.pem"
        secret.write_text("".join(self.authority.issue("secret", names="DNS:secret.test")))
        self.proxy.settings["certificates"]["other"] = {"from": "acme", "challenge": "dns-01"}
        self.proxy.write_settings()
        self.addCleanup(self.proxy.write_settings)
        self.addCleanup(self.proxy.settings["certificates"].pop, "other")
        self.assertIn("no certificate in it", self.check(status=2))
        (directory / "tls.pem").unlink()
        (directory / "tls.pem").symlink_to(secret)
        self.assertIn("is a link", self.check(status=2))
        (directory / "tls.pem").unlink()
        os.mkfifo(directory / "tls.pem")
        self.assertIn("it is not a file", self.check(status=2))

    @unittest.skipIf(os.getuid() != 0, "only root has the other user")
    def test_doctor_looks_at_the_store(self):
        path = self.store(self.KEY, "".join(self.authority.issue("stored", names=f"DNS:{self.KEY}")))
        self.assertEqual([row["level"] for row in self.doctor("tls.certificate") + self.doctor("tls.key")], ["ok", "ok"])
        path.chmod(0o622)
        (row,) = self.doctor("tls.key")
        self.assertEqual((row["level"], row["advice"]), ("error", "chmod 600"))
        path.chmod(0o600)
        shutil.chown(path, ordinary_user())
        (row,) = self.doctor("tls.key")
        self.assertIn("belongs to another user", row["what"])
        path.unlink()
        (row,) = self.doctor("tls.certificate")
        self.assertEqual((row["level"], row["what"]), ("warning", f"{self.KEY}: there is none yet"))

    def test_doctor_looks_at_what_is_needed_one_day(self):
        program = self.scratch.path / "program"
        program.write_text("#!/bin/sh\n")
        before = copy.deepcopy(self.proxy.settings)
        self.proxy.settings.setdefault("acme", {}).update({"dns_hook": str(program), "webroot": str(program)})
        self.proxy.settings["alerts"] = {"command": "/nowhere/tell"}
        self.proxy.write_settings()
        try:
            for mode, hook in ((0o644, "it is no program that can be run"), (0o777, "others may change it"), (0o755, None)):
                program.chmod(mode)
                words = [r["what"] for r in self.doctor("cert.files") if r["level"] == "error"]
                with self.subTest(oct(mode)):
                    self.assertEqual(words, [f"acme.dns_hook {program}: {hook}"] * (hook is not None) + [
                        "alerts.command /nowhere/tell: No such file or directory", f"acme.webroot {program}: it is no directory"])
        finally:
            self.proxy.settings = before
            self.proxy.write_settings()

    def test_doctor_asks_for_a_challenge(self):
        kept = dict(self.proxy.settings["acme"]), dict(self.proxy.settings["certificates"][self.KEY])
        self.proxy.settings["certificates"][self.KEY]["challenge"] = "http-01"

        def found(port):
            self.proxy.settings["acme"].update({"http_port": port, "http_address": "127.0.0.1"})
            self.proxy.write_settings()
            (row,) = self.doctor("cert.http_port")
            return row["level"], row["what"]
        try:
            self.assertEqual(found(free_port()), ("error", Contains("Connection refused")))
            for status, level in ((404, "ok"), (200, "warning")):
                with Answering(status) as port:
                    self.assertEqual(found(port), (level, Contains(str(port))))
            # It speaks no HTTP.
            self.assertEqual(found(self.proxy.port)[0], "warning")
        finally:
            self.proxy.settings["acme"], self.proxy.settings["certificates"][self.KEY] = kept
            self.proxy.write_settings()

    def test_revoking_wants_to_be_meant(self):
        done = self.proxy.ctl("cert", "revoke", self.KEY, "--reason", "keyCompromise", input="", check=False)
        self.assertEqual(done.returncode, 64)
        self.assertIn("--yes", done.stderr)
        done = self.proxy.ctl("cert", "revoke", self.KEY, "--reason", "boredom", "--yes", check=False)
        self.assertEqual(done.returncode, 64)
        self.assertIn("keyCompromise", done.stderr)

    def test_check_works_when_the_service_is_down(self):
        self.store(self.KEY, "".join(self.authority.issue("stored", names=f"DNS:{self.KEY}")))
        self.assertEqual(self.proxy.stop(), 0)
        try:
            self.assertRegex(self.check(), rf"^OK - {re.escape(self.KEY)} (29|30) days")
            done = self.proxy.ctl("cert", "list")
            self.assertIn("this is what is on the disk", done.stderr)
            self.assertIn("valid", done.stdout)
            done = self.proxy.ctl("cert", "status", check=False)
            self.assertEqual(done.returncode, 69)
            self.assertIn("not running", done.stderr)
        finally:
            self.proxy.start()


class Renewed(AcmeCase):
    """With an authority, and a database that hosts share."""

    KEY = "smtp.example.test"
    CERTIFICATES = {KEY: {}, "other.test": {}}
    START = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.close)
        proxy = cls.acme.proxy
        proxy.cluster = cls.cluster
        proxy.settings["database"] |= {
            "host": cls.cluster.address, "port": cls.cluster.port, "admin_password": cls.cluster.admin_password,
            "queue_password": cls.cluster.queue_password, "gate_password": cls.cluster.gate_password}
        proxy.settings["acme"]["backup_directory"] = str(proxy.scratch.sub("backup", 0o777))
        proxy.write_settings()
        proxy.migrate()
        cls.acme.start()
        for key in cls.CERTIFICATES:
            cls.acme.await_valid(key)

    def cert(self, *args, status=0):
        done = self.acme.ctl("cert", *args, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_list_tells_all_that_is_known(self):
        row = self.acme.row(self.KEY)
        self.assertEqual((row["from"], row["challenge"], row["names"], row["failures"]), ("acme", "http-01", self.KEY, 0))
        self.assertRegex(row["fingerprint"], "^[0-9a-f]{64}$")
        self.assertGreater(row["not_after"], row["renew_at"])
        self.assertGreaterEqual(row["renew_at"], row["last_success"])
        self.assertTrue(row["renew_why"])
        self.assertEqual(row["last_error_at"], 0)
        for name, value in (("certificate_renewals_total", 1), ("certificate_failures_in_a_row", 0),
                            ("certificate_days_left", row["days"])):
            self.assertGreaterEqual(self.acme.metric(name, certificate=self.KEY), value, name)

    def test_waiting_for_the_new_one(self):
        before = self.acme.row(self.KEY)
        self.assertIn("is renewed: it is valid until 20", self.cert("renew", self.KEY, "--wait"))
        after = self.acme.row(self.KEY)
        self.assertNotEqual(after["fingerprint"], before["fingerprint"])
        wait_until(lambda: self.acme.ctl("cert", "status", check=False).returncode == 0, 20, "all workers")
        self.assertIn("OK - ", self.cert("check"))
        # The other hosts hear of it, and may be at it again.
        wait_until(lambda: self.cluster.sql(f"SELECT value FROM share WHERE name = 'current/{self.KEY}'") == [[after["fingerprint"]]],
                   20, "the fingerprint that is shared")
        wait_until(lambda: self.cluster.one("SELECT count(*) FROM share WHERE name LIKE 'lock/%'") == "0", 20, "the end of the lock")

    def test_waiting_for_a_failure(self):
        before = self.acme.row("other.test")
        self.ca.dns.set_default("")
        try:
            said = self.cert("renew", "other.test", "--wait", status=69)
        finally:
            self.ca.dns.set_default("127.0.0.1")
        self.assertIn("other.test: ", said)
        row = self.acme.row("other.test")
        self.assertIn(row["last_error"], said)
        self.assertEqual((row["fingerprint"], row["state"]), (before["fingerprint"], "failing"))
        done = self.acme.ctl("--json", "doctor", check=False)
        failing = [r for r in map(json.loads, done.stdout.splitlines()) if r["check"] == "cert.renewal" and "other.test" in r["what"]]
        self.assertEqual([r["level"] for r in failing], ["warning"])
        self.assertIn(row["last_error"][:40], failing[0]["what"])
        self.assertIn("is renewed", self.cert("renew", "other.test", "--wait"))
        self.assertEqual(self.acme.row("other.test")["failures"], 0)

    def test_doctor_finds_it_well(self):
        done = self.acme.ctl("--json", "doctor", check=False)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual({r["level"] for r in rows if r["check"] in ("cert.http_port", "tls.certificate", "tls.key")}, {"ok"}, rows)
        self.assertTrue([r for r in rows if r["check"] == "cert.http_port"])
