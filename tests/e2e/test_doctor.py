# SPDX-License-Identifier: Apache-2.0
"""smtp-proxyctl doctor: on a good host everything is ok, and each thing that is wrong is named."""
import contextlib
import json
import os
import subprocess
import unittest

from tests.support.base import PROGRAM_CTL, SQL, Authority, Scratch, run, wait_until
from tests.support.cluster import Cluster
from tests.support.proxy import Proxy
from tests.support.redis import Redis
from tests.support.standin import SendGrid


class Doctor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("max_prepared_transactions = 5\nwal_level = logical\nautovacuum_naptime = 600\n")
        cls.addClassCleanup(cls.cluster.close)
        cls.redis = Redis()
        cls.addClassCleanup(cls.redis.close)
        cls.standin = SendGrid()
        cls.addClassCleanup(cls.standin.close)
        cls.proxy = Proxy(cls.cluster, {"sendgrid": cls.standin}, {"redis": {"url": cls.redis.url}})
        cls.addClassCleanup(cls.proxy.close)
        cls.proxy.migrate()
        cls.proxy.start()

    def doctor(self, *args, status=None):
        """{check: [(level, what, advice)]}"""
        done = self.proxy.ctl("--json", "doctor", "--sql", SQL, *args, check=False)
        if status is not None:
            self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        found = {}
        for line in done.stdout.splitlines():
            row = json.loads(line)
            found.setdefault(row["check"], []).append((row["level"], row["what"], row["advice"]))
        return found

    def assertSays(self, found, check, level, *words):
        lines = [one for one in found.get(check, []) if one[0] == level and all(w in " ".join(one) for w in words)]
        self.assertTrue(lines, f"{check} {level} {words}: {found.get(check)}")
        if level != "ok":
            self.assertTrue(lines[0][2], "no advice")

    @contextlib.contextmanager
    def psql(self, *statements, user="smtp_proxy"):
        """Another session with these done, left open."""
        env = dict(os.environ, PGPASSWORD=self.cluster.admin_password, PGAPPNAME="forgotten")
        session = subprocess.Popen([str(self.cluster.bin / "psql"), "-X", "-q", "-h", str(self.cluster.socket), "-p",
                                    str(self.cluster.port), "-U", user, "-d", "smtp_proxy"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True, env=env)
        try:
            session.stdin.write("".join(s + ";\n" for s in statements) + "\\echo done\n")
            session.stdin.flush()
            for line in session.stdout:
                if line == "done\n":
                    break
            yield session
        finally:
            session.stdin.close()
            session.wait()
            session.stdout.close()

    def test_a_good_host(self):
        wait_until(lambda: self.cluster.one("SELECT count(*) FROM shard WHERE until > now()") == "64", 30, "the leases")
        found = self.doctor(status=0)
        for check in ("settings.file", "files.settings", "files.state_dir", "files.run_dir", "files.journal", "tls.key",
                      "tls.certificate", "redis.reachable", "service.running", "provider.state", "database.reachable",
                      "database.version", "database.encoding", "database.connections", "database.clock", "database.schema",
                      "database.partitions", "database.horizon", "database.dead_rows", "queue.hosts", "queue.shards",
                      "queue.late"):
            self.assertSays(found, check, "ok")
        people = self.proxy.ctl("doctor", "--sql", SQL).stdout
        self.assertIn("WHAT TO DO", people)
        self.assertNotIn("secret", people)

    def test_what_holds_dead_rows_back_is_named(self):
        with self.psql("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM queue"):
            found = self.doctor("--older", "0s", status=1)
        self.assertSays(found, "database.horizon", "warning", "smtp_proxy", "forgotten", "pg_terminate_backend")
        self.cluster.sql("BEGIN; CREATE TABLE prepared (); PREPARE TRANSACTION 'left over'")
        found = self.doctor("--older", "0s", status=1)
        self.cluster.sql("ROLLBACK PREPARED 'left over'")
        self.assertSays(found, "database.horizon", "warning", "left over", "ROLLBACK PREPARED")
        # A young one is nobody's business.
        with self.psql("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM queue"):
            self.assertSays(self.doctor(status=0), "database.horizon", "ok")

    def test_the_database(self):
        self.cluster.alter("fsync = off")
        self.cluster.alter("autovacuum = off")
        wait_until(lambda: self.cluster.one("SHOW autovacuum") == "off", 10, "the settings")
        found = self.doctor(status=69)
        self.assertSays(found, "database.durability", "error", "fsync")
        self.assertSays(found, "database.autovacuum", "error", "off")
        self.cluster.alter("fsync = on")
        self.cluster.alter("autovacuum = on")
        wait_until(lambda: self.cluster.one("SHOW autovacuum") == "on", 10, "the settings")

    def test_connections(self):
        crowd = [self.psql("SELECT 1") for _ in range(45)]
        with contextlib.ExitStack() as stack:
            for one in crowd:
                stack.enter_context(one)
            found = self.doctor(status=1)
        self.assertSays(found, "database.connections", "warning", "of 60", "PgBouncer")

    def test_dead_rows(self):
        self.cluster.sql("INSERT INTO host (owner, name, seen_at) SELECT 'x' || n, 'x', '2000-01-01' FROM "
                         "generate_series(1, 12000) n; DELETE FROM host WHERE name = 'x'")
        wait_until(lambda: any("host: 12" in one[1] for one in self.doctor()["database.dead_rows"]), 30, "the statistics", 0.5)
        self.assertSays(self.doctor(status=1), "database.dead_rows", "warning", "host", "VACUUM")
        self.cluster.sql("VACUUM host")

    def test_schema_and_partitions(self):
        self.cluster.sql("DELETE FROM schema_version WHERE version = 4")
        day = self.cluster.one("SELECT to_char((now() AT TIME ZONE 'UTC')::date + 2, '_YYYYMMDD')")
        self.cluster.sql(f"ALTER TABLE event{day} RENAME TO elsewhere")
        found = self.doctor(status=69)
        self.cluster.sql(f"ALTER TABLE elsewhere RENAME TO event{day}")
        self.cluster.sql("INSERT INTO schema_version (version, name) VALUES (4, '0004_tenant.sql')")
        self.assertSays(found, "database.schema", "error", "0004_tenant.sql", "db migrate")
        self.assertSays(found, "database.partitions", "error", f"event{day}")

    def test_a_host_that_is_gone_and_shards_of_nobody(self):
        self.cluster.sql("INSERT INTO host (owner, name, seen_at) VALUES ('gone', 'gone.test', now() - interval '1 hour')")
        found = self.doctor(status=1)
        self.assertSays(found, "queue.hosts", "warning", "gone.test")
        self.cluster.sql("DELETE FROM host WHERE owner = 'gone'")

    def test_redis_is_away(self):
        self.redis.kill()
        found = self.doctor(status=69)
        self.redis.start()
        self.assertSays(found, "redis.reachable", "error", "start it")

    def test_rights(self):
        self.proxy.config.chmod(0o644)
        key = self.proxy.tls / "tls.key"
        key.chmod(0o622)
        state = self.proxy.directory / "state"
        state.chmod(0o777)
        found = self.doctor(status=69)
        state.chmod(0o755)
        key.chmod(0o600)
        self.proxy.config.chmod(0o600)
        self.assertSays(found, "files.settings", "warning", "chmod")
        self.assertSays(found, "tls.key", "error", "chmod")
        self.assertSays(found, "files.state_dir", "error", "chmod")

    def test_certificates(self):
        good = self.proxy.authority.issue("good", end=40 * 86400)
        for bad, level, words in ((self.proxy.authority.issue("soon", end=3 * 86400), "warning", "days more"),
                                  (self.proxy.authority.issue("over", end=-3600), "error", ""),
                                  ((good[0], self.proxy.authority.issue("other")[1]), "error", "")):
            self.proxy.install_certificate(*bad)
            found = self.doctor(status=1 if level == "warning" else 69)
            self.assertSays(found, "tls.certificate", level, words)
        self.proxy.install_certificate(*good)

    def test_without_a_service_and_a_database(self):
        scratch = Scratch("doctor")
        self.addCleanup(scratch.close)
        other = Proxy(None, {"sendgrid": self.standin}, authority=Authority(scratch.path))
        self.addCleanup(other.close)
        done = other.ctl("--json", "doctor", check=False)
        self.assertEqual(done.returncode, 69, done.stdout)
        self.assertIn('"check":"database.reachable"', done.stdout.replace(" ", ""))
        self.assertIn("service.running", done.stdout)
        bad = scratch.path / "bad.yaml"
        bad.write_text("smtpd: {workers: many}\n")
        done = run(PROGRAM_CTL, "-c", bad, "doctor")
        self.assertEqual(done.returncode, 78)
        self.assertIn("smtpd.workers", done.stdout)


if __name__ == "__main__":
    unittest.main()
