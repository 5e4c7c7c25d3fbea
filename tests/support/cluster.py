# SPDX-License-Identifier: Apache-2.0
"""A private Postgres: its own directory, durability as it comes, reached by a UNIX socket (or, where a test wants it, by
TCP). Can be stopped, killed and started again, copied into a standby that follows it, and kept from its connections, for
the tests that take the database away.
"""
import atexit
import os
import pathlib
import signal
import socket
import struct
import subprocess

from tests.support.base import IS_ROOT, Scratch, ordinary_user, password, wait_until


def find_bin():
    """Where Postgres' server programs are: newest version first (Debian keeps them off the PATH)."""
    versions = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"),
                      key=lambda p: int(p.parts[-3].split(".")[0]), reverse=True)
    if versions:
        return versions[0].parent
    import shutil
    found = shutil.which("initdb")
    if not found:
        raise RuntimeError("no Postgres server programs found")
    return pathlib.Path(found).resolve().parent


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cluster:
    def __init__(self, options="", tcp=False, within=None):
        """within: a directory for the data instead of a scratch one."""
        self._place(tcp, within)
        self.admin_password = password("admin")
        self.queue_password = password("queue")
        self.gate_password = password("gate")
        self._run("initdb", "-D", self.data, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
                  "-A", "trust", "--no-instructions", *(["--wal-segsize=1"] if within else []))
        self._configure("max_connections = 60\nshared_buffers = 64MB\n" + options)
        local = "local all postgres trust\nlocal all all scram-sha-256\n"
        (self.data / "pg_hba.conf").write_text(local + local.replace("local all", "host all").replace(
            "postgres", "postgres 127.0.0.1/32").replace("all all", "all all 127.0.0.1/32") +
            "local replication postgres trust\n")
        self.start()
        self.sql(f"CREATE ROLE smtp_proxy LOGIN CREATEROLE PASSWORD '{self.admin_password}'", "postgres")
        self.sql("CREATE DATABASE smtp_proxy OWNER smtp_proxy", "postgres")

    def _place(self, tcp, within=None):
        self.user = ordinary_user()
        self.scratch = Scratch("pg")
        self.socket = self.scratch.sub("socket", owner=self.user)
        self.data = pathlib.Path(within) if within else self.scratch.sub("data", 0o700, owner=self.user)
        self.log = self.scratch.sub("log", owner=self.user) / "log"
        self.bin = find_bin()
        self.is_tcp = tcp
        self.port = free_port() if tcp else 5432    # else part of the socket's file name only
        atexit.register(self.close)     # also when the tests are interrupted

    @property
    def address(self):
        """For database.host."""
        return "127.0.0.1" if self.is_tcp else str(self.socket)

    def _configure(self, options):
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as f:
            f.write(f"listen_addresses = '{'127.0.0.1' if self.is_tcp else ''}'\nunix_socket_directories = '{self.socket}'\n"
                    f"port = {self.port}\n" + options)

    def standby(self):
        """Another cluster that follows this one; commits wait for it."""
        other = Cluster.__new__(Cluster)
        other._place(self.is_tcp)
        other.admin_password, other.queue_password = self.admin_password, self.queue_password
        other.gate_password = self.gate_password
        other._run("pg_basebackup", "-h", self.socket, "-p", self.port, "-U", "postgres", "-D", other.data, "-R", "-X", "stream",
                   "--no-sync", "-c", "fast")
        other._configure("")
        other.start()
        self.alter("synchronous_standby_names = '*'")
        wait_until(lambda: self.one("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == "1", 20,
                   "the standby to follow")
        return other

    def promote(self):
        self._run("pg_ctl", "-D", self.data, "-w", "-s", "promote")

    def alter(self, setting):
        self.sql(f"ALTER SYSTEM SET {setting}", "postgres", read_write=True)
        self.sql("SELECT pg_reload_conf()", "postgres")

    def occupy(self):
        """Takes every connection that it has left, until the answer's sockets are closed."""
        startup = b"user\0postgres\0database\0postgres\0application_name\0crowd\0\0"
        taken = []
        while True:
            s = socket.socket(socket.AF_UNIX)
            s.connect(f"{self.socket}/.s.PGSQL.{self.port}")
            s.sendall(struct.pack("!II", 8 + len(startup), 196608) + startup)
            if s.recv(1) != b"R":       # AuthenticationOk, or an error
                s.close()
                return taken
            taken.append(s)

    def _popen_as(self):
        return {"user": self.user, "group": self.user, "extra_groups": []} if IS_ROOT else {}

    def _run(self, program, *args, check=True):
        return subprocess.run([str(self.bin / program), *map(str, args)], check=check, capture_output=True, text=True,
                              cwd="/", env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, **self._popen_as())

    def start(self):
        # pg_ctl may find the shared memory of killed backends still in use for a moment.
        wait_until(lambda: self._run("pg_ctl", "-D", self.data, "-l", self.log, "-w", "-s", "start",
                                     check=False).returncode == 0, 60, "Postgres to start", pause=0.2)

    def stop(self, mode="fast"):
        """fast: a clean stop. immediate: every backend ends at once and the start recovers from the log."""
        self._run("pg_ctl", "-D", self.data, "-m", mode, "-w", "-s", "stop", check=False)

    def pid(self):
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n")[0])
        except (FileNotFoundError, ValueError):
            return None

    def kill(self):
        """kill -9 of every process of it, as when the machine's memory ran out."""
        pid = self.pid()
        if pid is None:
            return
        children = [int(p.name) for p in pathlib.Path("/proc").glob("[0-9]*") if _parent(p) == pid]
        for one in [pid, *children]:
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until(lambda: not any(_alive(one) for one in [pid, *children]), 20, "Postgres to be dead")

    def sql(self, statement, database="smtp_proxy", read_write=False):
        """Rows as lists of texts, run by the superuser."""
        env = dict(os.environ, PGOPTIONS="-c default_transaction_read_only=off") if read_write else None
        done = subprocess.run([str(self.bin / "psql"), "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1",
                               "-h", str(self.socket), "-p", str(self.port), "-U", "postgres", "-d", database,
                               "-c", statement], capture_output=True, text=True, check=False, env=env)
        if done.returncode != 0:
            raise AssertionError(f"{statement}: {done.stderr}")
        return [line.split("\x1f") for line in done.stdout.splitlines()]

    def one(self, statement):
        return self.sql(statement)[0][0]

    def close(self):
        atexit.unregister(self.close)
        self.stop("immediate")
        self.scratch.close()


def _parent(proc):
    try:
        return int((proc / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return -1


def _alive(pid):
    try:
        return (pathlib.Path(f"/proc/{pid}") / "stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
