# SPDX-License-Identifier: Apache-2.0
"""One master follows another while clients go on: no connect is refused, and what was answered with 250 arrives, once."""
import os
import signal
import socket
import threading
import time

from tests.support import mail
from tests.support.base import marker, patience, wait_until
from tests.support.case import ProxyCase
from tests.support.standin import SendGrid
from tests.support.systemd import ServiceManager


class Load:
    """Clients that connect, log in and send messages again and again. That a session is ended (421, or cut between
    connect and greeting) is their daily bread; that nobody listens is not."""

    def __init__(self, proxy, user, clients=3):
        self.proxy, self.user = proxy, user
        self.accepted, self.refused, self.sessions, self.waits = [], [], 0, []
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self._client, daemon=True) for _ in range(clients)]
        for t in self.threads:
            t.start()

    def _client(self):
        while not self.is_over.is_set():
            try:
                self._session()
            except ConnectionRefusedError as e:
                self.refused.append(e)
            except (OSError, EOFError, AssertionError, ValueError):
                pass
            time.sleep(0.01)

    def _session(self):
        word, begin = marker(), time.monotonic()
        # Connecting is by itself, so that a refusal is one.
        with socket.create_connection(("127.0.0.1", self.proxy.port), patience(60)):
            pass
        with self.proxy.session(self.user, timeout=60) as s:
            with self.lock:
                self.sessions += 1
                self.waits.append(time.monotonic() - begin)
            if s.mail(mail.plain(text=word + "\n")).code == 250:
                with self.lock:
                    self.accepted.append(word)

    def wait(self, more):
        """Until so many more messages were accepted."""
        least = len(self.accepted) + more
        wait_until(lambda: len(self.accepted) >= least, 60, f"{least} messages", 0.02)

    def end(self):
        self.is_over.set()
        for t in self.threads:
            t.join(patience(70))


class Handover(ProxyCase):
    START = False

    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid()}

    def tearDown(self):
        super().tearDown()
        self.proxy.stop()

    def assertAllArrived(self, load):
        load.end()
        self.assertEqual(load.refused, [])
        standin = self.provider["sendgrid"]

        def texts():
            return [str(r.payload) for r in list(standin.accepted)]
        wait_until(lambda: all(any(w in t for t in texts()) for w in load.accepted), 60, "every message that got a 250", 0.2)
        counts = {w: sum(w in t for t in texts()) for w in load.accepted}
        self.assertEqual({w: n for w, n in counts.items() if n != 1}, {})
        wait_until(lambda: self.proxy.depth() == 0, 30, "an empty queue")

    def test_upgrades_under_load_refuse_nobody_and_lose_nothing(self):
        self.proxy.start()
        load = Load(self.proxy, self.user["sendgrid"])
        load.wait(10)
        for _ in range(3):
            pid, children = self.proxy.process.pid, set(self.proxy.children())
            self.proxy.ctl("upgrade", "--wait")
            self.assertEqual(self.proxy.process.pid, pid)
            self.assertFalse(children & set(self.proxy.children()))
            load.wait(10)
        self.assertAllArrived(load)

    def test_restarts_with_an_fd_store_under_load_refuse_nobody_and_lose_nothing(self):
        manager = ServiceManager()
        self.addCleanup(manager.close)
        self.proxy.start(manager=manager)
        self.assertTrue(manager.wait_names("api", "listener.submission", "listener.submissions"))
        load = Load(self.proxy, self.user["sendgrid"])
        for _ in range(3):
            load.wait(10)
            self.assertEqual(self.proxy.stop(), 0)
            self.proxy.start(manager=manager)
        load.wait(10)
        self.assertAllArrived(load)

    def test_what_is_begun_is_finished_and_what_is_new_waits(self):
        self.proxy.start()
        busy, idle = self.session("sendgrid"), self.session("sendgrid")
        for line, code in (("MAIL FROM:<a@example.com>", 250), ("RCPT TO:<b@example.net>", 250), ("DATA", 354)):
            self.assertReply(busy.command(line), code)
        mark = self.proxy.log.mark()
        self.proxy.ctl("upgrade")
        self.proxy.log.wait("master.draining", since=mark)
        self.assertReply(idle.reply(), 421)
        late = self.proxy.smtp(greet=False, ehlo=False, tls="none", timeout=60)
        self.addCleanup(late.close)
        self.assertEqual(self.proxy.ctl("status", json_out=True)["state"], "upgrading")
        word = marker()
        self.assertReply(busy.data(mail.plain(text=word + "\n")), 250)
        self.assertReply(late.reply(), 220)
        self.proxy.log.wait("master.ready", since=mark)
        self.provider["sendgrid"].wait_for(
            lambda: any(word in str(r.payload) for r in self.provider["sendgrid"].accepted), 30, word)

    def test_a_drained_host_goes_on_sending(self):
        standin = self.provider["sendgrid"]
        self.proxy.start()
        word = marker()
        s = self.session("sendgrid")
        self.assertReply(s.mail(mail.plain(text=word + "\n")), 250)
        self.proxy.ctl("drain", "--wait")
        self.assertReply(s.reply(), 421)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.proxy.port), patience(5))
        status = self.proxy.ctl("status", json_out=True)
        self.assertEqual((status["state"], status["metrics"]["sessions"]), ("drained", 0))
        code, text = self.proxy.http("/health/ready")
        self.assertEqual(code, 503)
        self.assertIn("it is drained", text)
        standin.wait_for(lambda: any(word in str(r.payload) for r in standin.accepted), 30, word)
        wait_until(lambda: self.proxy.depth() == 0, 20, "an empty queue")
        self.assertEqual(self.proxy.metric("smtp_accepting"), 0)


class Trouble(ProxyCase):
    """What else happens while the sessions are being ended."""
    START = False
    SETTINGS = {"smtpd": {"workers": 2}, "deliver": {"agents": 1}}

    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid()}

    def setUp(self):
        super().setUp()
        self.proxy.start()
        self.busy = self.session("sendgrid", timeout=60)
        for line, code in (("MAIL FROM:<a@example.com>", 250), ("RCPT TO:<b@example.net>", 250), ("DATA", 354)):
            self.assertReply(self.busy.command(line), code)

    def tearDown(self):
        super().tearDown()
        self.proxy.stop()

    def begin_upgrade(self):
        mark = self.proxy.log.mark()
        self.proxy.ctl("upgrade")
        self.proxy.log.wait("master.draining", since=mark)
        return mark

    def kill(self, *roles):
        for role in roles:
            mark = self.proxy.log.mark()
            os.kill(self.proxy.child(role), signal.SIGKILL)
            self.proxy.log.wait("master.child.ready", 20, mark, child=role)

    def assertWorks(self):
        word = marker()
        with self.proxy.session(self.user["sendgrid"], timeout=60) as s:
            self.assertReply(s.mail(mail.plain(text=word + "\n")), 250)
        standin = self.provider["sendgrid"]
        standin.wait_for(lambda: any(word in str(r.payload) for r in standin.accepted), 30, word)
        self.assertTrue(self.proxy.reload())

    def test_others_die_and_reloads_come(self):
        mark = self.begin_upgrade()
        self.proxy.signal(signal.SIGHUP)
        self.kill("gate", "qmgr", "deliver", "api")
        self.proxy.signal(signal.SIGHUP)
        self.assertEqual(self.proxy.ctl("status", json_out=True)["state"], "upgrading")
        self.assertNotEqual(self.proxy.ctl("upgrade", check=False).returncode, 0)
        self.assertReply(self.busy.data(mail.plain()), 250)
        self.proxy.log.wait("master.ready", 60, mark)
        self.assertWorks()

    def test_the_worker_dies(self):
        mark = self.begin_upgrade()
        for pid in [p for p, name in self.proxy.children().items() if name == "smtpd"]:
            os.kill(pid, signal.SIGKILL)
        self.assertTrue(self.busy.is_closed())
        self.proxy.log.wait("master.ready", 60, mark)
        self.assertWorks()

    def test_it_is_told_to_stop_after_all(self):
        self.begin_upgrade()
        self.proxy.signal(signal.SIGTERM)
        self.proxy.log.wait("master.stopping")
        self.assertReply(self.busy.data(mail.plain()), 250)
        self.assertEqual(self.proxy.process.wait(patience(60)), 0)
        self.proxy.log.join()
        self.proxy.start()
        self.assertWorks()

    def test_it_is_told_twice(self):
        mark = self.proxy.log.mark()
        self.proxy.signal(signal.SIGTERM)
        self.proxy.log.wait("master.stopping", since=mark)
        self.kill("gate", "qmgr")
        self.proxy.signal(signal.SIGTERM)
        self.assertEqual(self.proxy.process.wait(patience(20)), 0)
        self.assertTrue(self.busy.is_closed())
        self.proxy.log.join()
        self.proxy.start()
        self.assertWorks()

    def test_a_storm_of_reloads_with_children_that_die(self):
        def open_descriptors():
            return len(os.listdir(f"/proc/{self.proxy.process.pid}/fd"))

        self.assertReply(self.busy.data(mail.plain()), 250)
        before = open_descriptors()
        for i in range(20):
            self.proxy.signal(signal.SIGHUP)
            if i % 6 == 3:
                os.kill(self.proxy.child(("smtpd", "gate", "qmgr")[i // 6]), signal.SIGKILL)
            time.sleep(0.05)
        self.proxy.wait_ready()
        wait_until(lambda: [c["state"] for c in self.proxy.ctl("status", json_out=True)["children"]] ==
                   ["ready"] * len(self.proxy.children()), 30, "all to be ready")
        for _ in range(4):      # each worker has its certificate
            self.assertWorks()
        wait_until(lambda: open_descriptors() <= before, 20, f"{before} descriptors, not {open_descriptors()}")


class ShortUpgrade(ProxyCase):
    SETTINGS = {"smtpd": {"workers": 1, "drain_time": "1h", "upgrade_time": "1s"}}

    @classmethod
    def providers(cls):
        return {"file": "file"}

    def test_a_message_under_way_is_cut_after_the_time_of_upgrades(self):
        s = self.session("file")
        for line, code in (("MAIL FROM:<a@example.com>", 250), ("RCPT TO:<b@example.net>", 250), ("DATA", 354)):
            self.assertReply(s.command(line), code)
        self.proxy.ctl("upgrade", "--wait")
        self.assertReply(s.reply(), 421, "4.3.2")
        self.assertEqual(self.proxy.log.wait("smtpd.drain.cut")["sessions"], 1)
