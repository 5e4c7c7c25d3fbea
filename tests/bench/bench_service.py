# SPDX-License-Identifier: Apache-2.0
"""What a measurement needs around it: the machine's description, a smtp-proxy whose log goes to a file (a reader of
thousands of lines a second would take part of the machine), memory and processor time from /proc.
"""
import json
import os
import pathlib
import platform
import pwd
import re
import resource
import secrets
import socket
import subprocess
import time

from tests.support.base import BUILD, IS_ROOT, EVIDENCE, ordinary_user, patience
from tests.support.cluster import Cluster, find_bin
from tests.support.proxy import Proxy, children_of

TICK = os.sysconf("SC_CLK_TCK")
PROGRAM_BENCH = BUILD / "tests" / "bench" / "bench_run"
# Postgres as it comes; the test cluster's smaller buffers are for tests.
DATABASE_OPTIONS = "shared_buffers = 128MB\n"


def raise_limits():
    """Thousands of sessions at both ends; children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limits in ((max(soft, 65536), max(hard, 65536)), (hard, hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            return limits[0]
        except (ValueError, OSError):  # not allowed to raise the hard one
            continue
    return soft


def first_line(*argv):
    try:
        said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
        return (said.stdout or said.stderr).strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "unknown"


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text(encoding="utf-8"))
    release = re.search(r'PRETTY_NAME="(.*)"', pathlib.Path("/etc/os-release").read_text(encoding="utf-8"))
    makefile = (BUILD / "Makefile").read_text(encoding="utf-8")
    cc = re.search(r"^CC = (.*)$", makefile, re.M)[1]
    flags = re.search(r"^CFLAGS = (.*)$", makefile, re.M)[1]
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory[1]) / (1 << 20), 1),
        "system": release[1] if release else "Linux",
        "kernel": platform.release(),
        "openssl": first_line("openssl", "version"),
        "libevent": first_line("pkg-config", "--modversion", "libevent_core"),
        "libcurl": first_line("pkg-config", "--modversion", "libcurl"),
        "postgres": first_line(str(find_bin() / "postgres"), "--version"),
        "compiler": first_line(*cc.split()[:1], "--version") + ", " + flags,
    }


class Standin:
    """The stand-in provider's address: one listening socket for all runs, each of which has it in turn."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.key = EVIDENCE.secret("SG." + secrets.token_urlsafe(24))

    def settings(self):
        return {"type": "sendgrid", "endpoint": "http://127.0.0.1:%d" % self.socket.getsockname()[1],
                "api_key": self.key}

    def ses(self):
        """The same stand-in as SES: raw messages, signed."""
        return {"type": "ses", "endpoint": self.settings()["endpoint"], "region": "eu-west-1",
                "access_key_id": "AKIABENCHBENCHBENCH0", "secret_access_key": EVIDENCE.secret(secrets.token_urlsafe(30))}


class Service(Proxy):
    """Everything at its default but for addresses and directories: what is measured is what an operator gets."""

    def __init__(self, cluster, standin, settings):
        users = {p.pw_name for p in pwd.getpwall()}
        self.has_users = IS_ROOT and "_sp-smtpd" in users
        super().__init__(cluster, {"standin": standin, "ses": standin.ses()},
                         {"smtpd": {"workers": 0}, "deliver": {"agents": 0}, "queue": {"retry_first": "30s"}, **settings},
                         unprivileged=not self.has_users, name="bench")
        self.log_file = self.directory / "log"

    def start(self, wait=True):
        self.log_file.unlink(missing_ok=True)
        extra = {"user": self.user, "group": self.user, "extra_groups": []} if self.unprivileged and IS_ROOT else {}
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen([str(BUILD / "master" / "smtp-proxy"), "-c", str(self.config)], stdout=log,
                                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd="/",
                                            start_new_session=True, **extra)
        self._wait_ready()
        return self

    def events(self):
        found = []
        for line in self.log_file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                pass
        return found

    def _wait_ready(self):
        end = time.monotonic() + patience(40)
        while True:
            events = self.events()
            if any(e.get("event") == "master.ready" for e in events):
                break
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("smtp-proxy did not start:\n" + "\n".join(map(str, events[-20:])))
            time.sleep(0.05)
        for event in events:
            if event.get("event") == "master.listening":
                self.ports[event["listener"]] = int(event["port"])

    def stop(self, timeout=60):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def close(self):
        self.stop()
        self.scratch.close()

    def troubles(self, most=5):
        """What the log has above info: the first few, for the report."""
        return [e for e in self.events() if e.get("level") in ("error", "warn")][:most]

    def pids(self):
        return {self.process.pid: "master", **children_of(self.process.pid)}

    def memory(self):
        """Proportional memory of all processes, in KiB: {program: KiB}."""
        found = {}
        for pid, name in self.pids().items():
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
            found[name] = found.get(name, 0) + int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])
        return found

    def sockets(self, program):
        """How many sockets the processes of this program hold."""
        n = 0
        for pid in (p for p, name in self.pids().items() if name == program):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                try:
                    n += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
                except OSError:
                    pass
        return n

    def steps(self):
        """The sums, counts and counters of /metrics that say where a message's time goes; labels taken together."""
        found = {}
        for line in self.http("/metrics")[1].splitlines():
            name = re.match(r"([a-z_]+?(?:_sum|_count|_total))(?:\{[^}]*\})? (\S+)$", line)
            if name:
                found[name[1]] = found.get(name[1], 0) + float(name[2])
        return found

    def processor_time(self):
        """Seconds of processor time by program, Postgres' processes taken together."""
        found = {}
        for pid, name in self.pids().items():
            found[name] = found.get(name, 0) + seconds_of(pid)
        database = self.cluster.pid()
        found["postgres"] = sum(seconds_of(pid) for pid in [database, *children_of(database)])
        return found


def seconds_of(pid):
    """Processor time of a process and of its children that have ended."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return sum(int(n) for n in fields[11:13]) / TICK


class Bench:
    """The whole set-up: Postgres, stand-in, smtp-proxy, a tenant and its user for each of the two providers."""

    USER = "bench@users.example"
    SES_USER = "ses@users.example"

    def __init__(self, settings=None):
        self.cluster = Cluster(DATABASE_OPTIONS)
        self.standin = Standin()
        self.service = None
        try:
            self.service = Service(self.cluster, self.standin, settings or {})
            self.service.migrate()
            self.service.tenant("bench", "standin")
            self.service.add_user(self.USER, "bench")
            self.service.tenant("ses", "ses")
            self.service.add_user(self.SES_USER, "ses")
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.service is not None:
            self.service.close()
        self.cluster.close()
        self.standin.socket.close()

    def command(self, *options, user=USER):
        """bench_run with the address and the authority; secrets go through the environment."""
        fd = self.standin.socket.fileno()
        argv = [str(PROGRAM_BENCH), "--host", "127.0.0.1", "--port", str(self.service.port), "--tls", "starttls",
                "--ca", str(self.service.authority.ca_file), "--user", user, "--standin-fd", str(fd),
                *map(str, options)]
        # libevent's coarse clock would make the open loop late by four milliseconds.
        env = {**os.environ, "EVENT_PRECISE_TIMER": "1", "BENCH_API_KEY": self.standin.key,
               "BENCH_PASSWORD": self.service.passwords[user]}
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=(fd,), env=env)

    def load(self, *options, user=USER):
        """One load; bench_run's figures, the processor time that each program took, and the time in each step."""
        before, steps_before = self.service.processor_time(), self.service.steps()
        with self.command(*options, user=user) as run:
            said = run.communicate()[0]
        if '"mode"' not in said:
            raise RuntimeError(f"bench_run ended with {run.returncode} and no figures: {said}")
        result = json.loads(said)
        after = self.service.processor_time()
        result["cpu_seconds"] = {k: round(v - before.get(k, 0), 2) for k, v in after.items()}
        result["cpu_seconds"]["load generator"] = result.pop("generator_cpu_seconds")
        result["steps"] = {k: v - steps_before.get(k, 0) for k, v in self.service.steps().items()}
        return result
