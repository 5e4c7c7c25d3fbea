# SPDX-License-Identifier: Apache-2.0
"""A private PgBouncer in transaction mode before a cluster (which listens to TCP)."""
import shutil
import subprocess

from tests.support.base import IS_ROOT, Scratch, wait_until
from tests.support.cluster import free_port

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin")


class PgBouncer:
    def __init__(self, cluster, pool=3):
        """pool: server connections for each role, fewer than its clients have to share."""
        self.cluster = cluster
        self.scratch = Scratch("pgbouncer")
        self.home = self.scratch.sub("home", 0o700, owner=cluster.user)
        self.port = free_port()
        self.ini, users = self.home / "pgbouncer.ini", self.home / "users.txt"
        users.write_text("".join(f'"{role}" "{word}"\n' for role, word in (
            ("smtp_proxy", cluster.admin_password), ("smtp_proxy_queue", cluster.queue_password),
            ("smtp_proxy_gate", cluster.gate_password))))
        self.ini.write_text(f"""[databases]
smtp_proxy = host={cluster.socket} port={cluster.port} pool_size={pool}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
admin_users = smtp_proxy
pool_mode = transaction
server_login_retry = 1
max_client_conn = 100
logfile = {self.home}/log
""")
        for path in (self.ini, users):
            path.chmod(0o600)
            if IS_ROOT:
                shutil.chown(path, cluster.user, cluster.user)
        self.process = None
        self.start()

    def start(self):
        extra = {"user": self.cluster.user, "group": self.cluster.user, "extra_groups": []} if IS_ROOT else {}
        self.process = subprocess.Popen([PROGRAM, "-q", str(self.ini)], cwd="/", stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **extra)
        wait_until(lambda: self.process.poll() is not None or self.clients() is not None, 20, "pgbouncer")
        if self.process.poll() is not None:
            raise AssertionError((self.home / "log").read_text())

    def ask(self, question):
        done = subprocess.run([str(self.cluster.bin / "psql"), "-X", "-A", "-t", "-h", "127.0.0.1", "-p", str(self.port), "-U",
                               "smtp_proxy", "-d", "pgbouncer", "-c", question], capture_output=True, text=True, check=False,
                              env={"PGPASSWORD": self.cluster.admin_password, "PATH": "/usr/bin:/bin"})
        return [line.split("|") for line in done.stdout.splitlines()] if done.returncode == 0 else None

    def clients(self):
        """{(database, user): clients}"""
        rows = self.ask("SHOW POOLS")
        return None if rows is None else {(r[0], r[1]): int(r[2]) + int(r[3]) for r in rows}

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self.scratch.close()
