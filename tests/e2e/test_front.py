# SPDX-License-Identifier: Apache-2.0
"""What a tenant may ask of the front: a message twice is a message once."""
import os
import signal
import threading
import unittest

from tests.support import mail
from tests.support.base import wait_until
from tests.support.case import ProxyCase, queued_id


def with_field(field, text="x\n"):
    return field.encode() + b"\r\n" + mail.plain(text=text)


class Idempotency(ProxyCase):
    SETTINGS = {"smtpd": {"workers": 2, "idempotency_envid": "true"}}

    @classmethod
    def providers(cls):
        return {"file": "file"}

    def delivered(self, ident):
        return wait_until(lambda: next(iter(self.proxy.out.glob(f"*{ident}*.eml")), None), 20, f"the .eml of {ident}")

    def test_a_message_with_a_known_key_has_the_id_of_the_first(self):
        message = with_field("X-Idempotency-Key: order 17")
        s = self.session("file")
        since = self.proxy.log.mark()
        first = queued_id(self.assertReply(s.mail(message), 250, "2.0.0"))
        again = self.assertReply(self.session("file").mail(with_field("x-idempotency-key:order 17", "other\n")), 250, "2.0.0")
        self.assertEqual(queued_id(again), first)
        self.proxy.log.wait("smtpd.message.repeated", since=since, repeats=first)
        self.assertGreaterEqual(self.proxy.metric("smtp_messages_repeated_total"), 1)
        self.assertNotIn(b"dempotency", self.delivered(first).read_bytes())
        self.assertNotEqual(queued_id(s.mail(with_field("X-Idempotency-Key: order 18"))), first)
        self.assertReply(s.mail(with_field("X-Idempotency-Key: a\r\nX-Idempotency-Key: b")), 554, "5.6.0")

    def test_of_many_at_once_one_is_taken(self):
        before = int(self.cluster.sql("SELECT count(*) FROM message")[0][0])
        ids = []

        def send():
            ids.append(queued_id(self.assertReply(self.session("file").mail(with_field("X-Idempotency-Key: at once")), 250)))

        threads = [threading.Thread(target=send) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        self.assertEqual(len(ids), 8)
        self.assertEqual(len(set(ids)), 1)
        self.assertEqual(int(self.cluster.sql("SELECT count(*) FROM message")[0][0]), before + 1)
        self.delivered(ids[0])

    def test_an_envid_is_a_key_and_survives_qmgr(self):
        def send():
            s = self.session("file")
            self.assertReply(s.command("MAIL FROM:<a@example.com> ENVID=Q+2B1"), 250)
            self.assertReply(s.command("RCPT TO:<b@example.net>"), 250)
            self.assertReply(s.command("DATA"), 354)
            s.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
            return queued_id(self.assertReply(s.reply(), 250))

        first = send()
        os.kill(self.proxy.child("qmgr"), signal.SIGKILL)
        self.assertEqual(send(), first)
        self.assertEqual(self.cluster.sql("SELECT key FROM idempotency WHERE key LIKE 'Q%'"), [["Q+1"]])


class Suppression(ProxyCase):
    SETTINGS = {"smtpd": {"workers": 1, "max_errors": 1000}}

    @classmethod
    def providers(cls):
        return {"file": "file"}

    def ctl(self, *args, **kw):
        return self.proxy.ctl("suppression", *args, "--tenant", "tenant-file", **kw)

    def wait_asked(self, session, recipient, code):
        """The reply to a recipient, when gate has heard of the change."""
        def reply():
            self.assertReply(session.command("RSET"), 250)
            self.assertReply(session.command("MAIL FROM:<a@example.com>"), 250)
            got = session.command(f"RCPT TO:<{recipient}>")
            return got if got.code == code else None
        return wait_until(reply, 20, f"{code} for {recipient}")

    def test_suppressed_recipients_are_550(self):
        s = self.session("file")
        self.assertReply(s.mail(mail.plain(), to=("gone@example.net",)), 250)
        self.ctl("add", "Gone@Example.net", "--reason", "asked for it")
        self.ctl("add", "@all.example")
        self.assertReply(self.wait_asked(s, "gone@example.net", 550), 550, "5.7.1")
        self.assertReply(s.command("RCPT TO:<x@ALL.example>"), 550, "5.7.1")
        self.assertReply(s.command("RCPT TO:<other@example.net>"), 250)
        # Sent at once, answered in order.
        s.send(b"RCPT TO:<gone@EXAMPLE.net>\r\nRCPT TO:<b@example.net>\r\nRCPT TO:<c@all.example>\r\nDATA\r\n")
        self.assertEqual([r.code for r in s.replies(4)], [550, 250, 550, 354])
        self.assertReply(s.data(mail.plain()), 250)
        self.assertGreaterEqual(self.proxy.metric("gate_suppressed_recipients_total"), 4)
        self.ctl("remove", "gone@example.net")
        self.wait_asked(s, "gone@example.net", 250)

    def test_lists_go_out_and_in(self):
        self.cluster.sql("DELETE FROM suppression")
        lines = "".join(f"n{i}@x.example,\"why, \"\"{i}\"\"\",hand\n" for i in range(2500))
        done = self.ctl("import", input="address,reason,source\n" + lines + '{"address": "J@x.example", "reason": "json"}\n')
        self.assertIn("2501", done.stdout)
        out = self.ctl("export").stdout
        self.assertEqual(len(out.splitlines()), 2502)
        self.assertIn('n7@x.example,"why, ""7""",hand', out.splitlines())
        self.assertIn("j@x.example,json,import", out.splitlines())
        rows = self.ctl("export", json_out=True)
        self.assertEqual(len(rows), 2501)
        self.cluster.sql("DELETE FROM suppression")
        self.ctl("import", input=out)
        self.assertEqual(sorted(self.ctl("export").stdout.splitlines()), sorted(out.splitlines()))
        self.assertEqual(len(self.ctl("list", "--limit", "5", json_out=True)), 5)
        # All, or nothing.
        self.cluster.sql("DELETE FROM suppression")
        for bad in ("a@x.example\nnone\n", "a@x.example\n{not json\n", "a@x.example\n{}\n"):
            self.assertNotEqual(self.ctl("import", input=bad, check=False).returncode, 0)
        self.assertEqual(self.cluster.sql("SELECT count(*) FROM suppression"), [["0"]])


class Wishes(ProxyCase):
    START = False

    @classmethod
    def providers(cls):
        return {"file": "file"}

    def test_every_wish_is_set_shown_and_taken_back(self):
        wishes = {"--max-attempts": ("max_attempts", "7", 7), "--max-age": ("max_age", "3h", 10800),
                  "--retry-first": ("retry_first", "5s", 5), "--retry-longest": ("retry_longest", "10m", 600),
                  "--keep-messages": ("keep_messages", "0s", 0), "--keep-logs": ("keep_logs", "2d", 172800),
                  "--idempotency-window": ("idempotency_window", "5m", 300), "--test": ("is_test", "on", True),
                  "--redirect-to": ("redirect_to", "all@example.com", "all@example.com"),
                  "--bounce-from": ("bounce_from", "bounces@example.com", "bounces@example.com")}
        options = [word for option, (_, text, _) in wishes.items() for word in (option, text)]
        self.proxy.ctl("tenant", "set", "tenant-file", *options)
        shown = self.proxy.ctl("tenant", "show", "tenant-file", json_out=True)
        for column, _, value in wishes.values():
            self.assertEqual(shown[column], value, column)
        self.assertIn("all@example.com", self.proxy.ctl("tenant", "show", "tenant-file").stdout)
        options = [word for option in wishes for word in (option, "off" if option == "--test" else "none")]
        self.proxy.ctl("tenant", "set", "tenant-file", *options)
        shown = self.proxy.ctl("tenant", "show", "tenant-file", json_out=True)
        self.assertEqual([shown[column] for column, _, _ in wishes.values()], [None] * 7 + [False, "", ""])

    def test_bad_wishes_are_refused(self):
        for option, text in (("--max-attempts", "0"), ("--max-attempts", "x"), ("--max-age", "1s"), ("--retry-first", "2h"),
                             ("--keep-logs", "1h"), ("--test", "yes"), ("--redirect-to", "nobody"), ("--bounce-from", "a@[1.2.3.4]")):
            done = self.proxy.ctl("tenant", "set", "tenant-file", option, text, check=False)
            self.assertEqual(done.returncode, 64, (option, text))

    def test_a_user_is_put_into_test_mode(self):
        self.proxy.ctl("user", "set", self.user["file"], "--test", "on")
        self.assertEqual(self.proxy.ctl("user", "list", json_out=True)["is_test"], True)
        self.proxy.ctl("user", "set", self.user["file"], "--per-day", "9")
        self.assertEqual(self.proxy.ctl("user", "list", json_out=True)["is_test"], True)
        self.proxy.ctl("user", "set", self.user["file"], "--test", "off")
        self.assertEqual(self.proxy.ctl("user", "list", json_out=True)["is_test"], False)


if __name__ == "__main__":
    unittest.main()
