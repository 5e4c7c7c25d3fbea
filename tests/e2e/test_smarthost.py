# SPDX-License-Identifier: Apache-2.0
"""A smarthost as the provider: what reaches it, octet by octet, and what each of its answers and failures comes to."""
import email
import email.policy

from tests.support import mail
from tests.support.base import marker, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.standin import Reply, Smarthost

OFFERS_8BIT = ("8BITMIME", "AUTH LOGIN")


class SmarthostCase(ProxyCase):
    # A provider that fails is to be asked again at once: it fails in most tests. Megabytes take the stand-in seconds when
    # others compute.
    SETTINGS = {"deliver": {"call_timeout": "8s", "agents": 1}, "queue": {"retry_first": "1s", "max_attempts": 10},
                "health": {"failures": 1000, "calls": 100000, "open_time": "1s", "probe_time": "100ms"}}

    @classmethod
    def tls_files(cls, names="DNS:localhost, IP:127.0.0.1"):
        chain, key = cls.authority.issue("smarthost", names=names)
        return str(cls.authority.file(chain)), str(cls.authority.file(key))

    @classmethod
    def providers(cls):
        cls.SETTINGS = {**cls.SETTINGS, "deliver": {**cls.SETTINGS["deliver"], "ca_file": str(cls.authority.ca_file)}}
        return cls.hosts()

    def send(self, provider="host", to=("b@example.com",), message=None, sender="sender@example.com"):
        """(id, word) of a new message."""
        word = marker()
        with self.proxy.session(self.user[provider]) as s:
            reply = s.mail(message(word) if message else mail.plain(text=word + "\n"), sender=sender, to=list(to))
            return queued_id(self.assertReply(reply, 250)), word

    def copies(self, provider, word):
        host = self.provider[provider]
        with host.lock:
            return [r for r in host.accepted if word.encode() in r.raw]

    def arrives(self, provider, word, timeout=30):
        host = self.provider[provider]
        host.wait_for(lambda: any(word.encode() in r.raw for r in host.accepted), timeout, word)
        return self.copies(provider, word)[0]

    def calls(self, ident, n=1, timeout=30):
        """What the first n calls for the message came to."""
        log = self.proxy.log
        log.wait_for(lambda: sum(e.get("event") == "deliver.call.end" and e.get("message") == ident for e in log.events) >= n,
                     timeout, f"{n} calls for {ident}")
        return log.all("deliver.call.end", message=ident)[:n]

    def states(self, ident, timeout=40):
        rows = wait_until(lambda: self.cluster.sql(
            f"SELECT recipient, state FROM delivery WHERE message_id = '{ident}' ORDER BY recipient"), timeout,
            f"the end of {ident}")
        return [tuple(r) for r in rows]


class Arriving(SmarthostCase):
    @classmethod
    def hosts(cls):
        return {"host": Smarthost(tls=cls.tls_files(), ca_host="localhost"),
                "implicit": Smarthost(tls=cls.tls_files(), implicit=True, offers=OFFERS_8BIT),
                "bare": Smarthost(offers=(), user="")}

    def test_a_message_arrives_with_envelope_and_id(self):
        for provider, tls, user in (("host", True, True), ("implicit", True, True), ("bare", False, False)):
            with self.subTest(provider):
                ident, word = self.send(provider)
                found = self.arrives(provider, word)
                self.assertEqual((found.mail_from, [r[0] for r in found.recipients]), ("sender@example.com", ["b@example.com"]))
                self.assertEqual((found.tls is not None, found.user is not None), (tls, user))
                self.assertEqual(self.states(ident), [("b@example.com", "sent")])
                call, = self.calls(ident)
                self.assertEqual((call["outcome"], call["provider_id"], call["status"], call["code"]),
                                 ("sent", found.provider_id, "2.0.0", 250))

    def test_content_arrives_octet_for_octet(self):
        contents = {
            "dots": lambda w: b"Subject: x\r\n\r\n.\r\n..\r\n.a\r\n...b\r\n\r\n.\r\n" + w.encode() + b"\r\n.\r\n",
            "8bit": lambda w: b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n" +
                              bytes(range(0x80, 0x100)) + b"\r\n" + w.encode() + b"\r\n",
            "long lines": lambda w: b"Subject: x\r\n\r\n" + w.encode() + (b"." * 997 + b"\r\n") * 30,
            "a header only": lambda w: b"Subject: " + w.encode() + b"\r\n",
            "large": lambda w: mail.rich(w, size=3_000_000),
        }
        for provider in ("host", "implicit"):
            for name, make in contents.items():
                with self.subTest(provider + " " + name):
                    sent = {}

                    def message(word):
                        sent["raw"] = make(word)
                        return sent["raw"]
                    _, word = self.send(provider, message=message)
                    found = self.arrives(provider, word)
                    # What smtpd adds stands in front.
                    self.assertTrue(found.raw.endswith(sent["raw"].split(b"\r\n\r\n", 1)[-1]), found.raw[-200:])
                    self.assertEqual(found.raw.count(b"\r\n.\r\n"), sent["raw"].count(b"\r\n.\r\n"))
                    self.assertEqual("BODY=8BITMIME" in found.parameters, any(c > 127 for c in sent["raw"]))

    def test_orders_to_a_provider_behind_it_do_not_arrive(self):
        ident, word = self.send(message=lambda word: (
            f"From: a@example.com\r\nX-SMTPAPI: {{\"to\":[\"victim@example.net\"]}}\r\nX-SES-Configuration-Set: other\r\n"
            f"X-Own: kept\r\nSubject: {word}\r\n\r\n{word}\r\n").encode())
        raw = self.arrives("host", word).raw
        self.assertIn(b"X-Own: kept", raw)
        self.assertNotIn(b"victim", raw)
        self.assertNotIn(b"X-SES", raw)

    def test_delivery_report_parameters_are_passed_on(self):
        word = marker()
        with self.proxy.session(self.user["host"]) as s:
            self.assertReply(s.command("MAIL FROM:<sender@example.com> RET=HDRS ENVID=QQ+2B314"), 250)
            self.assertReply(s.command("RCPT TO:<b@example.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;old@example.org"), 250)
            self.assertReply(s.command("RCPT TO:<c@example.com>"), 250)
            self.assertReply(s.command("RCPT TO:<d@example.com> NOTIFY=NEVER"), 250)
            self.assertReply(s.command("DATA"), 354)
            self.assertReply(s.data(mail.plain(text=word + "\n")), 250)
        found = self.arrives("host", word)
        self.assertEqual([p for p in found.parameters if not p.startswith("SIZE=")], ["RET=HDRS", "ENVID=QQ+2B314"])
        self.assertEqual(found.recipients, [("b@example.com", ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;old@example.org"]),
                                            ("c@example.com", []), ("d@example.com", ["NOTIFY=NEVER"])])

    def test_utf8_addresses_go_where_they_are_taken(self):
        word = marker()
        for provider in ("host", "implicit"):
            with self.proxy.session(self.user[provider]) as s:
                self.assertReply(s.command("MAIL FROM:<sender@example.com> SMTPUTF8"), 250)
                self.assertReply(s.command("RCPT TO:<zoë@example.com>"), 250)
                self.assertReply(s.command("DATA"), 354)
                ident = queued_id(self.assertReply(s.data(mail.plain(text=word + provider + "\n")), 250))
            call, = self.calls(ident)
            if provider == "host":
                found = self.arrives("host", word)
                self.assertIn("SMTPUTF8", found.parameters)
                self.assertEqual(found.recipients[0][0], "zoë@example.com")
            else:
                self.assertEqual((call["outcome"], call["status"]), ("unfit", "5.6.7"))
        self.assertEqual(self.copies("implicit", word), [])

    def test_what_the_server_cannot_take_is_unfit(self):
        host = self.provider["implicit"]
        host.offers = ["SIZE 1500", "AUTH LOGIN"]
        self.addCleanup(setattr, host, "offers", list(OFFERS_8BIT))
        host.misbehave(Reply("mail", "421 4.3.2 what was offered before does not count", close=True))
        self.send("implicit")
        ident, word = self.send("implicit", message=lambda w: mail.plain(text=w + "x" * 3000))
        call, = self.calls(ident)
        self.assertEqual((call["outcome"], call["status"]), ("unfit", "5.3.4"))
        self.assertEqual(self.copies("implicit", word), [])

    def test_a_server_without_8bitmime_gets_ascii_that_says_the_same(self):
        _, word = self.send("bare", message=lambda w: (
            f"From: a@example.com\r\nSubject: Grüße {w}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Transfer-Encoding: 8bit\r\n\r\nZoë, here is {w}: äöü\r\n").encode())
        host = self.provider["bare"]
        host.wait_for(lambda: any(word in str(mail.header(r.raw, "Subject")) for r in host.accepted))
        found = next(r for r in host.accepted if word in str(mail.header(r.raw, "Subject")))
        self.assertTrue(found.raw.isascii())
        parsed = email.message_from_bytes(found.raw, policy=email.policy.default)
        self.assertEqual(parsed["Subject"], f"Grüße {word}")
        self.assertEqual(parsed.get_content().strip(), f"Zoë, here is {word}: äöü")

    def test_the_envelope_is_one_packet_and_a_connection_is_used_again(self):
        host = self.provider["host"]
        begun = host.connections
        for _ in range(12):
            _, word = self.send()
            found = self.arrives("host", word)
            host.wait_for(lambda: found.answered_at)
        self.assertLessEqual(host.connections - begun, 2)
        with host.lock:
            verbs = [line.split(" ")[0] for number, line in host.commands if number == found.connection]
        # Nothing between two messages, and no login for the second.
        self.assertIn(["MAIL", "RCPT", "DATA"] * 2, [verbs[i:i + 6] for i in range(len(verbs))])
        host.wait_for(lambda: host.open == 0, 20, "the idle connections to be ended")
        self.assertNotIn("RSET", verbs)

    def test_a_connection_carries_a_hundred_messages_at_most(self):
        host = self.provider["bare"]
        host.hang_up()
        first = len(host.accepted)
        words = []
        with self.proxy.session(self.user["bare"]) as s:
            for i in range(130):
                words.append(marker())
                self.assertReply(s.mail(mail.plain(text=words[-1] + "\n")), 250)
                host.wait_for(lambda: len(host.accepted) >= first + i + 1)
        taken = [r.connection for r in host.accepted[first:]]
        self.assertEqual(len(taken), 130)
        self.assertLessEqual(max(taken.count(c) for c in set(taken)), 100)
        self.assertLessEqual(len(set(taken)), 4)


class Refusing(SmarthostCase):
    @classmethod
    def hosts(cls):
        return {"host": Smarthost(tls=cls.tls_files(), ca_host="localhost"),
                "steps": Smarthost(offers=("8BITMIME", "AUTH PLAIN")),
                "foreign": Smarthost(tls=cls.tls_files("DNS:other.example"), ca_host="localhost")}

    def fault(self, reply, provider="host", **kw):
        """What the first call comes to when the server does this once."""
        self.provider[provider].misbehave(reply)
        ident, word = self.send(provider, **kw)
        call, = self.calls(ident)
        return ident, word, call

    def test_each_answer_has_its_meaning(self):
        cases = [
            (Reply("greeting", "421 4.3.2 not now", close=True), "transient", 421),
            (Reply("greeting", "554 5.7.1 blocked", close=True), "provider-fault", 554),
            (Reply("ehlo", "451 later"), "transient", 451),
            (Reply("mail", "451 4.3.0 later"), "transient", 451),
            (Reply("mail", "421 4.3.2 closing", close=True), "transient", 421),
            (Reply("mail", "550 5.7.1 not this sender"), "provider-fault", 550),
            (Reply("rcpt", "450 4.2.1 busy"), "transient", 450),
            (Reply("rcpt", "554 5.7.1 Relay access denied"), "provider-fault", 554),
            (Reply("data", "451 4.3.0 later"), "transient", 451),
            (Reply("final", "451 4.3.0 later"), "transient", 451),
            (Reply("final", "454 Throttling failure: Maximum sending rate exceeded"), "transient", 454),
            (Reply("final", "421 4.3.2 closing", close=True), "transient", 421),
            (Reply("final", "535 5.7.8 no more"), "provider-fault", 535),
        ]
        for provider in ("host", "steps"):
            for reply, outcome, code in cases:
                with self.subTest(f"{provider} {reply.at} {reply.say}"):
                    # At the greeting there must be a new connection, and a kept one may be ended at MAIL.
                    if reply.at in ("greeting", "ehlo") or reply.close:
                        self.provider[provider].hang_up()
                    ident, word, call = self.fault(reply, provider)
                    self.assertEqual((call["outcome"], call["code"]), (outcome, code), call)
                    self.assertEqual(self.states(ident), [("b@example.com", "sent")])
                    self.assertEqual(len(self.copies(provider, word)), 1)

    def test_a_refusal_for_good_ends_the_message(self):
        for reply in (Reply("final", "554 5.7.1 spam"), Reply("data", "554 5.6.0 no"), Reply("rcpt", "550 5.1.1 unknown")):
            for provider in ("host", "steps"):
                with self.subTest(f"{provider} {reply.at}"):
                    ident, word, call = self.fault(reply, provider)
                    self.assertEqual((call["outcome"], call["status"]), ("permanent", reply.say.split()[1]))
                    self.assertNotIn("sent", [s for _, s in self.states(ident)])
                    self.assertEqual(self.copies(provider, word), [])

    def test_recipients_that_are_refused_do_not_keep_the_others_from_the_message(self):
        for provider in ("host", "steps"):
            ident, word = self.send(provider, to=("a@example.com", "refuse-550-5.1.1@example.com", "c@example.com"))
            found = self.arrives(provider, word)
            self.assertEqual([r[0] for r in found.recipients], ["a@example.com", "c@example.com"])
            self.assertEqual(self.calls(ident)[0]["outcome"], "sent")

    def test_lost_before_the_last_dot_is_transient_and_sent_again(self):
        large = lambda w: mail.rich(w, size=6_000_000)  # noqa: E731: more than fits between the two
        for reply in (Reply("rcpt", reset=True), Reply("rcpt", close=True), Reply("data", reset=True), Reply("mail", hang=True),
                      Reply("data", b"this is no SMTP\r\n"), Reply("rcpt", b"250-and so on\r\n" * 2000),
                      Reply("content", reset=True)):
            with self.subTest(f"{reply.at} {str(reply.say)[:20]} {reply.hang}"):
                ident, word, call = self.fault(reply, message=large if reply.at == "content" else None)
                self.assertEqual(call["outcome"], "transient", call)
                self.assertEqual(self.states(ident), [("b@example.com", "sent")])
                self.assertEqual(len(self.copies("host", word)), 1)

    def test_lost_after_the_last_dot_is_unknown(self):
        for reply in (Reply("final", reset=True, take=True), Reply("final", close=True, take=True),
                      Reply("final", hang=True, take=True), Reply("final", b"what?\r\n", take=True, close=True),
                      Reply("final", "354 again", take=True)):
            with self.subTest(str(reply)):
                ident, word, call = self.fault(reply)
                self.assertEqual(call["outcome"], "unknown")
                self.assertEqual(self.states(ident), [("b@example.com", "sent")])
                self.assertEqual(len(self.copies("host", word)), 2)

    def test_slow_and_odd_answers_are_understood(self):
        for reply in (Reply("final", "250-2.0.0 one\r\n250-2.0.0 two\r\n250 2.0.0 Ok: queued as AB12", piecemeal=0.005, take=True),
                      Reply("final", b"250 2.0.0 a bare newline\n", take=True), Reply("final", latency=2.0), Reply("greeting", latency=2.0),
                      Reply("greeting", "220-many\r\n220-lines\r\n220 of greeting"), Reply("ehlo", piecemeal=0.002)):
            with self.subTest(str(reply)[:70]):
                host = self.provider["host"]
                if reply.at in ("greeting", "ehlo"):
                    host.hang_up()
                ident, word, call = self.fault(reply)
                self.assertEqual(call["outcome"], "sent", call)
                self.assertEqual(len(self.copies("host", word)), 1)

    def test_a_kept_connection_that_the_server_ends_is_replaced_without_a_failure(self):
        host = self.provider["host"]
        for reply in (Reply("mail", "421 4.4.2 idle for too long", close=True), Reply("mail", close=True),
                      Reply("mail", reset=True)):
            with self.subTest(str(reply)):
                self.arrives("host", self.send()[1])        # there is one to be used again
                begun = host.connections
                ident, word, call = self.fault(reply)
                self.assertEqual((call["outcome"], call["attempt"]), ("sent", 1), call)
                self.assertEqual(len(self.copies("host", word)), 1)
                self.assertLessEqual(host.connections, begun + 1)
                self.assertEqual(self.cluster.sql(f"SELECT kind FROM event WHERE message_id = '{ident}'"), [])

    def test_a_server_that_ends_connections_after_each_message_gets_all(self):
        host = self.provider["steps"]
        host.limit = 1
        self.addCleanup(setattr, host, "limit", None)
        for _ in range(4):
            ident, word = self.send("steps")
            self.assertEqual(self.states(ident), [("b@example.com", "sent")])
            self.assertEqual(len(self.calls(ident)), 1)
            self.assertEqual(len(self.copies("steps", word)), 1)

    def test_a_certificate_for_another_host_is_not_accepted(self):
        host = self.provider["foreign"]
        ident, word = self.send("foreign")
        call, = self.calls(ident)
        self.assertEqual((call["outcome"], call["status"]), ("transient", "4.7.5"), call)
        self.assertIn("certificate", call["reason"])
        self.assertEqual([line for _, line in host.commands if line.split(" ")[0] not in ("EHLO", "STARTTLS")], [])

    def test_without_starttls_nothing_is_said_in_clear(self):
        host = self.provider["foreign"]
        context, host.context = host.context, None
        self.addCleanup(setattr, host, "context", context)
        ident, word = self.send("foreign")
        call, = self.calls(ident)
        self.assertEqual((call["outcome"], call["status"]), ("provider-fault", "4.7.4"), call)
        self.assertEqual([line for _, line in host.commands if line.split(" ")[0] not in ("EHLO", "STARTTLS")], [])

    def test_a_wrong_password_bounces_nothing_and_a_right_one_sends_it(self):
        host = self.provider["steps"]
        right, host.key = host.key, "another"
        host.hang_up()
        ident, word = self.send("steps")
        call, = self.calls(ident)
        self.assertEqual((call["outcome"], call["code"]), ("provider-fault", 535), call)
        self.assertNotIn(right, "\n".join(self.proxy.log.lines))
        host.key = right
        self.assertEqual(self.states(ident, 60), [("b@example.com", "sent")])
        self.assertEqual(len(self.copies("steps", word)), 1)

    def test_a_host_that_is_not_there(self):
        provider = self.proxy.settings["providers"]["foreign"]
        old = dict(provider)

        def restore():
            provider.update(old)
            self.proxy.write_settings()
            self.proxy.reload()
        self.addCleanup(restore)
        for change, words in (({"host": "no-such-host.invalid"}, "no-such-host.invalid"), ({"host": "127.0.0.1", "port": 1}, "refused")):
            provider.update(change)
            self.proxy.write_settings()
            self.assertTrue(self.proxy.reload())
            ident, _ = self.send("foreign")
            call, = self.calls(ident)
            self.assertEqual(call["outcome"], "transient")
            self.assertIn(words, call["reason"])
