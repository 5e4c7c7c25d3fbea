# SPDX-License-Identifier: Apache-2.0
"""Through which provider mail goes: rules, weights, parts, changes under what is queued; and around a provider that is down."""
import secrets
import time
import unittest

from tests.support import mail
from tests.support.base import marker, patience, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.standin import Fault, SendGrid


class OneAtATime(SendGrid):
    def settings(self):
        return super().settings() | {"concurrency": 1}


class RouteCase(ProxyCase):
    def tenant(self, *routes, provider=None, users=1):
        """A new tenant (its provider, or the default one) with these routes, each a list of arguments; its users' names."""
        name = f"t{secrets.token_hex(4)}"
        self.proxy.tenant(name, provider or "")
        names = [f"{name}-{n}@users.example" for n in range(users)]
        for user in names:
            self.proxy.add_user(user, name)
        for route in routes:
            self.proxy.ctl("route", "add", name, *[a.replace("USER", names[-1]) for a in route])
        self.proxy.await_changes()
        return name, names

    def send(self, user, word=None, **kw):
        """(id, word) of a new message."""
        word = word or marker()
        message = kw.pop("message", None) or mail.plain(text=word + "\n")
        with self.proxy.session(user) as s:
            return queued_id(self.assertReply(s.mail(message, **kw), 250)), word

    def at(self, provider, word):
        """The recipients with whom the provider has it."""
        standin = self.provider[provider]
        with standin.lock:
            return sorted(to["email"] for r in standin.accepted if word in str(r.payload)
                          for p in r.payload["personalizations"] for to in p["to"])

    def arrives(self, provider, word, timeout=30):
        self.provider[provider].wait_for(
            lambda: any(word in str(r.payload) for r in self.provider[provider].accepted), timeout, word)

    def goes_to(self, provider, user, **kw):
        _, word = self.send(user, **kw)
        self.arrives(provider, word)
        for other in self.provider:
            if other != provider:
                self.assertEqual(self.at(other, word), [], f"{word} should go to {provider} only")


class Routes(RouteCase):
    @classmethod
    def providers(cls):
        return {"one": SendGrid(), "two": SendGrid(), "slow": OneAtATime()}

    def test_sender_domain(self):
        _, (user,) = self.tenant(["two", "--sender", "*.example.com"], ["two", "--sender", "news.example"])
        self.goes_to("one", user, sender="a@example.com")
        self.goes_to("two", user, sender="a@sub.EXAMPLE.com")
        self.goes_to("two", user, sender="a@news.example")

    def test_header(self):
        _, (user,) = self.tenant(["two", "--header", "X-Kind: bulk*"])
        for kind, provider in (("bulk 7", "two"), ("single", "one")):
            word = marker()
            self.goes_to(provider, user, word=word,
                         message=f"X-Kind: {kind}\r\n".encode() + mail.plain(text=word + "\n"))

    def test_user(self):
        _, users = self.tenant(["two", "--user", "USER"], users=2)
        self.goes_to("one", users[0])
        self.goes_to("two", users[1])

    def test_recipients_of_two_routes(self):
        _, (user,) = self.tenant(["two", "--recipient", "two.example"])
        ident, word = self.send(user, to=["a@one.example", "b@two.example", "c@one.example"])
        self.arrives("one", word)
        self.arrives("two", word)
        rows = wait_until(lambda: (lambda found: found if len(found) == 3 else None)(self.cluster.sql(
            f"SELECT recipient, provider, state FROM delivery WHERE message_id = '{ident}' ORDER BY 1")), 30, "all")
        self.assertEqual(rows, [["a@one.example", "one", "sent"], ["b@two.example", "two", "sent"],
                                ["c@one.example", "one", "sent"]])
        self.assertEqual(self.at("one", word), ["a@one.example", "c@one.example"])
        self.assertEqual(self.at("two", word), ["b@two.example"])

    def test_the_first_route_that_is_met(self):
        tenant, (user,) = self.tenant(["two", "--position", "20"], ["one", "--position", "10", "--sender", "example.com"])
        self.goes_to("one", user, sender="a@example.com")
        self.goes_to("two", user, sender="a@example.net")
        self.proxy.ctl("route", "set", tenant, "10", "--position", "30")
        self.proxy.await_changes()
        self.goes_to("two", user, sender="a@example.com")

    def test_weights(self):
        _, (user,) = self.tenant(["one:3,two:1"])
        words = [marker() for _ in range(80)]
        with self.proxy.session(user) as s:
            for word in words:
                self.assertReply(s.mail(mail.plain(text=word + "\n")), 250)
        wait_until(lambda: sum(len(self.at(p, w)) for p in ("one", "two") for w in words) == len(words), 60, "all")
        at_two = sum(len(self.at("two", w)) for w in words)
        self.assertTrue(5 <= at_two <= 40, at_two)     # 20, give or take five times the deviation

    def test_what_is_queued_follows(self):
        tenant, (user,) = self.tenant(provider="slow")
        self.provider["slow"].misbehave(Fault(latency=8), 1)
        words = [marker() for _ in range(20)]
        with self.proxy.session(user) as s:
            for word in words:
                self.assertReply(s.mail(mail.plain(text=word + "\n")), 250)
        self.proxy.ctl("route", "add", tenant, "two")
        wait_until(lambda: sum(len(self.at("two", w)) for w in words) == len(words) - 1, 30, "all but the one under way")
        wait_until(lambda: sum(len(self.at("slow", w)) for w in words) == 1, 30, "the one under way")

    def test_the_operators_commands(self):
        tenant, _ = self.tenant(["one:3,two > slow", "--sender", "example.com", "--header", "X-A"])
        shown = self.proxy.ctl("route", "list", "--tenant", tenant, json_out=True)
        self.assertEqual((shown["targets"], shown["sender"], shown["header"], shown["position"]),
                         ("one:3,two > slow", "example.com", "X-A", 10))
        self.proxy.ctl("route", "set", tenant, "10", "--targets", "two", "--header", "")
        shown = self.proxy.ctl("route", "list", "--tenant", tenant, json_out=True)
        self.assertEqual((shown["targets"], shown["sender"], shown["header"]), ("two", "example.com", ""))
        found = self.proxy.ctl("route", "test", tenant, "a@b.example", "é@b.example", "--sender", "x@example.com",
                               json_out=True)
        self.assertEqual([(f["recipient"], f["route"], f["provider"], f["verdict"]) for f in found],
                         [("a@b.example", 10, "two", "takes no addresses beyond ASCII"),
                          ("é@b.example", 10, "two", "takes no addresses beyond ASCII")])
        found = self.proxy.ctl("route", "test", tenant, "a@b.example", json_out=True)
        self.assertEqual((found["route"], found["provider"], found["verdict"]), (None, "one", "can take it"))
        self.proxy.ctl("route", "remove", tenant, "10")
        self.assertEqual(self.proxy.ctl("route", "list", "--tenant", tenant, json_out=True), [])

    def test_what_the_commands_refuse(self):
        tenant, _ = self.tenant(["one"])
        for args, word in ((["add", tenant, "nobody"], "no such provider"), (["add", tenant, "one >"], "provider's name"),
                           (["add", tenant, "one", "--position", "10"], "already"),
                           (["add", tenant, "one", "--recipient", "a@b"], "no domain"),
                           (["add", tenant, "one", "--user", "stranger"], "no such user"),
                           (["set", tenant, "11", "--targets", "two"], "no route"),
                           (["remove", tenant, "11"], "no route"), (["add", "stranger", "one"], "no such tenant")):
            done = self.proxy.ctl("route", *args, check=False)
            self.assertEqual(done.returncode, 65, args)
            self.assertIn(word, done.stderr)


class Failover(RouteCase):
    """One provider a test, since what is down is down for all."""
    SETTINGS = {"health": {"probe_time": "1h", "open_time": "1h"}}

    @classmethod
    def providers(cls):
        gone = SendGrid()
        gone.close()
        return {"good": SendGrid(), "key": SendGrid(), "errors": SendGrid(), "gone": gone, "silent": SendGrid(),
                "quiet": SendGrid(), "idle": SendGrid()}

    def around(self, provider, straws):
        """All of the first mail arrives at the good one, and then new mail at once."""
        _, (user,) = self.tenant([f"{provider} > good"])
        words = [self.send(user)[1] for _ in range(straws)]
        self.proxy.log.wait(("qmgr.provider.down", "qmgr.provider.credential_refused"), 30, provider=provider)
        ident, new = self.send(user)
        begun = time.monotonic()
        self.arrives("good", new)
        self.assertLess(time.monotonic() - begun, patience(1))
        for word in words:
            self.arrives("good", word)
        told = self.proxy.log.find("qmgr.route.failover", message=ident, **{"from": provider})
        self.assertEqual((told["to"], told["why"]), ("good", "is down"))
        self.assertGreaterEqual(self.proxy.metric("provider_failover_total", **{"from": provider, "to": "good"}), 1)
        self.assertEqual(int(self.cluster.one("SELECT count(*) FROM dead_letter")), 0)

    def test_a_refused_key(self):
        self.provider["key"].misbehave(Fault(status=401), 1000)
        self.around("key", 1)

    def test_errors(self):
        self.provider["errors"].misbehave(Fault(status=500), 1000)
        self.around("errors", 3)

    def test_nobody_there(self):
        self.around("gone", 3)

    def test_operators_move_what_waits_of_a_tenant(self):
        (tenant, (user,)), (_, (other,)) = self.tenant(["idle"]), self.tenant(["idle"])
        self.proxy.ctl("provider", "suspend", "idle", "--reason", "a test")
        wait_until(lambda: self.proxy.metric("provider_up", provider="idle") == 0, 20, "the suspension")
        sent, (_, left) = [self.send(user) for _ in range(3)], self.send(other)
        self.assertEqual(self.proxy.ctl("queue", "reroute", "--tenant", tenant, "--to", "nobody", check=False).returncode, 65)
        done = self.proxy.ctl("queue", "reroute", "--tenant", tenant, "--to", "good")
        self.assertIn("3 messages will go to good only", done.stdout)
        for _, word in sent:
            self.arrives("good", word)
        self.assertEqual(self.at("good", left), [])
        self.proxy.ctl("provider", "resume", "idle")
        self.arrives("idle", left)
        self.assertEqual([self.at("idle", word) for _, word in sent], [[]] * 3)

    def test_what_may_have_arrived_stays_where_it_is_when_it_was_dead_meanwhile(self):
        tenant, (user,) = self.tenant(["quiet > good"])
        self.proxy.ctl("tenant", "set", tenant, "--max-attempts", "1")
        self.proxy.await_changes()
        self.provider["quiet"].misbehave(Fault(reset_after=True), 1)
        ident, word = self.send(user)
        wait_until(lambda: self.cluster.sql(f"SELECT 1 FROM dead_letter WHERE message_id = '{ident}'"), 30, "the dead letter")
        self.provider["quiet"].misbehave(Fault(status=401), 1000)
        _, other = self.send(user)
        self.arrives("good", other)
        self.proxy.ctl("dead", "retry", ident)
        _, later = self.send(user)
        self.arrives("good", later)
        wait_until(lambda: self.cluster.sql(f"SELECT 1 FROM queue WHERE pinned AND provider = 'quiet' AND message_id = '{ident}'"),
                   30, "the pin")
        time.sleep(2.5)     # longer than qmgr takes to read the shard again
        self.assertEqual(self.at("good", word), [])
        self.proxy.ctl("queue", "reroute", ident)
        self.arrives("good", word)

    def test_what_may_have_arrived_stays_until_an_operator_says_otherwise(self):
        _, (user,) = self.tenant(["silent > good"])
        self.provider["silent"].misbehave(Fault(reset_after=True), 1)
        ident, word = self.send(user)
        wait_until(lambda: self.cluster.sql(f"SELECT 1 FROM queue WHERE pinned AND message_id = '{ident}'"), 30, "the pin")
        self.provider["silent"].misbehave(Fault(status=401), 1000)
        _, other = self.send(user)
        self.arrives("good", other)
        # Its next attempt is due, and waits for the provider that is down.
        wait_until(lambda: self.cluster.sql(f"SELECT 1 FROM queue WHERE due_at < now() AND message_id = '{ident}'"), 30, "due")
        _, later = self.send(user)
        self.arrives("good", later)
        self.assertEqual(self.at("good", word), [])
        self.proxy.ctl("queue", "reroute", ident)
        self.arrives("good", word)
        kinds = [row[0] for row in self.cluster.sql(f"SELECT kind FROM event WHERE message_id = '{ident}' ORDER BY at")]
        self.assertIn("unknown", kinds)
        self.assertIn("rerouted", kinds)


if __name__ == "__main__":
    unittest.main()
