# SPDX-License-Identifier: Apache-2.0
"""What a tenant may ask of the front: a message twice is a message once."""
import email
import os
import re
import signal
import threading
import time
import unittest

from tests.support import mail
from tests.support.base import marker, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.standin import Fault, Ses


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
        for bad in ("a@x.example\nnone\n", "a@x.example\n{not json\n", "a@x.example\n{}\n", "a@x.example\n\"b@x.example\n"):
            refused = self.ctl("import", input=bad, check=False)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("standard input:2:", refused.stderr)
        path = os.path.join(self.proxy.directory, "list.csv")
        with open(path, "w") as f:
            f.write("address\n" + "".join(f"n{i}@x.example\n" for i in range(1500)) + "half@\n")
        self.assertIn(f"{path}:1502:", self.ctl("import", path, check=False).stderr)
        self.assertEqual(self.cluster.sql("SELECT count(*) FROM suppression"), [["0"]])

    def test_a_suppressed_address_is_caught_however_it_is_spelled(self):
        self.ctl("add", '"Lost"@x.example')
        self.ctl("import", input='gone@xn--bcher-kva.example\n{"address": "\\"two words\\"@x.example"}\n@ÄPFEL.example\n')
        spellings = ["lost@X.example", '"l\\ost"@x.example', "@hop.example:lost@x.example", "gone@XN--BCHER-KVA.example",
                     "gone@bücher.example", '"two\\ words"@x.example', "any@äpfel.example", "any@xn--pfel-koa.example"]
        s = self.session("file")
        self.wait_asked(s, "lost@x.example", 550)
        self.assertReply(s.command("RSET"), 250)
        self.assertReply(s.command("MAIL FROM:<a@example.com> SMTPUTF8"), 250)
        for spelling in spellings:
            self.assertReply(s.command(f"RCPT TO:<{spelling}>"), 550, "5.7.1")
        self.assertReply(s.command("RCPT TO:<lost.not@x.example>"), 250)
        self.ctl("remove", '"LOST"@x.example')
        self.wait_asked(s, "lost@x.example", 250)


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


class Purge(ProxyCase):
    @classmethod
    def providers(cls):
        return {"ses": Ses()}

    def test_what_waits_and_what_is_dead_is_purged(self):
        standin = self.provider["ses"]
        standin.misbehave(Fault(status=400, body=b'{"__type": "MessageRejected", "message": "no"}'), 1, lambda p: True)
        dead = queued_id(self.assertReply(self.session("ses").mail(mail.plain(text="dead\n")), 250))
        wait_until(lambda: self.cluster.sql("SELECT 1 FROM dead_letter"), 30, "the dead letter")
        self.cluster.sql("INSERT INTO queue (shard, tenant_id, message_id, due_at, is_held, queued_at)"
                         " SELECT 3, tenant_id, gen_random_uuid(), now(), true, now() - n * interval '1 hour'"
                         " FROM tenant, generate_series(1, 1500) n")
        self.assertEqual(self.proxy.ctl("queue", "purge", check=False).returncode, 64)
        self.assertIn("1491 messages", self.proxy.ctl("queue", "purge", "--all", "--older-hours", "10").stdout)
        self.assertIn("9 messages", self.proxy.ctl("queue", "purge", "--tenant", "tenant-ses").stdout)
        self.assertIn("0 dead letters", self.proxy.ctl("dead", "purge", "--all", "--older-hours", "1").stdout)
        self.assertIn("1 dead letter ", self.proxy.ctl("dead", "purge", "--tenant", "tenant-ses").stdout)
        self.assertEqual(self.cluster.sql("SELECT (SELECT count(*) FROM queue), (SELECT count(*) FROM dead_letter)"), [["0", "0"]])
        self.assertIn("purged", self.proxy.ctl("message", "show", dead).stdout)


class Bounces(ProxyCase):
    """The stand-in takes messages as they are, so that Python's parser sees what the composer made."""
    SETTINGS = {"smtpd": {"workers": 1}}
    MESSAGE = b"Message-ID: <m@example.com>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nSubject: hello\r\n\r\n"

    @classmethod
    def providers(cls):
        return {"ses": Ses()}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.proxy.ctl("tenant", "set", "tenant-ses", "--bounce-from", "mailer@bounces.example")
        cls.proxy.await_changes()

    def fail(self, mail_from, recipients, text="", n=1):
        """Hands in a message that the provider refuses for good; its id and its word."""
        standin, word = self.provider["ses"], marker()
        standin.misbehave(Fault(status=400, body=b'{"__type": "MessageRejected", "message": "Address is not \xc3\xa9 good"}'), n,
                          lambda p: word.encode() in standin.raw(p) and b"multipart/report" not in standin.raw(p))
        s = self.session("ses")
        self.assertReply(s.command("MAIL FROM:" + mail_from), 250)
        for recipient in recipients:
            self.assertReply(s.command("RCPT TO:" + recipient), 250)
        self.assertReply(s.command("DATA"), 354)
        ident = queued_id(self.assertReply(s.data(self.MESSAGE + word.encode() + b"\r\n" + text.encode() + b"\r\n"), 250))
        wait_until(lambda: self.cluster.sql(f"SELECT 1 FROM dead_letter WHERE message_id = '{ident}'"), 30, "the dead letter")
        return ident, word

    def bounces(self, word):
        standin = self.provider["ses"]
        with standin.lock:
            found = [r.raw for r in standin.accepted if b"multipart/report" in r.raw]
        return [m for m in map(email.message_from_bytes, found) if word in m.as_string()]

    def told(self, ident):
        wait_until(lambda: not self.cluster.sql(f"SELECT 1 FROM report WHERE message_id = '{ident}'"), 30, "the sender is told")

    def test_the_sender_is_told_once_with_all_fields(self):
        ident, word = self.fail("<joe@example.com> ENVID=QQ+2B1", ["<a@example.net> ORCPT=rfc822;o+2Brig@example.net NOTIFY=FAILURE",
                                                                  "<b@example.net>", "<c@example.net> NOTIFY=NEVER"])
        self.told(ident)
        [m] = wait_until(lambda: self.bounces(word), 30, "the bounce")
        self.assertEqual(m.get_content_type(), "multipart/report")
        self.assertEqual(m.get_param("report-type"), "delivery-status")
        self.assertEqual([m["From"], m["To"], m["Auto-Submitted"]],
                         ["Mail Delivery System <mailer@bounces.example>", "<joe@example.com>", "auto-replied"])
        people, status, returned = m.get_payload()
        self.assertIn("<b@example.net>", people.get_payload())
        self.assertEqual(status.get_content_type(), "message/delivery-status")
        whole, *recipients = status.get_payload()
        self.assertEqual(whole["Original-Envelope-Id"], "QQ+1")
        self.assertTrue(whole["Reporting-MTA"].startswith("dns; ") and whole["Arrival-Date"])
        self.assertEqual([r["Final-Recipient"] for r in recipients], ["rfc822; a@example.net", "rfc822; b@example.net"])
        self.assertEqual([r["Original-Recipient"] for r in recipients], ["rfc822; o+rig@example.net", None])
        self.assertEqual({r["Action"] for r in recipients}, {"failed"})
        self.assertTrue(all(re.fullmatch(r"5\.\d+\.\d+", r["Status"]) for r in recipients))
        self.assertIn("not ?? good", recipients[0]["Diagnostic-Code"])
        self.assertEqual(returned.get_content_type(), "message/rfc822")
        self.assertEqual(returned.get_payload(0)["Subject"], "hello")
        self.assertIn(word, returned.get_payload(0).get_payload())
        self.assertEqual(self.cluster.sql("SELECT mail_from FROM message WHERE recipients = '{joe@example.com}'"), [[""]])
        time.sleep(6)  # qmgr looks every five seconds
        self.assertEqual(len(self.bounces(word)), 1)

    def test_only_the_header_when_that_is_asked(self):
        ident, word = self.fail("<ann@example.com> RET=HDRS", ["<a@example.net>"])
        self.told(ident)
        report = wait_until(lambda: next((m for m in map(email.message_from_bytes, [r.raw for r in self.provider["ses"].accepted])
                                          if m["To"] == "<ann@example.com>"), None), 30, "the bounce")
        returned = report.get_payload(2)
        self.assertEqual(returned.get_content_type(), "text/rfc822-headers")
        self.assertIn("Subject: hello", returned.get_payload())
        self.assertNotIn(word, report.as_string())

    def test_nobody_is_told_who_does_not_want_it(self):
        for mail_from, recipient in (("<>", "<a@example.net>"), ("<x@example.com>", "<a@example.net> NOTIFY=NEVER"),
                                     ("<x@example.com>", "<a@example.net> NOTIFY=SUCCESS,DELAY")):
            ident, word = self.fail(mail_from, [recipient])
            self.told(ident)
            self.assertEqual(self.cluster.sql(f"SELECT 1 FROM event WHERE message_id = '{ident}' AND kind ~ 'reported'"), [])
            self.assertEqual(self.bounces(word), [])


if __name__ == "__main__":
    unittest.main()
