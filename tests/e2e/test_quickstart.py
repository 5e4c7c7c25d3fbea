# SPDX-License-Identifier: Apache-2.0
"""quickstart in a clone of its own: from nothing to a delivered message, again, stop, and again. Takes a build."""
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from tests.support.base import IS_ROOT, SOURCE, Scratch, patience


class Quickstart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch("quickstart")
        cls.addClassCleanup(cls.scratch.close)
        cls.clone = cls.scratch.path / "clone"
        cls.clone.mkdir()
        # What a clone would have, with what is not committed yet.
        files = subprocess.run(["git", "-C", str(SOURCE), "ls-files", "-z", "-co", "--exclude-standard"],
                               capture_output=True, check=True).stdout.decode().split("\0")
        for name in filter(None, files):
            if (SOURCE / name).is_file():
                (cls.clone / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(SOURCE / name, cls.clone / name)
        if IS_ROOT:
            # As below /root: nobody else may enter, so that what runs must live elsewhere.
            cls.clone.chmod(0o700)
        cls.addClassCleanup(cls.clean)

    @classmethod
    def clean(cls):
        cls.quickstart("stop")
        shutil.rmtree((cls.clone / "quickstart.d").resolve(), ignore_errors=True)

    @classmethod
    def quickstart(cls, *args, timeout=600):
        # Ports of its own, so that a quickstart of the developer's goes on; it finds free ones itself when these are taken.
        env = dict(os.environ, QUICKSTART_PORT="22587", QUICKSTART_PORT_TLS="22465", QUICKSTART_PORT_API="22080")
        with open(cls.scratch.path / "output", "w+", encoding="utf-8") as out:
            done = subprocess.run([str(cls.clone / "quickstart"), *args], stdout=out, stderr=subprocess.STDOUT, env=env,
                                  stdin=subprocess.DEVNULL, timeout=patience(timeout), check=False)
            out.seek(0)
            return done.returncode, out.read()

    def eml(self, said):
        found = re.search(r"^(/\S+\.eml)\b", said, re.M)
        self.assertIsNotNone(found, said)
        return pathlib.Path(found.group(1)).read_bytes()

    def test_start_status_again_stop_and_start(self):
        status, said = self.quickstart()
        self.assertEqual(status, 0, said)
        eml = self.eml(said)
        self.assertIn(b"Hello from quickstart", eml)
        self.assertIn(b"table.csv", eml)
        self.assertIn(b"picture.png", eml)
        self.assertIn("outbox", said)
        status, said = self.quickstart("status")
        self.assertEqual(status, 0, said)
        self.assertIn("Postgres runs", said)
        pid = re.search(r"smtp-proxy runs \(pid (\d+)\)", said).group(1)

        status, again = self.quickstart()
        self.assertEqual(status, 0, again)
        self.assertIn(f"(pid {pid})", self.quickstart("status")[1], "what runs goes on running")
        self.assertEqual(len(list((self.clone / "quickstart.d" / "outbox").glob("*.eml"))), 2)
        for secret in (self.clone / "quickstart.d" / "secret").iterdir():
            self.assertNotIn(secret.read_text().strip(), said + again)
            self.assertNotIn(secret.read_text().strip(), (self.clone / "quickstart.d" / "log").read_text())
            self.assertEqual(secret.stat().st_mode & 0o077, 0)

        status, said = self.quickstart("stop")
        self.assertEqual(status, 0, said)
        self.assertFalse(pathlib.Path(f"/proc/{pid}").exists())
        status, said = self.quickstart("status")
        self.assertNotEqual(status, 0)
        self.assertIn("does not run", said)

        status, said = self.quickstart()
        self.assertEqual(status, 0, said)
        self.assertEqual(len(list((self.clone / "quickstart.d" / "outbox").glob("*.eml"))), 3)

    def test_a_wrong_word_is_64(self):
        self.assertEqual(self.quickstart("frobnicate")[0], 64)


if __name__ == "__main__":
    unittest.main()
