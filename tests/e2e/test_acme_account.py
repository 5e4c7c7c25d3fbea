# SPDX-License-Identifier: Apache-2.0
"""The account at the authority: one for all hosts that share copies, whose key changes; one for each authority."""
import os
import time
import unittest

from tests.support.acme_case import Acme
from tests.support.base import Authority, Scratch, patience, wait_until
from tests.support.pebble import Pebble


def keys_of(place):
    """{file: text} of the accounts' keys below a store or the copies."""
    return {p.name: p.read_text() for p in (place / ".accounts").glob("*.pem")}


class Account(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch("account")
        self.addCleanup(self.scratch.close)
        self.authority = Authority(self.scratch.path)
        self.ca = self.pebble()
        self.copies = self.scratch.sub("copies", 0o777)

    def pebble(self):
        ca = Pebble(self.authority)
        self.addCleanup(ca.close)
        return ca

    def host(self, name, **acme):
        """They run one after the other: the authority finds whoever has the port."""
        host = Acme(self.ca, {"mail.test": {}}, {"acme": {"http_port": self.ca.http_port} | acme}, name=name)
        self.addCleanup(host.close)
        return host

    @staticmethod
    def store(host):
        return host.store("mail.test").parent

    def renewed(self, host):
        """Another certificate than the one that is there."""
        serial = host.await_valid("mail.test")["serial"]
        host.renew("mail.test")
        return host.await_valid("mail.test", other_than=serial)

    def refused_once(self, host):
        """The key is not the account's (any more): one order fails, and the next one goes under the key that is."""
        row = host.await_valid("mail.test")
        host.renew("mail.test")
        failed = host.await_row("mail.test", lambda r: r["failures"] == 1)
        self.assertIn("malformed", failed["last_error"])
        host.log.wait("cert.account.other_key")
        host.renew("mail.test")
        renewed = host.await_valid("mail.test", other_than=row["serial"])
        self.assertEqual(renewed["failures"], 0)

    def test_hosts_with_copies_have_one_account_and_follow_when_its_key_changes(self):
        first, second = self.host("one", backup_directory=str(self.copies)), self.host("two", backup_directory=str(self.copies))
        first.start()
        self.assertEqual(first.await_row("mail.test", lambda r: r["backup"] == "good")["failures"], 0)
        first.stop()
        second.start()
        latest = self.renewed(second)["serial"]
        self.assertEqual(keys_of(self.store(first)), keys_of(self.store(second)))
        second.await_row("mail.test", lambda r: r["backup"] == "good")
        second.stop()
        first.start()       # and takes the second one's certificate
        first.await_row("mail.test", lambda r: r["serial"] == latest)
        first.ctl("cert", "rollover")
        first.log.wait("cert.account.rolled")
        wait_until(lambda: keys_of(self.copies) == keys_of(self.store(first)), 10, "the new key among the copies")
        first.stop()
        self.assertNotEqual(keys_of(self.store(first)), keys_of(self.store(second)))
        second.start()
        self.refused_once(second)
        self.assertEqual(keys_of(self.store(first)), keys_of(self.store(second)))

    def test_a_change_of_the_key_that_was_cut_off_is_found_out(self):
        host = self.host("one")
        host.start()
        host.await_valid("mail.test")
        old = keys_of(self.store(host))
        host.ctl("cert", "rollover")
        host.log.wait("cert.account.rolled")
        host.stop()
        new = keys_of(self.store(host))
        self.assertEqual((len(old), len(new), old == new), (1, 1, False))
        # As it lies there when the host dies after the authority's word and before ours.
        name = next(iter(new))
        place = self.store(host) / ".accounts" / name
        following = place.with_name(name.removesuffix(".pem") + ".next.pem")
        place.rename(following)
        place.write_text(old[name])
        place.chmod(0o600)
        status = following.stat()
        os.chown(place, status.st_uid, status.st_gid)
        host.start()
        self.refused_once(host)
        self.assertEqual(keys_of(self.store(host)), new)

    def test_a_change_of_the_key_that_never_came_about_leaves_the_old_one(self):
        host = self.host("one")
        host.start()
        host.await_valid("mail.test")
        self.ca.pause()
        host.ctl("cert", "rollover")
        wait_until(lambda: len(keys_of(self.store(host))) == 2, 10, "the key that lies beside the old one")
        host.stop()
        self.ca.resume()
        host.start()
        self.renewed(host)
        self.assertEqual(len(keys_of(self.store(host))), 1)

    def test_an_account_made_without_the_copies_is_never_put_over_theirs(self):
        first, second = self.host("one", backup_directory=str(self.copies)), self.host("two")
        first.start()
        first.await_row("mail.test", lambda r: r["backup"] == "good")
        wait_until(lambda: keys_of(self.copies), 10, "the key among the copies")
        first.stop()
        second.start()
        second.await_valid("mail.test")
        second.stop()
        shared, own = keys_of(self.copies), keys_of(self.store(second))
        self.assertNotEqual(shared, own)
        second.settings["acme"]["backup_directory"] = str(self.copies)
        second.write_settings()
        second.start()
        self.renewed(second)
        second.log.wait("cert.account.apart")
        second.ctl("cert", "rollover")
        second.log.wait("cert.account.rolled")
        self.renewed(second)
        self.assertNotEqual(keys_of(self.store(second)), own)
        self.assertEqual(keys_of(self.copies), shared)
        # There is room for it.
        for path in (self.copies / ".accounts").glob("*.pem"):
            path.unlink()
        self.renewed(second)
        wait_until(lambda: keys_of(self.copies) == keys_of(self.store(second)), 10, "the key among the copies")
        wait_until(lambda: not list((self.store(second) / ".accounts").glob("*.apart")), 10, "the end of its being apart")

    def test_each_authority_has_an_account_of_its_own(self):
        host = self.host("one")
        host.start()
        serial = host.await_valid("mail.test")["serial"]
        first = keys_of(self.store(host))
        other = self.pebble()
        host.settings["acme"] |= other.settings() | {"http_port": self.ca.http_port}
        host.write_settings()
        host.ctl("reload")
        host.log.wait("master.settings.changed", setting="acme.directory")
        self.assertEqual(host.row("mail.test")["serial"], serial, "what is good stays until it is time")
        host.renew("mail.test")
        host.log.wait("cert.account.known", directory=other.settings()["directory"])
        both = keys_of(self.store(host))
        self.assertEqual((len(both), first.items() <= both.items()), (2, True))

    def test_the_end_comes_at_once_in_the_middle_of_an_order(self):
        host = self.host("one")
        self.ca.pause()
        self.addCleanup(self.ca.resume)
        host.start()
        host.await_row("mail.test", lambda r: r["state"] == "renewing")
        begun = time.monotonic()
        host.stop()
        self.assertLess(time.monotonic() - begun, patience(3))


if __name__ == "__main__":
    unittest.main()
