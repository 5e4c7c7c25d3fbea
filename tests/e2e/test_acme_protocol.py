# SPDX-License-Identifier: Apache-2.0
"""The ACME protocol (RFC 8555, RFC 9773) as cert-renewer speaks it: with a real authority (pebble), and with one that talks
nonsense. tests/cert-renewer/acme_driver.c has the account; the challenges are put up here.
"""
import base64
import hashlib
import http.server
import json
import queue
import re
import subprocess
import threading
import time
import unittest

from tests.support.acme_case import certificates_of, looked_at
from tests.support.base import BUILD, Authority, Scratch, patience
from tests.support.pebble import EAB_KEY_ID, Dns, Pebble
from tests.support.standin.acme import AcmeAuthority, Nonsense

DRIVER = BUILD / "tests/cert-renewer/acme_driver"


class Web:
    """Answers http-01 at the port that the authority asks."""

    def __init__(self, port):
        web = self
        self.answers = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                answer = web.answers.get(self.path.rpartition("/")[2], "nothing").encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Driver:
    """The program, its lines, and a thread that puts up challenges; `hold`: they are left to the test."""

    def __init__(self, ca, key, web=None, dns=None, agrees=True, contact="", kid="", eab_key="", account="", url=None, trusted=None):
        self.web, self.dns = web, dns
        self.hold = False
        self.up = {}            # token: (name, key authorization)
        self.seen = []          # all events
        self.events = queue.Queue()
        self.process = subprocess.Popen(
            [str(DRIVER), url or ca.url, str(trusted or ca.authority.ca_file), str(key), "yes" if agrees else "no", contact, kid,
             eab_key, account],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        for line in self.process.stdout:
            event = json.loads(line)
            self.seen.append(event)
            if event["event"] == "present":
                self._present(event)
            elif event["event"] == "withdraw":
                self._withdraw(event)
            self.events.put(event)

    def _record(self, event):
        digest = hashlib.sha256(event["authorization"].encode()).digest()
        return f"_acme-challenge.{event['name']}.", base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def _present(self, event):
        self.up[event["token"]] = (event["name"], event["authorization"])
        if self.hold:
            return
        if self.web and event["kind"] == 0:
            self.web.answers[event["token"]] = event["authorization"]
        if self.dns and event["kind"] == 2:
            self.dns.set_txt(*self._record(event))
        self.tell(f"up {event['n']}")

    def _withdraw(self, event):
        del self.up[event["token"]]
        if self.web:
            self.web.answers.pop(event["token"], None)
        if self.dns and event["kind"] == 2:
            self.dns.clear_txt(self._record(event)[0])

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait(self, kind, timeout=60):
        end = time.monotonic() + patience(timeout)
        while True:
            try:
                event = self.events.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kind}; there were {self.seen}") from None
            if event["event"] == kind:
                return event

    def order(self, names, kind="http-01", profile="-", replaces="-", chain="-", timeout=60):
        self.tell(f"order {kind} {names} {profile} {replaces} {chain}")
        return self.wait("order", timeout)

    def do(self, line):
        self.tell(line)
        return self.wait(line.split()[0])

    def urls(self):
        return [e["url"] for e in self.seen if e["event"] == "account"]

    def close(self):
        """It must end by itself, and have found no fault in its memory."""
        if self.process.poll() is None:
            self.tell("end")
        status = self.process.wait(patience(20))
        self.thread.join(patience(10))
        self.process.stdin.close()
        self.process.stdout.close()
        assert status == 0, f"the driver ended with {status}"


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch("protocol")
        cls.addClassCleanup(cls.scratch.close)
        cls.authority = Authority(cls.scratch.path)

    def driver(self, ca, **kw):
        key = kw.pop("key", None) or self.scratch.path / f"account-{self.id().rpartition('.')[2]}.pem"
        driver = Driver(ca, key, **kw)
        self.addCleanup(driver.close)
        return driver

    def assertGood(self, done, names):
        self.assertNotIn("why", done)
        leaf = looked_at(done["chain"])
        self.assertEqual(leaf["names"], sorted(names))
        self.assertNotIn("PRIVATE", done["chain"])
        return leaf


class WithPebble(Case):
    """The authority refuses half of all good nonces, and uses valid authorizations again at times."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dns = Dns()
        cls.addClassCleanup(cls.dns.close)
        cls.ca = Pebble(cls.authority, dns=cls.dns, reject=50, reuse=0, chains=2, blocked=["blocked.example"])
        cls.addClassCleanup(cls.ca.close)
        cls.web = Web(cls.ca.http_port)
        cls.addClassCleanup(cls.web.close)

    def test_a_certificate_for_several_names(self):
        driver = self.driver(self.ca, web=self.web, contact="a@users.example b@users.example")
        done = driver.order("one.example,two.example,three.example")
        self.assertGood(done, ["one.example", "two.example", "three.example"])
        self.assertEqual(len(certificates_of(done["chain"])), 2)
        self.assertEqual(len(driver.urls()), 1)
        self.assertEqual(driver.up, {})
        self.assertEqual(self.web.answers, {})
        # All were put up before the first was looked at.
        kinds = [e["event"] for e in driver.seen if e["event"] in ("present", "withdraw")]
        self.assertEqual(kinds, ["present"] * 3 + ["withdraw"] * 3)

    def test_a_wildcard_and_its_own_name_by_dns(self):
        driver = self.driver(self.ca, dns=self.dns)
        done = driver.order("*.wild.example,wild.example", "dns-01")
        self.assertGood(done, ["*.wild.example", "wild.example"])
        self.assertEqual({e["name"] for e in driver.seen if e["event"] == "present"}, {"wild.example"})

    def test_a_wildcard_is_not_for_http(self):
        done = self.driver(self.ca, web=self.web).order("*.wild.example")
        self.assertEqual(done["why"], "authorization of *.wild.example by http-01: the authority offers only: dns-01")
        self.assertTrue(done["is_ours"])

    def test_a_wrong_answer_is_told_with_the_authoritys_words(self):
        driver = self.driver(self.ca)      # tells that they are up, and nobody answers
        done = driver.order("wrong.example")
        self.assertRegex(done["why"], r"^authorization of wrong\.example by http-01: the authority says: .*"
                         r"\((unauthorized|connection), the authorization is invalid\)$")
        self.assertIn(done["problem"], ("unauthorized", "connection"))
        self.assertFalse(done["is_ours"])
        self.assertEqual(driver.up, {})

    def test_a_name_that_the_authority_refuses(self):
        done = self.driver(self.ca, web=self.web).order("x.blocked.example")
        self.assertRegex(done["why"], r"^ordering: the authority says: .*blocked\.example.*\(rejectedIdentifier, status 4..\)$")
        self.assertEqual(done["problem"], "rejectedIdentifier")
        self.assertTrue(done["is_ours"])

    def test_one_challenge_that_cannot_be_put_up(self):
        driver = self.driver(self.ca)
        driver.hold = True
        driver.tell("order http-01 up.example,down.example - - -")
        shown = [driver.wait("present"), driver.wait("present")]
        bad = next(e for e in shown if e["name"] == "down.example")
        driver.tell(f"not {bad['n']}")
        done = driver.wait("order")
        self.assertEqual(done["why"], "authorization of down.example by http-01: putting up the challenge: the test does not want to")
        withdrawn = [e["name"] for e in driver.seen if e["event"] == "withdraw"]
        self.assertEqual(withdrawn, ["up.example"])

    def test_a_cancelled_order_withdraws_its_challenges(self):
        driver = self.driver(self.ca)
        driver.hold = True
        driver.tell("order http-01 c1.example,c2.example - - -")
        driver.wait("present")
        driver.wait("present")
        driver.tell("cancel")
        driver.wait("withdraw")
        driver.wait("withdraw")
        self.assertEqual(driver.up, {})
        # and as it ends
        driver.tell("order http-01 c3.example - - -")
        driver.wait("present")
        driver.tell("end")
        driver.wait("withdraw")

    def test_the_account_is_found_again(self):
        key = self.scratch.path / "again.pem"
        first = self.driver(self.ca, web=self.web, key=key)
        self.assertGood(first.order("again.example"), ["again.example"])
        url = first.urls()[0]
        first.close()
        # by its key, when only that is known
        second = self.driver(self.ca, web=self.web, key=key, contact="again@users.example")
        self.assertGood(second.order("again.example"), ["again.example"])
        self.assertEqual(second.urls(), [url])
        # by its URL
        third = self.driver(self.ca, web=self.web, key=key, account=url)
        self.assertGood(third.order("again.example"), ["again.example"])
        self.assertEqual(third.urls(), [])
        # gone: made anew
        other = self.driver(self.ca, web=self.web, account=url.rpartition("/")[0] + "/7777777")
        self.assertGood(other.order("again.example"), ["again.example"])
        self.assertEqual(len(other.urls()), 1)

    def test_revocation(self):
        driver = self.driver(self.ca, web=self.web)
        leaf = self.assertGood(driver.order("revoked.example"), ["revoked.example"])
        self.assertEqual(self.ca.status(leaf["serial"])["Status"], "Valid")
        self.assertEqual(driver.do("revoke 4"), {"event": "revoke"})
        status = self.ca.status(leaf["serial"])
        self.assertEqual((status["Status"], status["Reason"]), ("Revoked", 4))
        # Once more is done, too.
        self.assertEqual(driver.do("revoke 4"), {"event": "revoke"})
        self.assertGood(driver.order("next.example"), ["next.example"])
        failed = driver.do("revoke 99")
        self.assertRegex(failed["why"], r"^revoking the certificate: the authority says: .*\(badRevocationReason, status 4..\)$")

    def test_revocation_of_what_another_account_ordered(self):
        done = self.driver(self.ca, web=self.web).order("ours.example")
        leaf = self.assertGood(done, ["ours.example"])
        file = self.scratch.path / "ours.pem"
        other = self.driver(self.ca, web=self.web, key=self.scratch.path / "theirs.pem")
        self.assertGood(other.order("theirs.example"), ["theirs.example"])
        file.write_text(done["chain"])
        other.do(f"take {file}")
        # without the certificate's key
        self.assertEqual(other.do("revoke 4")["problem"], "unauthorized")
        file.write_text(done["key"] + done["chain"])
        other.do(f"take {file}")
        self.assertEqual(other.do("revoke 4"), {"event": "revoke"})
        status = self.ca.status(leaf["serial"])
        self.assertEqual((status["Status"], status["Reason"]), ("Revoked", 4))
        self.assertEqual(other.do("revoke 4"), {"event": "revoke"})
        # RSA does not sign requests.
        key = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, check=True, text=True).stdout
        third = self.assertGood(done := self.driver(self.ca, web=self.web).order("third.example"), ["third.example"])
        file.write_text(key + done["chain"])
        other.do(f"take {file}")
        self.assertRegex(other.do("revoke 4")["why"], "^revoking the certificate: another account ordered it, whose host has to revoke it")
        self.assertEqual(self.ca.status(third["serial"])["Status"], "Valid")

    def test_another_key(self):
        key = self.scratch.path / "rolled.pem"
        driver = self.driver(self.ca, web=self.web, key=key)
        self.assertGood(driver.order("before.example"), ["before.example"])
        before = key.read_text()
        self.assertEqual(driver.do("rollover"), {"event": "rollover"})
        self.assertGood(driver.order("behind.example"), ["behind.example"])
        self.assertEqual(driver.do("revoke 0"), {"event": "revoke"})
        driver.close()
        self.assertNotEqual(key.read_text(), before)
        again = self.driver(self.ca, web=self.web, key=key)
        self.assertGood(again.order("later.example"), ["later.example"])
        self.assertEqual(again.urls(), driver.urls())

    def test_the_chain_that_is_preferred(self):
        driver = self.driver(self.ca, web=self.web)
        wanted = re.search(r"CN ?= ?(.*)", subprocess.run(
            ["openssl", "x509", "-noout", "-subject"], input=self.ca.root(1).encode(), capture_output=True,
            check=True).stdout.decode()).group(1).strip()
        seen = {}
        for chain in ("-", wanted.replace(" ", "_")):
            done = driver.order("chain.example", chain=chain)
            self.assertGood(done, ["chain.example"])
            seen[chain] = looked_at(certificates_of(done["chain"])[-1])["issuer"]
        self.assertNotEqual(seen["-"], wanted)
        self.assertEqual(seen[wanted.replace(" ", "_")], wanted)

    def test_what_is_not_offered(self):
        driver = self.driver(self.ca, web=self.web)
        self.assertGood(driver.order("plain.example", profile="shortlived"), ["plain.example"])
        window = driver.do("window")
        self.assertEqual(window["is_offered"], False)
        self.assertGood(driver.order("plain.example", replaces="last"), ["plain.example"])

    def test_a_trust_that_does_not_fit(self):
        scratch = Scratch("other")
        self.addCleanup(scratch.close)
        done = self.driver(self.ca, trusted=Authority(scratch.path).ca_file).order("a.example")
        self.assertRegex(done["why"], r"^asking for the directory https://localhost:\d+/dir: no answer: .*certificate")


class WithBinding(Case):
    def test_external_account_binding(self):
        with Pebble(self.authority, eab=True) as ca:
            web = Web(ca.http_port)
            self.addCleanup(web.close)
            done = self.driver(ca, web=web).order("a.example")
            self.assertEqual(done["why"], "asking for the account: the authority wants an external account binding "
                             "(acme.eab_key_id, acme.eab_key)")
            self.assertTrue(done["is_ours"])
            done = self.driver(ca, web=web, kid=EAB_KEY_ID, eab_key="not/it").order("a.example")
            self.assertEqual(done["why"], "asking for the account: acme.eab_key is not base64url")
            self.assertTrue(done["is_ours"])
            done = self.driver(ca, web=web, kid=EAB_KEY_ID, eab_key="AAAA" + ca.eab_key[4:]).order("a.example")
            self.assertRegex(done["why"], r"^asking for the account: the authority says: ")
            driver = self.driver(ca, web=web, kid=EAB_KEY_ID, eab_key=ca.eab_key)
            self.assertGood(driver.order("a.example"), ["a.example"])


class WithReuse(Case):
    def test_what_is_valid_already_is_not_shown_again(self):
        with Pebble(self.authority, reuse=100) as ca:
            web = Web(ca.http_port)
            self.addCleanup(web.close)
            driver = self.driver(ca, web=web)
            self.assertGood(driver.order("known.example"), ["known.example"])
            self.assertGood(driver.order("known.example,new.example"), ["known.example", "new.example"])
            self.assertGood(driver.order("known.example,new.example"), ["known.example", "new.example"])
            self.assertEqual([e["name"] for e in driver.seen if e["event"] == "present"], ["known.example", "new.example"])


class WithNonsense(Case):
    """Each kind of nonsense gives one clear sentence, and withdraws what was put up; afterwards all is well."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ca = AcmeAuthority(cls.authority, profiles={"classic": 90, "shortlived": 6})
        cls.addClassCleanup(cls.ca.close)
        cls.ca.__enter__()

    def setUp(self):
        self.addCleanup(self.ca.behave)
        self.url = f"{self.ca.url}/dir"

    def driver(self, ca, **kw):
        return super().driver(ca, **{"url": self.url} | kw)

    def fails(self, step, fault, times=1, **kw):
        """The failure of an order, and of none after it."""
        driver = self.driver(self.ca, key=self.scratch.path / "nonsense.pem", **kw)
        self.ca.misbehave(step, fault, times)
        done = driver.order("a.example")
        self.assertEqual(driver.up, {})
        self.assertEqual(done["chain"], "")
        self.ca.behave()
        self.assertGood(driver.order("a.example"), ["a.example"])
        driver.close()
        self.assertEqual(self.ca.violations, [])
        return done

    def test_every_step_with_every_kind(self):
        kinds = {
            "broken off": (Nonsense(truncate=True), r"no JSON object|something in it that is no certificate|broken off"),
            "cut": (Nonsense(cut=True), r"breaks off"),
            "a web page": (Nonsense(type="text/html", body=b"<html>"), r'the answer is "text/html" instead of application/'),
            "a redirect": (Nonsense(status=302, headers={"Location": "/again"}),
                           r'the answer is a redirect \(status 302\) to "/again", which is not followed'),
            "huge": (Nonsense(body=b"{" * 2_000_000), r"is larger than 65536 octets"),
            "another object": (Nonsense(body=b"{}"), r"the answer|what the authority gave|the authorization"),
            "a refusal without words": (Nonsense(status=418), r"told to fail \(no known problem, status 418\)"),
        }
        steps = {
            "directory": "asking for the directory",
            "new-order": "ordering",
            "authorization": "asking for an authorization",
            "order": "asking for the order",
            "finalize": "sending the signing request",
            "certificate": "downloading the certificate",
        }
        for step, named in steps.items():
            for kind, (fault, why) in kinds.items():
                with self.subTest(step=step, kind=kind):
                    done = self.fails(step, fault)
                    self.assertRegex(done["why"], why)
                    self.assertTrue(done["why"].startswith(named), done["why"])
                    self.assertEqual(done["not_before"], 0)

    def test_an_endless_answer(self):
        done = self.fails("new-order", Nonsense(endless=True))
        self.assertEqual(done["why"], "ordering: the answer (status 201) is larger than 65536 octets")

    def test_nonces_that_are_none(self):
        for nonce in ("", "not a nonce!", "a" * 300):
            with self.subTest(nonce=nonce):
                done = self.fails("any", Nonsense(nonce=nonce), 1000)
                self.assertEqual(done["why"], "asking for a nonce: the answer has no nonce")
        done = self.fails("any", Nonsense(nonce="wrong"), 1000)
        self.assertEqual(done["why"], "asking for the account: the authority accepts none of its own nonces")

    def test_limits_are_told_with_their_time(self):
        for headers, seconds in (({"Retry-After": "3600"}, 3600), ({"Retry-After": "99999999999"}, 30 * 86400), ({}, None)):
            with self.subTest(headers=headers):
                now = time.time()
                done = self.fails("new-order", Nonsense(problem="rateLimited", detail="too many", status=429, headers=headers))
                self.assertEqual(done["why"], "ordering: the authority says: too many (rateLimited, status 429)")
                self.assertEqual(done["problem"], "rateLimited")
                if seconds:
                    self.assertAlmostEqual(done["not_before"] / 1e6 - now, seconds, delta=30)
                else:
                    self.assertEqual(done["not_before"], 0)
        now = time.time()
        done = self.fails("directory", Nonsense(status=503, headers={"Retry-After": "600"}))
        self.assertAlmostEqual(done["not_before"] / 1e6 - now, 600, delta=30)

    def test_what_may_be_better_in_a_moment_is_tried_again(self):
        driver = self.driver(self.ca)
        for fault in (Nonsense(status=500), Nonsense(reset=True), Nonsense(status=503, headers={"Retry-After": "1"})):
            since = len(self.ca.asked)
            self.ca.misbehave("new-order", fault)
            self.assertGood(driver.order("a.example"), ["a.example"])
            self.assertEqual(self.ca.count("new-order", since), 2)

    def test_an_order_that_takes_its_time(self):
        self.ca.polls, self.ca.retry_after = 2, "1"
        since, begun = len(self.ca.asked), time.monotonic()
        self.assertGood(self.driver(self.ca).order("slow.example"), ["slow.example"])
        self.assertGreaterEqual(self.ca.count("authorization", since), 4)
        self.assertGreaterEqual(self.ca.count("order", since), 2)
        self.assertGreaterEqual(time.monotonic() - begun, 4)

    def test_an_authorization_that_fails(self):
        self.ca.invalid = ("dns", "no such\nname")
        driver = self.driver(self.ca)
        done = driver.order("a.example")
        self.assertEqual(done["why"], "authorization of a.example by http-01: the authority says: no such name "
                         "(dns, the authorization is invalid)")
        self.assertEqual(done["problem"], "dns")
        self.assertEqual(driver.up, {})

    def test_states_that_are_ends(self):
        for state in ("deactivated", "expired", "revoked"):
            done = self.fails("authorization", Nonsense(edit=lambda o, s=state: o | {"status": s}))
            self.assertIn(f"the authorization is {state}", done["why"])
        done = self.fails("order", Nonsense(edit=lambda o: o | {"status": "invalid", "error": {"detail": "CAA says no"}}))
        self.assertEqual(done["why"], "ordering: the authority says: CAA says no (the order is invalid)")

    def test_names_and_urls_that_are_not_ours(self):
        done = self.fails("authorization", Nonsense(edit=lambda o: o | {"identifier": {"type": "dns", "value": "evil.example"}}))
        self.assertEqual(done["why"], "asking for an authorization: it is for a name that was not ordered")
        done = self.fails("new-order", Nonsense(edit=lambda o: o | {"finalize": "http://127.0.0.1:1/"}))
        self.assertIn("http is not encrypted", done["why"])
        done = self.fails("new-order", Nonsense(headers={"Location": None}))
        self.assertEqual(done["why"], "ordering: the answer does not tell the order's URL")
        done = self.fails("authorization", Nonsense(edit=lambda o: o | {
            "challenges": [c | {"token": "../../etc"} for c in o["challenges"]]}))
        self.assertIn("has no token, or one with characters that are not allowed", done["why"])

    def test_certificates_that_are_not_what_was_ordered(self):
        for leaf, why in (({"names": ["b.example"]}, ""), ({"start": -7200, "end": -3600}, "")):
            with self.subTest(leaf=leaf):
                driver = self.driver(self.ca)
                self.ca.leaf = leaf
                done = driver.order("a.example")
                self.assertRegex(done["why"], r"^downloading the certificate: what the authority gave cannot be used: .+")
                self.ca.leaf = {}
                driver.close()
        other = self.authority.issue("a.example", names="DNS:a.example")
        for chain in (lambda pem: other[0], lambda pem: other[1] + pem, lambda pem: ""):
            self.ca.chain = chain
            done = self.driver(self.ca).order("a.example")
            self.assertRegex(done["why"], r"^downloading the certificate: what the authority gave cannot be used: .+")

    def test_an_account_with_conditions(self):
        done = self.driver(self.ca, agrees=False).order("a.example")
        self.assertEqual(done["why"], "asking for the account: the authority wants its terms of service agreed to "
                         f"(acme.agree_to_terms): {self.ca.url}/terms")
        self.assertTrue(done["is_ours"])
        done = self.fails("new-order", Nonsense(problem="userActionRequired", detail="terms have changed", status=403, headers={
            "Link": f'<{self.ca.url}/terms/2>;rel="terms-of-service"'}))
        self.assertEqual(done["why"], f"ordering: the authority says: {self.ca.url}/terms/2: terms have changed "
                         "(userActionRequired, status 403)")
        self.assertTrue(done["is_ours"])
        self.ca.misbehave("new-account", Nonsense(edit=lambda o: {"status": "deactivated"}))
        done = self.driver(self.ca).order("a.example")
        self.assertEqual(done["why"], "asking for the account: the authority has closed it; it needs another key")

    def test_other_contacts_are_told(self):
        key = self.scratch.path / "contacts.pem"
        for contact in ("a@users.example", "", "b@users.example c@users.example"):
            since = len(self.ca.asked)
            driver = self.driver(self.ca, key=key, contact=contact)
            self.assertGood(driver.order("a.example"), ["a.example"])
            told = [payload for _, step, payload, _ in self.ca.asked[since:] if step == "account"]
            self.assertEqual(told, [{"contact": ["mailto:b@users.example", "mailto:c@users.example"]}] if " " in contact else [])
            driver.close()
        # That it is refused is no reason to go without a certificate.
        self.ca.misbehave("account", Nonsense(problem="invalidContact"))
        driver = self.driver(self.ca, key=key, contact="d@users.example")
        self.assertGood(driver.order("a.example"), ["a.example"])
        self.assertEqual(self.ca.violations, [])

    def test_profiles(self):
        driver = self.driver(self.ca)
        leaf = self.assertGood(driver.order("a.example", profile="shortlived"), ["a.example"])
        self.assertLess(leaf["end"] - time.time(), 7 * 86400)
        done = driver.order("a.example", profile="other")
        self.assertRegex(done["why"], r'^ordering: the authority has no profile "other"; it offers: classic shortlived')
        self.assertTrue(done["is_ours"])

    def test_renewal_information_and_replacement(self):
        driver = self.driver(self.ca)
        self.assertGood(driver.order("a.example"), ["a.example"])
        self.ca.window, self.ca.explanation = (3600, 7200), "https://example.com/why"
        now = time.time()
        window = driver.do("window")
        self.assertAlmostEqual(window["start"] / 1e6 - now, 3600, delta=30)
        self.assertAlmostEqual(window["end"] / 1e6 - now, 7200, delta=30)
        self.assertAlmostEqual(window["ask_again_at"] / 1e6 - now, 21600, delta=30)
        self.assertEqual((window["is_offered"], window["explanation"]), (True, "https://example.com/why"))
        self.assertGood(driver.order("a.example", replaces="last"), ["a.example"])
        self.assertEqual(self.ca.issued[-1]["replaces"], self.ca.issued[-2]["id"])
        # What the authority says of the one before does not stand in the way.
        since = len(self.ca.asked)
        self.ca.misbehave("new-order", Nonsense(problem="alreadyReplaced", status=409))
        self.assertGood(driver.order("a.example", replaces="last"), ["a.example"])
        self.assertIsNone(self.ca.issued[-1]["replaces"])
        self.assertEqual(self.ca.count("new-order", since), 2)
        for fault in (Nonsense(truncate=True), Nonsense(status=404), Nonsense(body=b'{"suggestedWindow": {}}')):
            self.ca.misbehave("renewal-info", fault)
            self.assertRegex(driver.do("window")["why"], r"^asking for the renewal information: ")
        self.assertEqual(self.ca.violations, [])

    def test_a_change_of_keys_whose_answer_got_lost(self):
        driver = self.driver(self.ca)
        self.assertGood(driver.order("a.example"), ["a.example"])
        # It is made, and all that is heard of it is nonsense.
        self.ca.misbehave("key-change", Nonsense(status=302))
        self.assertEqual(driver.do("rollover"), {"event": "rollover"})
        self.assertGood(driver.order("a.example"), ["a.example"])
        # It is refused.
        self.ca.misbehave("key-change", Nonsense(problem="malformed", detail="no"))
        self.assertEqual(driver.do("rollover")["why"], "changing the account's key: the authority says: no (malformed, status 400)")
        self.assertGood(driver.order("a.example"), ["a.example"])
        self.assertEqual(self.ca.violations, [])

    def test_what_is_under_way_when_the_account_ends_is_told(self):
        driver = self.driver(self.ca)
        self.assertGood(driver.order("a.example"), ["a.example"])
        for step, line in (("revoke", "revoke 0"), ("key-change", "rollover"), ("renewal-info", "window"),
                           ("new-order", "order http-01 b.example - - -")):
            since = len(self.ca.asked)
            self.ca.misbehave(step, Nonsense(hang=True))
            driver.tell(line)
            self.ca.wait_asked(step, since=since)
        told = len(driver.seen)
        driver.close()
        self.assertEqual(sorted((e["event"], e["why"]) for e in driver.seen[told:]),
                         [(event, "the account is being changed: try again") for event in ("order", "revoke", "rollover", "window")])

    def test_a_clock_that_is_wrong_is_spoken_of(self):
        driver = self.driver(self.ca)
        date = {"Date": "Sun, 06 Nov 2044 08:49:37 GMT"}
        self.ca.misbehave("new-order", Nonsense(problem="malformed", headers=date))
        done = driver.order("a.example")
        self.assertRegex(done["why"], r"\(malformed, status 400\); this host's clock is \d+ minutes behind the authority's$")
        # What is good by one of both clocks is taken.
        self.ca.misbehave("new-order", Nonsense(headers=date))
        self.assertGood(driver.order("a.example"), ["a.example"])
        self.ca.misbehave("new-order", Nonsense(headers={"Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT",
                                                                               time.gmtime(time.time() + 3 * 86400))}))
        self.ca.leaf = {"start": 2 * 86400}
        self.assertGood(driver.order("a.example"), ["a.example"])

    def test_a_server_whose_certificate_is_over_or_not_yet(self):
        for start, end, why in ((-2 * 86400, -86400, "has expired"), (86400, 2 * 86400, "is not yet valid")):
            chain, key = self.authority.issue("acme", start, end)
            server = AcmeAuthority(_Showing(self.authority, chain, key))
            with server:
                done = self.driver(server, url=f"{server.url}/dir", trusted=self.authority.ca_file).order("a.example")
            self.assertRegex(done["why"], rf"^asking for the directory https://\S+: no answer: .*certificate {why}; or this host's "
                             r"clock is wrong: it says 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def test_orders_at_the_same_time(self):
        """One account and its nonces for all of them."""
        driver, since = self.driver(self.ca), len(self.ca.asked)
        for n in range(3):
            driver.tell(f"order http-01 both{n}.example - - -")
        seen = [driver.wait("order") for _ in range(3)]
        self.assertEqual(sorted(looked_at(done["chain"])["names"] for done in seen), [[f"both{n}.example"] for n in range(3)])
        self.assertEqual(self.ca.count("new-account", since), 1)
        self.assertEqual(self.ca.count("directory", since), 1)
        self.assertGood(driver.order("later.example"), ["later.example"])
        self.assertEqual((self.ca.count("new-account", since), self.ca.count("directory", since)), (1, 2))


class _Showing:
    """An authority whose server shows this certificate."""

    def __init__(self, authority, chain, key):
        self.authority, self.shown = authority, (chain, key)

    def issue(self, *args, **kw):
        return self.shown

    def __getattr__(self, name):
        return getattr(self.authority, name)


if __name__ == "__main__":
    unittest.main()
