# SPDX-License-Identifier: Apache-2.0
"""smtp-proxyctl doctor: on a good host everything is ok, and each thing that is wrong is named."""
import contextlib
import json
import os
import signal
import subprocess
import unittest

from tests.support.base import PROGRAM_CTL, SQL, Authority, Scratch, run, wait_until
from tests.support.cluster import Cluster
from tests.support.proxy import Proxy
from tests.support.redis import Redis
from tests.support.standin import SendGrid


class DoctorCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("max_prepared_transactions = 5\nwal_level = logical\nautovacuum_naptime = 600\n")
        cls.addClassCleanup(cls.cluster.close)
        cls.standin = SendGrid()
        cls.addClassCleanup(cls.standin.close)
        cls.proxy = Proxy(cls.cluster, {"sendgrid": cls.standin}, cls.more_settings())
        cls.addClassCleanup(cls.proxy.close)
        cls.proxy.migrate()

    @classmethod
    def more_settings(cls):
        return {}

    def doctor(self, *args, status=None, sql=SQL):
        """{check: [(level, what, advice)]}"""
        done = self.proxy.ctl("--json", "doctor", "--sql", sql, *args, check=False)
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


class Running(DoctorCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.proxy.start()

    @classmethod
    def more_settings(cls):
        cls.redis = Redis()
        cls.addClassCleanup(cls.redis.close)
        return {"redis": {"url": cls.redis.url}}

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

    @contextlib.contextmanager
    def lying(self, function, arguments, text):
        """The database has such a function before that of Postgres, for who administers it."""
        self.cluster.sql(f"CREATE FUNCTION public.{function}({arguments}) RETURNS {text}; "
                         "ALTER ROLE smtp_proxy SET search_path = public, pg_catalog")
        try:
            yield
        finally:
            self.cluster.sql(f"ALTER ROLE smtp_proxy RESET search_path; DROP FUNCTION public.{function}({arguments})")

    def test_a_good_host(self):
        wait_until(lambda: self.cluster.one("SELECT count(*) FROM shard WHERE until > now()") == "64", 30, "the leases")
        found = self.doctor(status=0)
        for check in ("settings.file", "files.settings", "files.state_dir", "files.run_dir", "files.journal", "tls.key",
                      "tls.certificate", "tls.served", "redis.reachable", "service.running", "provider.state", "database.reachable",
                      "database.version", "database.encoding", "database.connections", "database.clock", "database.schema", "database.roles",
                      "database.partitions", "database.horizon", "database.dead_rows", "queue.hosts", "queue.shards",
                      "queue.late"):
            self.assertSays(found, check, "ok")
        self.assertSays(found, "database.version", "ok", "PostgreSQL " + self.cluster.one("SHOW server_version"))
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
        # A slot says not since when: only how many transactions ago.
        self.cluster.sql("SELECT pg_create_logical_replication_slot('left_over', 'pgoutput')", "postgres")
        self.assertSays(self.doctor("--older", "0s", status=0), "database.horizon", "ok")
        with self.lying("age", "xid", "int4 LANGUAGE sql AS $$ SELECT 1000001 $$"):
            found = self.doctor(status=1)
        self.cluster.sql("SELECT pg_drop_replication_slot('left_over')", "postgres")
        self.assertSays(found, "database.horizon", "warning", "slot left_over", "of unknown age", "1000001 transactions", "pg_drop_replication_slot")
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
        self.cluster.alter("synchronous_commit = off")
        self.cluster.alter("autovacuum = on")
        wait_until(lambda: self.cluster.one("SHOW autovacuum") == "on", 10, "the settings")
        found = self.doctor(status=69)
        self.cluster.alter("synchronous_commit = on")
        wait_until(lambda: self.cluster.one("SHOW synchronous_commit") == "on", 10, "the setting")
        self.assertSays(found, "database.durability", "error", "synchronous_commit")
        self.assertNotIn("database.autovacuum", found)

    def test_an_old_database(self):
        with self.lying("current_setting", "text", "text LANGUAGE sql AS $$ SELECT CASE $1 WHEN 'server_version_num' THEN '120022' "
                        "WHEN 'server_version' THEN '12.22' ELSE pg_catalog.current_setting($1) END $$"):
            found = self.doctor(status=69)
        self.assertSays(found, "database.version", "error", "12.22", "13 or later")

    def test_clocks_that_differ(self):
        for away, level in (("5 s", "warning"), ("-5 s", "warning"), ("1 hour", "error")):
            with self.lying("clock_timestamp", "", f"timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() + '{away}' $$"):
                found = self.doctor(status=69 if level == "error" else 1)
            self.assertSays(found, "database.clock", level, "ms apart", "NTP")

    def test_a_database_with_another_encoding(self):
        self.cluster.sql("CREATE DATABASE latin OWNER smtp_proxy ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0", "postgres")
        self.proxy.settings["database"]["name"] = "latin"
        self.proxy.write_settings()
        found = self.doctor(status=69)
        self.proxy.settings["database"]["name"] = "smtp_proxy"
        self.proxy.write_settings()
        self.assertSays(found, "database.encoding", "error", "LATIN1", "UTF8")
        # Nobody has made its tables: each check that needs them says so.
        self.assertSays(found, "database.schema", "error", "0001_queue.sql", "db migrate")
        self.assertSays(found, "queue.hosts", "error", "db migrate")

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
        self.assertSays(self.doctor(status=1, sql=self.proxy.out), "database.schema", "warning", "--sql DIR")

    def test_messages_of_days_without_a_partition(self):
        self.cluster.sql("INSERT INTO message (tenant_id, message_id, user_id, session, client, helo, mail_from, recipients, is_8bit, "
                         "is_utf8, size, mail_at, received_at, content) SELECT i, i, i, '', '', '', '', '{}', false, false, 0, now(), "
                         "now(), '' FROM (SELECT '7fffffff-ffff-7000-8000-000000000000'::uuid) AS far (i)")
        found = self.doctor(status=1)
        self.cluster.sql("DELETE FROM message_other")
        self.assertSays(found, "database.partitions", "warning", "message_other", "clock")
        self.assertSays(found, "database.partitions", "ok")

    def test_a_host_that_is_gone_and_shards_of_nobody(self):
        self.cluster.sql("INSERT INTO host (owner, name, seen_at) VALUES ('gone', 'gone.test', now() - interval '1 hour')")
        found = self.doctor(status=1)
        self.assertSays(found, "queue.hosts", "warning", "gone.test")
        self.cluster.sql("DELETE FROM host WHERE owner = 'gone'")

    def test_a_provider_that_is_suspended(self):
        self.proxy.ctl("provider", "suspend", "sendgrid", "--reason", "they move house")
        wait_until(lambda: self.proxy.metric("provider_up", provider="sendgrid") == 0, 20, "the suspension")
        found = self.doctor(status=1)
        self.proxy.ctl("provider", "resume", "sendgrid")
        self.assertSays(found, "provider.state", "warning", "sendgrid is suspended", "they move house", "provider test")

    def test_a_process_that_is_not_ready(self):
        def seen():
            os.kill(self.proxy.child("api"), signal.SIGKILL)
            return next((one for one in self.doctor().get("service.process", []) if "api" in one[1]), None)
        level, what, advice = wait_until(seen, 40, "a process between two lives", 0.2)
        self.assertEqual(level, "error")
        self.assertIn("is not ready", what)
        self.assertTrue(advice)
        wait_until(lambda: "service.process" not in self.doctor(), 40, "all processes", 0.5)

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
        for bad, level, words in ((self.proxy.authority.issue("soon", -80 * 86400, 3 * 86400), "warning", "days more"),
                                  (self.proxy.authority.issue("over", end=-3600), "error", ""),
                                  ((good[0], self.proxy.authority.issue("other")[1]), "error", "")):
            self.proxy.install_certificate(*bad)
            found = self.doctor(status=1 if level == "warning" else 69)
            self.assertSays(found, "tls.certificate", level, words)
        self.proxy.install_certificate(*good)
        self.assertSays(self.doctor(), "tls.served", "warning", "2 of 2 workers", "reload")
        self.assertTrue(self.proxy.reload())
        self.assertSays(self.doctor(), "tls.served", "ok")

        for name in ("tls.pem", "tls.key"):
            path = self.proxy.tls / name
            path.rename(self.proxy.tls / "elsewhere")
            found = self.doctor(status=69)
            (self.proxy.tls / "elsewhere").rename(path)
            self.assertSays(found, "tls.certificate", "error", name)
        # Each of the others is looked at too.
        (self.proxy.tls / "over.pem").write_text("".join(self.proxy.authority.issue("over", end=-3600)))
        (self.proxy.tls / "over.pem").chmod(0o600)
        self.proxy.settings["certificates"] = {"other": {"certificate_file": str(self.proxy.tls / "over.pem")}}
        self.proxy.write_settings()
        found = self.doctor(status=69)
        del self.proxy.settings["certificates"]
        self.proxy.write_settings()
        self.assertSays(found, "tls.certificate", "error", "over.pem")
        self.assertSays(found, "tls.certificate", "ok", "tls.pem")


class Stopped(DoctorCase):
    """The service does not run: its queue and its directories."""

    def test_nobody_serves_the_queue(self):
        found = self.doctor(status=69)
        self.assertSays(found, "service.running", "warning")
        self.assertSays(found, "queue.shards", "error", "64 of 64", "start smtp-proxy")
        self.assertSays(found, "queue.late", "ok", "0 messages wait")
        # Another host that lives will take them.
        self.cluster.sql("INSERT INTO host (owner, name) VALUES ('alive', 'alive.test')")
        found = self.doctor(status=1)
        self.cluster.sql("DELETE FROM host")
        self.assertSays(found, "queue.hosts", "ok", "alive.test is alive")
        self.assertSays(found, "queue.shards", "warning", "64 of 64", "within a lease")

    def test_messages_that_wait_too_long(self):
        self.cluster.sql("INSERT INTO queue (shard, tenant_id, message_id, due_at, is_held) SELECT 3, gen_random_uuid(), "
                         "gen_random_uuid(), now() - n * interval '2 minutes', n = 5 FROM generate_series(0, 5) n")
        found = self.doctor()
        self.cluster.sql("DELETE FROM queue")
        self.assertSays(found, "queue.late", "warning", "6 messages wait, 1 of them held, 2 for five minutes longer", "provider list")

    def test_directories(self):
        state, aside = self.proxy.directory / "state", self.proxy.directory / "aside"
        state.rename(aside)
        self.assertSays(self.doctor(status=69), "files.state_dir", "error", "No such file")
        state.write_text("")
        self.assertSays(self.doctor(status=69), "files.state_dir", "error", "is no directory")
        state.unlink()
        aside.rename(state)
        run_dir = self.proxy.directory / "run"
        run_dir.rename(aside)
        self.assertSays(self.doctor(), "files.run_dir", "ok", "the service makes it")
        aside.rename(run_dir)

    def test_what_may_not_be_read_of_the_database(self):
        self.cluster.sql("ALTER TABLE host OWNER TO postgres")
        found = self.doctor(status=69)
        self.cluster.sql("ALTER TABLE host OWNER TO smtp_proxy")
        self.assertSays(found, "queue.hosts", "error", "permission denied", "owns the tables")

    def test_what_the_services_may_not_do(self):
        self.cluster.sql("REVOKE DELETE ON queue FROM smtp_proxy_queue; REVOKE ALL ON smtp_user FROM smtp_proxy_gate; "
                         "ALTER ROLE smtp_proxy_gate PASSWORD 'another'")
        found = self.doctor(status=69)
        self.assertSays(found, "database.roles", "error", "DELETE on queue for smtp_proxy_queue", "GRANT")
        self.assertSays(found, "database.roles", "error", "SELECT on smtp_user for smtp_proxy_gate")
        self.assertSays(found, "database.roles", "error", "smtp_proxy_gate", "authentication failed", "db migrate")
        self.cluster.sql("GRANT DELETE ON queue TO smtp_proxy_queue; GRANT SELECT ON smtp_user TO smtp_proxy_gate")
        self.proxy.migrate()
        self.assertSays(self.doctor(), "database.roles", "ok")

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
