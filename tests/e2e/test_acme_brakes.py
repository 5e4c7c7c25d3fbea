# SPDX-License-Identifier: Apache-2.0
"""What must not cost an authority's orders without end, and a certificate that master has not heard of."""
import os
import shutil
import signal
import time
import unittest

from tests.support.acme_case import AcmeCase
from tests.support.standin import AcmeAuthority, Nonsense


class Brakes(AcmeCase):
    CERTIFICATES = {"mail.test": {}}
    START = False

    @classmethod
    def authority_for_tests(cls):
        return AcmeAuthority(cls.tls_authority)

    def tearDown(self):
        self.ca.behave()
        self.ca.window = None
        self.acme.stop()
        shutil.rmtree(self.acme.store(""), ignore_errors=True)

    def kill_renewer(self):
        mark = self.acme.log.mark()
        os.kill(self.acme.child("cert-renewer"), signal.SIGKILL)
        self.acme.log.wait("master.child.ready", 20, since=mark, child="cert-renewer")
        return mark

    def test_a_window_that_is_always_over(self):
        self.ca.window, since = (-7200, -3600), len(self.ca.asked)
        self.acme.start()
        self.acme.await_valid("mail.test")
        row = self.acme.await_row("mail.test", lambda r: "ARI" in r["renew_why"])
        time.sleep(4)
        self.assertEqual(self.ca.count("new-order", since), 1)
        self.assertAlmostEqual(row["renew_at"], row["last_success"] + 6 * 3600, delta=5)
        self.acme.renew("mail.test")
        self.acme.await_valid("mail.test", other_than=row["serial"])

    def test_it_dies_in_the_middle_of_a_try(self):
        self.ca.misbehave("new-order", Nonsense(hang=True), times=1000)
        self.acme.start()
        self.acme.log.wait("cert.order.begun", 20)
        mark = self.kill_renewer()
        row = self.acme.await_row("mail.test", lambda r: r["failures"] > 0)
        self.assertIn("ended in the middle", row["last_error"])
        self.assertGreater(row["next_try"] - row["last_error_at"], 20)
        self.assertEqual(self.acme.log.all("cert.order.begun", since=mark), [])
        self.ca.behave()
        self.acme.renew("mail.test")
        self.assertEqual(self.acme.await_valid("mail.test")["failures"], 0)

    def test_another_authority_is_not_bound_by_what_the_first_said(self):
        self.ca.misbehave("new-order", Nonsense(problem="rateLimited", headers={"Retry-After": "86400"}), times=1000)
        self.acme.start()
        self.acme.await_row("mail.test", lambda r: r["next_try"] > time.time() + 80000)
        other = AcmeAuthority(self.tls_authority, http_port=self.ca.http_port)
        self.addCleanup(other.close)
        former = dict(self.acme.settings["acme"])
        self.acme.settings["acme"] |= other.settings()
        self.acme.write_settings()
        self.acme.reload()
        self.assertEqual(self.acme.await_valid("mail.test")["failures"], 0)
        self.acme.settings["acme"] = former
        self.acme.write_settings()

    def test_a_lost_account_key(self):
        self.acme.start()
        row = self.acme.await_valid("mail.test")
        self.acme.stop()
        for path in self.acme.store(".accounts").glob("*.pem"):
            path.unlink()
        self.acme.start()
        self.acme.renew("mail.test")
        self.assertEqual(self.acme.await_valid("mail.test", other_than=row["serial"])["failures"], 0)

    def test_master_has_not_heard_of_it(self):
        self.acme.start()
        first = self.acme.await_valid("mail.test")
        self.acme.renew("mail.test")
        self.acme.await_valid("mail.test", other_than=first["serial"])
        self.acme.await_served("mail.test")
        former, = (self.acme.store("mail.test") / "history").glob("*.pem")
        shutil.move(former, self.acme.store("mail.test") / "tls.pem")   # as if it died right after putting it there
        self.kill_renewer()
        self.acme.await_served("mail.test")


class SameNames(AcmeCase):
    """An authority may give the same order, or the same challenges, to whoever asks for the same names again."""

    CERTIFICATES = {"one": {"names": "mail.test"}, "two": {"names": "mail.test", "key_type": "rsa"}}
    START = False

    @classmethod
    def authority_for_tests(cls):
        return AcmeAuthority(cls.tls_authority)

    def test_one_after_the_other(self):
        self.ca.misbehave("new-order", Nonsense(latency=1.0), times=2)
        self.acme.start()
        for key in self.CERTIFICATES:
            self.assertEqual(self.acme.await_valid(key)["failures"], 0)
        steps = [e["event"] for e in self.acme.log.events
                 if e.get("event") in ("cert.order.begun", "cert.obtained") and e["certificate"] in ("one", "two")]
        self.assertEqual(steps, ["cert.order.begun", "cert.obtained"] * 2)


if __name__ == "__main__":
    unittest.main()
