# SPDX-License-Identifier: Apache-2.0
"""How the processes live and die: reload, certificates, crashes of each, draining, and that nothing is left over."""
import json
import os
import pathlib
import secrets
import signal
import socket
import ssl
import tempfile
import threading
import time
import unittest

from tests.support import mail
from tests.support.base import IS_ROOT, SANITIZED, marker, patience, run, wait_until, PROGRAM_MASTER
from tests.support.case import ProxyCase, queued_id
from tests.support.cluster import _alive
from tests.support.proxy import Proxy
from tests.support.standin import Fault, SendGrid


def serial_of(port, ca):
    """The certificate that the implicit-TLS port shows now, as DER."""
    context = ssl.create_default_context(cafile=str(ca))
    with socket.create_connection(("127.0.0.1", port), patience(10)) as sock:
        with context.wrap_socket(sock, server_hostname="localhost") as tls:
            return tls.getpeercert(binary_form=True)


class Reload(ProxyCase):
    @classmethod
    def providers(cls):
        return {"file": "file"}

    def shown(self):
        return {serial_of(self.proxy.port_implicit, self.authority.ca_file) for _ in range(6)}

    def test_a_reload_keeps_sessions_open_and_takes_the_settings(self):
        s = self.session("file")
        self.assertReply(s.command("MAIL FROM:<a@example.com>"), 250)
        pids = set(self.proxy.children())
        self.proxy.settings["smtpd"]["recipients"] = 2
        self.proxy.write_settings()
        self.assertTrue(self.proxy.reload())
        self.assertEqual(set(self.proxy.children()), pids)
        self.assertReply(s.command("RCPT TO:<b@example.net>"), 250)
        self.assertReply(s.command("DATA"), 354)
        self.assertReply(s.data(mail.plain()), 250)
        fresh = self.session("file")
        fresh.command("MAIL FROM:<a@example.com>")
        self.assertEqual([fresh.command(f"RCPT TO:<r{i}@example.net>").code for i in range(3)], [250, 250, 452])
        self.proxy.settings["smtpd"]["recipients"] = 100
        self.proxy.write_settings()
        self.proxy.reload()

    def test_broken_settings_change_nothing(self):
        good = self.proxy.config.read_text()
        try:
            self.proxy.config.write_text(good + "\nsmtpd:\n  nonsense: 1\n")
            self.assertFalse(self.proxy.reload())
            self.assertReply(self.session("file").mail(mail.plain()), 250)
        finally:
            self.proxy.config.write_text(good)
        self.assertTrue(self.proxy.reload())

    def test_a_new_certificate_is_used_within_a_second_and_old_sessions_live(self):
        s = self.session("file")
        before = self.shown()
        self.assertEqual(len(before), 1)
        self.proxy.install_certificate(*self.authority.issue("second"))
        begin = time.monotonic()
        self.proxy.reload()
        after = self.shown()
        self.assertLess(time.monotonic() - begin, patience(2))
        self.assertEqual(len(after), 1)
        self.assertNotEqual(before, after)
        self.assertReply(s.mail(mail.plain()), 250)

    def test_a_bad_certificate_is_refused_and_the_old_one_stays(self):
        good = (self.proxy.tls / "tls.pem").read_text(), (self.proxy.tls / "tls.key").read_text()
        before = self.shown()
        failures = self.proxy.metric("tls_certificate_load_failures_total")
        other = self.authority.issue("other")
        cases = {"garbage": ("no PEM at all\n", good[1]), "empty": ("", ""), "key of another": (other[0], good[1]),
                 "expired": self.authority.issue("old", -20 * 86400, -10 * 86400), "no key": (other[0], "")}
        try:
            for name, pair in cases.items():
                with self.subTest(name):
                    self.proxy.install_certificate(*pair)
                    mark = self.proxy.log.mark()
                    self.proxy.reload()
                    self.assertEqual(self.shown(), before)
                    loud = [e for e in self.proxy.log.events[mark:] if e.get("level") in ("error", "warn")]
                    self.assertTrue(loud, "the log says so")
            wait_until(lambda: self.proxy.metric("tls_certificate_load_failures_total") >= failures + len(cases), 5,
                       "the metric")
        finally:
            self.proxy.install_certificate(*good)
            self.proxy.reload()
        self.assertEqual(self.shown(), before)

    def test_reloads_under_load_cost_no_message(self):
        stop, bad, done = threading.Event(), [], []

        def client():
            try:
                with self.proxy.session(self.user["file"]) as s:
                    while not stop.is_set():
                        reply = s.mail(mail.plain())
                        (done if reply.code == 250 else bad).append(reply)
            except (OSError, EOFError) as e:
                bad.append(e)
        threads = [threading.Thread(target=client) for _ in range(4)]
        for t in threads:
            t.start()
        for n in range(5):
            self.proxy.install_certificate(*self.authority.issue(f"load{n}"))
            self.proxy.reload()
        stop.set()
        for t in threads:
            t.join()
        self.assertEqual(bad, [])
        self.assertTrue(done)


class Crashes(ProxyCase):
    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid()}

    def setUp(self):
        self.settled()

    def settled(self):
        """Until logins work: after a crash gate needs a moment."""
        user = self.user["sendgrid"]

        def works():
            with self.proxy.smtp() as s:
                return s.auth(user, self.proxy.passwords[user]).code == 235
        wait_until(works, 20, "logins")

    def test_each_child_that_is_killed_comes_back_and_mail_flows(self):
        for role in ("smtpd", "gate", "qmgr", "deliver", "api"):
            with self.subTest(role):
                before = self.proxy.children()
                victims = [p for p, n in before.items() if n == role]
                mark = self.proxy.log.mark()
                for pid in victims:
                    os.kill(pid, signal.SIGKILL)
                wait_until(lambda: sum(n == role and p not in victims for p, n in self.proxy.children().items())
                           == len(victims), 20, f"new {role}")
                self.assertTrue(any(e.get("level") in ("warn", "error") for e in self.proxy.log.wait_for(
                    lambda: [e for e in self.proxy.log.events[mark:] if e.get("level") in ("warn", "error")], 10)))
                word = marker()

                def goes():
                    try:
                        with self.proxy.session(self.user["sendgrid"]) as s:
                            return s.mail(mail.plain(text=word + "\n")).code == 250
                    except (OSError, EOFError, AssertionError):
                        return False
                wait_until(goes, 20, "a 250", 0.1)
                self.provider["sendgrid"].wait_for(
                    lambda: any(word in str(r.payload) for r in self.provider["sendgrid"].accepted), 30, word)
                others = {p for p, n in before.items() if n != role}
                self.assertLessEqual(others, set(self.proxy.children()), "the others live on")
        wait_until(lambda: self.proxy.http("/health/ready")[0] == 200, 20, "ready")
        self.assertGreaterEqual(self.proxy.metric("process_restarts_total", role="gate"), 1)

    def test_a_session_outlives_gate_qmgr_deliver_and_api(self):
        s = self.session("sendgrid")
        for role in ("gate", "deliver", "api", "qmgr"):
            with self.subTest(role):
                for pid, name in self.proxy.children().items():
                    if name == role:
                        os.kill(pid, signal.SIGKILL)
                # smtpd keeps the message until the new qmgr has stored it.
                self.assertReply(s.mail(mail.plain(text=marker() + "\n")), 250)

    def test_a_login_while_gate_is_dead_is_454_or_works(self):
        os.kill(self.proxy.child("gate"), signal.SIGKILL)
        reply = self.smtp().auth(self.user["sendgrid"], self.proxy.passwords[self.user["sendgrid"]])
        self.assertIn(reply.code, (235, 454))

    def test_a_message_that_is_being_sent_when_its_agent_dies_is_delivered(self):
        standin = self.provider["sendgrid"]
        word = marker()
        standin.misbehave(Fault(latency=5.0), 1, lambda p: word in str(p))
        with self.proxy.session(self.user["sendgrid"]) as s:
            ident = queued_id(self.assertReply(s.mail(mail.plain(text=word + "\n")), 250))
        standin.wait_for(lambda: any(word in str(r.payload) for r in standin.accepted), 20, "the call")
        for pid, name in self.proxy.children().items():
            if name == "deliver":
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.cluster.sql(f"SELECT 1 FROM delivery WHERE message_id = '{ident}' AND state = 'sent'"),
                   40, "sent")
        self.assertEqual(self.cluster.one(f"SELECT kind FROM event WHERE message_id = '{ident}' LIMIT 1"), "unknown")

    def test_status_names_the_processes(self):
        status = json.dumps(self.proxy.ctl("status", json_out=True))
        for pid, name in self.proxy.children().items():
            self.assertIn(str(pid), status)
            self.assertIn(name, status)
        self.assertTrue(self.proxy.ctl("status").stdout.strip())

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_every_child_has_its_own_user_an_empty_root_and_no_rights(self):
        users = set()
        for pid, name in self.proxy.children().items():
            with self.subTest(name):
                text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
                status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
                uid = int(status["Uid"].split()[1])
                users.add((name, uid))
                self.assertNotEqual(uid, 0)
                self.assertEqual(set(status["Uid"].split()), {str(uid)})
                self.assertEqual(status["NoNewPrivs"].strip(), "1")
                if not SANITIZED:
                    self.assertEqual(status["Seccomp"].strip(), "2")
                self.assertEqual(int(status["CapEff"], 16), 0)
                self.assertEqual(int(status["CapPrm"], 16), 0)
                self.assertEqual(status["Groups"].strip(), "", "no other groups")
                root = os.readlink(f"/proc/{pid}/root")
                self.assertNotEqual(root, "/")
                files = set(os.listdir(f"/proc/{pid}/root"))
                self.assertFalse({"usr", "bin", "tmp"} & files, files)
                if name in ("deliver", "cert-renewer"):
                    # What the resolver reads, so that a provider's name can be looked up.
                    etc = set(os.listdir(f"/proc/{pid}/root/etc"))
                    self.assertLessEqual(etc, {"resolv.conf", "hosts", "nsswitch.conf", "host.conf", "gai.conf"})
                elif name not in ("gate", "qmgr"):
                    self.assertEqual(files, set())
        roles = {n for n, _ in users}
        self.assertEqual(len({u for _, u in users}), len(roles), "a user each")

    def test_the_key_is_in_no_other_process_and_no_descriptor_leaks(self):
        for pid, name in self.proxy.children().items():
            fds = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
            files = [t for t in fds.values() if t.startswith("/") and not t.startswith(("/dev/null", "/memfd:"))]
            if name not in ("deliver",):
                self.assertEqual([f for f in files if "journal" in f or f.endswith((".pem", ".key", ".yaml"))], [], name)


class Ending(unittest.TestCase):
    """The end of the whole: each test starts its own."""

    def start(self, **settings):
        from tests.support.cluster import Cluster
        if not hasattr(type(self), "cluster"):
            type(self).cluster = Cluster()
            type(self).addClassCleanup(self.cluster.close)
        provider = SendGrid()
        self.addCleanup(provider.close)
        proxy = Proxy(self.cluster, {"sendgrid": provider}, settings)
        self.addCleanup(proxy.close)
        proxy.migrate()
        # The database is the class's: names of one test must not come again in the next.
        tenant = "t" + secrets.token_hex(6)
        name = f"{tenant}@users.example"
        proxy.tenant(tenant, "sendgrid")
        proxy.add_user(name, tenant)
        proxy.start()
        return proxy, provider, name

    def test_sigterm_drains_open_sessions_and_ends_all(self):
        proxy, provider, user = self.start()
        s = proxy.session(user)
        self.addCleanup(s.close)
        self.assertEqual(s.command("MAIL FROM:<a@example.com>").code, 250)
        self.assertEqual(s.command("RCPT TO:<b@example.net>").code, 250)
        self.assertEqual(s.command("DATA").code, 354)
        idle = proxy.smtp()
        self.addCleanup(idle.close)
        children = proxy.children()
        proxy.signal(signal.SIGTERM)
        # No new session, the idle one is told 421, the busy one may finish.
        wait_until(lambda: not self.connects(proxy.port), 20, "the port to be closed")
        self.assertEqual(idle.reply().code, 421)
        word = marker()
        self.assertEqual(s.data(mail.plain(text=word + "\n")).code, 250)
        self.assertEqual(proxy.stop(), 0)
        self.assertEqual([p for p in children if _alive(p)], [])
        # What was not sent before the end is in the queue.
        sent = any(word in str(r.payload) for r in provider.accepted)
        self.assertTrue(sent or proxy.depth() == 1)

    @staticmethod
    def connects(port):
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as sock:
                sock.settimeout(1)
                return sock.recv(3) == b"220"
        except OSError:
            return False

    def test_what_is_queued_at_the_end_is_sent_after_the_next_start(self):
        proxy, provider, user = self.start()
        word = marker()
        mine = lambda: [r for r in provider.accepted if word in str(r.payload)]  # noqa: E731
        tried = threading.Event()
        provider.misbehave(Fault(status=503), 1, lambda p: word in str(p) and (tried.set() or True))
        with proxy.session(user) as s:
            self.assertEqual(s.mail(mail.plain(text=word + "\n")).code, 250)
        self.assertTrue(tried.wait(patience(20)), "the first attempt")
        self.assertEqual(proxy.stop(), 0)
        proxy.start()
        provider.wait_for(mine, 20, "the message after the restart")
        wait_until(lambda: proxy.depth() == 0, 20, "an empty queue")
        self.assertEqual(len(mine()), 1)

    def test_no_child_outlives_a_killed_master_and_the_next_start_goes_on(self):
        proxy, provider, user = self.start()
        children = proxy.children()
        self.assertGreaterEqual(len(children), 7)
        proxy.kill()
        wait_until(lambda: not any(_alive(p) for p in children), 10, "no orphans")
        proxy.start()
        word = marker()
        with proxy.session(user) as s:
            self.assertEqual(s.mail(mail.plain(text=word + "\n")).code, 250)
        provider.wait(1)
        self.assertEqual(proxy.stop(), 0)

    def test_a_second_master_does_not_disturb_the_first(self):
        proxy, _, user = self.start()
        done = run(PROGRAM_MASTER, "-c", proxy.config, timeout=20)
        self.assertNotEqual(done.returncode, 0)
        with proxy.session(user) as s:
            self.assertEqual(s.mail(mail.plain()).code, 250)

    def test_systemd_is_told(self):
        directory = tempfile.mkdtemp(prefix="sp-notify-")
        self.addCleanup(lambda: run("rm", "-rf", directory))
        os.chmod(directory, 0o755)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(f"{directory}/notify")
            os.chmod(f"{directory}/notify", 0o777)
            sock.settimeout(patience(30))
            os.environ["NOTIFY_SOCKET"] = f"{directory}/notify"
            os.environ["WATCHDOG_USEC"] = "2000000"
            try:
                proxy, _, _ = self.start()
            finally:
                del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
            said = []

            def until(word):
                while not any(word in text for text in said):
                    said.append(sock.recv(4096).decode())
            until("READY=1")
            until("WATCHDOG=1")
            proxy.signal(signal.SIGHUP)
            until("RELOADING=1")
            said.clear()
            until("READY=1")
            proxy.signal(signal.SIGTERM)
            until("STOPPING=1")
        self.assertEqual(proxy.stop(), 0)

    def test_a_child_whose_loop_hangs_is_replaced(self):
        proxy, _, user = self.start()
        pid = proxy.child("gate")
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: _alive(pid) and os.kill(pid, signal.SIGKILL))
        wait_until(lambda: pid not in proxy.children(), 60, "the hung gate to be killed", 0.2)

        def goes():
            with proxy.smtp() as s:
                return s.auth(user, proxy.passwords[user]).code == 235 and s.mail(mail.plain()).code == 250
        wait_until(goes, 20, "a 250 through the new gate")


class Health(ProxyCase):
    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid()}

    def test_health_and_metrics(self):
        with self.proxy.session(self.user["sendgrid"]) as s:
            self.assertReply(s.mail(mail.plain()), 250)
            self.assertEqual(self.proxy.metric("smtp_active_connections"), 1)
        self.smtp().auth(self.user["sendgrid"], "wrong")
        self.provider["sendgrid"].wait(1)
        self.assertEqual(self.proxy.http("/health/live")[0], 200)
        self.assertEqual(self.proxy.http("/health/ready")[0], 200)
        for name, least in (("smtp_connections_total", 2), ("smtp_messages_accepted_total", 1),
                            ("smtp_tls_handshakes_total", 2), ("smtp_auth_success_total", 1),
                            ("smtp_auth_failures_total", 1), ("queue_messages_stored_total", 1),
                            ("tls_certificate_not_after_seconds", time.time())):
            with self.subTest(name):
                wait_until(lambda n=name, m=least: self.proxy.metric(n) >= m, 10, name)
        wait_until(lambda: self.proxy.metric("messages_sent_total", provider="sendgrid") == 1, 10, "sent")
        self.assertEqual(self.proxy.metric("queue_database_up"), 1)
        wait_until(lambda: self.proxy.metric("smtp_active_connections") <= 1, 10, "the gauge to fall")

    def test_the_metrics_are_well_formed(self):
        seen = set()
        for line in self.proxy.http("/metrics")[1].splitlines():
            if line.startswith("# TYPE"):
                self.assertNotIn(line.split()[2], seen, "one TYPE a metric")
                seen.add(line.split()[2])
            elif line and not line.startswith("#"):
                float(line.rsplit(" ", 1)[1])
                base = line.split("{")[0].split(" ")[0]
                self.assertTrue(any(base in (s, s + "_sum", s + "_count", s + "_bucket") for s in seen), line)
        self.assertIn("message_delivery_seconds", seen)

    def test_strange_requests_get_an_answer(self):
        self.assertEqual(self.proxy.http("/nowhere")[0], 404)
        for junk in (b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x00\x00", b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
                     b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", self.proxy.port_api), patience(5)) as sock:
                try:
                    sock.sendall(junk)
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(65536):
                        pass
                except OSError:
                    pass
        self.assertEqual(self.proxy.http("/health/live")[0], 200)


if __name__ == "__main__":
    unittest.main()
