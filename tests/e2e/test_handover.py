# SPDX-License-Identifier: Apache-2.0
"""One master follows another while clients go on: no connect is refused, and what was answered with 250 arrives, once."""
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
