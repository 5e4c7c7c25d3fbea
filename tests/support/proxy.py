# SPDX-License-Identifier: Apache-2.0
"""A whole smtp-proxy for a test: settings, certificates, the master and its children, its log as events, and the
commands an operator has.
"""
import atexit
import json
import os
import pathlib
import signal
import smtplib
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

from tests.support.base import (BUILD, EVIDENCE, IS_ROOT, PROGRAM_CLIENT, PROGRAM_CTL, PROGRAM_MASTER, SQL, Authority,
                                Scratch, ordinary_user, password, patience, run, wait_until)
from tests.support.cluster import _alive, _parent
from tests.support.smtp import Smtp


class Log:
    """Reads the master's standard output in a thread: every line is kept, and whoever waits for one is woken."""

    def __init__(self, stream, kind="log"):
        self.lines = []         # as text
        self.events = []        # as dicts; a line that is no JSON object is in `broken` as well
        self.broken = []
        self.ended = False
        self.changed = threading.Condition()
        self._file = open(EVIDENCE.file(kind), "wb")
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        for raw in stream:
            self._file.write(raw)
            self._file.flush()
            line = raw.decode("utf-8", "replace").rstrip("\n")
            try:
                event = json.loads(line)
                if not isinstance(event, dict):
                    raise ValueError
            except ValueError:
                event = None
            with self.changed:
                self.lines.append(line)
                if event is None:
                    self.broken.append(line)
                else:
                    self.events.append(event)
                self.changed.notify_all()
        self._file.close()
        stream.close()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def mark(self):
        with self.changed:
            return len(self.events)

    def find(self, name, since=0, **fields):
        """The first event of that name (or any of a tuple of names) with these fields."""
        names = (name,) if isinstance(name, str) else name
        for event in self.events[since:]:
            if event.get("event") in names and all(event.get(k) == v for k, v in fields.items()):
                return event
        return None

    def all(self, name, since=0, **fields):
        with self.changed:
            return [e for e in self.events[since:] if e.get("event") == name and
                    all(e.get(k) == v for k, v in fields.items())]

    def wait(self, name, timeout=20, since=0, **fields):
        return self.wait_for(lambda: self.find(name, since, **fields), timeout, f"the event {name} {fields or ''}")

    def wait_for(self, condition, timeout=20, what="the log"):
        with self.changed:
            end = time.monotonic() + patience(timeout)
            while True:
                value = condition()
                if value:
                    return value
                left = end - time.monotonic()
                if left <= 0 or self.ended:
                    raise AssertionError(f"no {what}; the log {'ended' if self.ended else 'goes on'}; its last lines:\n"
                                         + "\n".join(self.lines[-25:]))
                self.changed.wait(left)

    def join(self):
        self._thread.join(patience(10))


def write_yaml(path, settings):
    """Sections of scalars, and sections of named sections. Texts are JSON strings, which YAML reads as well."""
    def scalar(v):
        return json.dumps(v, ensure_ascii=False)
    lines = []
    for section, rows in settings.items():
        lines.append(f"{section}:")
        for name, value in rows.items():
            if isinstance(value, dict):
                lines.append(f"  {name}:")
                lines += [f"    {k}: {scalar(v)}" for k, v in value.items()]
            else:
                lines.append(f"  {name}: {scalar(value)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


class Proxy:
    """cluster may be None: then the settings point at a database that is not there. As root the children get their
    own users; unprivileged=True starts everything as an ordinary user."""

    def __init__(self, cluster, providers, settings=None, unprivileged=False, authority=None, name="proxy"):
        self.cluster = cluster
        self.unprivileged = unprivileged or not IS_ROOT
        self.user = ordinary_user()
        owner = self.user if self.unprivileged else None
        self.scratch = Scratch(name)
        self.directory = self.scratch.path
        if owner and IS_ROOT:
            import shutil
            shutil.chown(self.directory, owner, owner)
        self.out = self.scratch.sub("out", 0o777)
        self.tls = self.scratch.sub("tls", 0o755, owner)
        self.authority = authority or Authority(self.scratch.sub("ca"))
        self.install_certificate(*self.authority.issue("first"))
        self.config = self.directory / "main.yaml"
        self.settings = {
            "instance": {"host_name": "mail.test", "state_dir": str(self.scratch.sub("state", 0o755, owner)),
                         "run_dir": str(self.scratch.sub("run", 0o755, owner)), "program_dir": str(BUILD)},
            "log": {"format": "json", "level": "info"},
            "listeners": {"submission": {"address": "127.0.0.1", "port": 0, "tls": "starttls"},
                          "submissions": {"address": "127.0.0.1", "port": 0, "tls": "implicit"}},
            "tls": {"certificate_file": str(self.tls / "tls.pem"), "key_file": str(self.tls / "tls.key")},
            "smtpd": {"workers": 2},
            # Every client of a test has one address.
            "limits": {"allow": "127.0.0.0/8"},
            "database": {"host": cluster.address if cluster else str(self.scratch.sub("nodb")),
                         "port": cluster.port if cluster else 5432, "name": "smtp_proxy"},
            "queue": {"retry_first": "1s", "default_provider": next(iter(providers), "")},
            "health": {"probe_time": "1s"},
            "deliver": {"agents": 2},
            "providers": {k: self._provider(v) for k, v in providers.items()},
            "api": {"address": "127.0.0.1", "port": 0},
        }
        if cluster:
            self.settings["database"] |= {"admin_password": cluster.admin_password,
                                          "queue_password": cluster.queue_password,
                                          "gate_password": cluster.gate_password}
        for section, rows in (settings or {}).items():
            self.settings.setdefault(section, {}).update(rows)
        self.write_settings()
        atexit.register(self.close)     # also when the tests are interrupted
        self.environment = {}   # of the master, beside the tests' own
        self.process = None
        self.log = None
        self.logs = []          # of every start
        self.ports = {}
        self.passwords = {}

    def _provider(self, provider):
        if hasattr(provider, "settings"):
            return provider.settings()
        if provider == "file":
            return {"type": "file", "directory": str(self.out)}
        return provider

    def write_settings(self):
        write_yaml(self.config, self.settings)
        self.config.chmod(0o600)
        if self.unprivileged and IS_ROOT:
            import shutil
            shutil.chown(self.config, self.user, self.user)

    def install_certificate(self, chain, key, touch=True):
        """Both files are replaced as a renewer would: written beside, then renamed."""
        for name, text in (("tls.pem", chain), ("tls.key", key)):
            new = self.tls / (name + ".new")
            new.write_text(text)
            new.chmod(0o644 if name == "tls.pem" else 0o600)
            if self.unprivileged and IS_ROOT:
                import shutil
                shutil.chown(new, self.user, self.user)
            new.rename(self.tls / name)

    # life

    def start(self, wait=True, manager=None):
        """With a service manager: tests.support.systemd."""
        extra = {"user": self.user, "group": self.user, "extra_groups": []} if self.unprivileged and IS_ROOT else {}
        argv = [str(PROGRAM_MASTER), "-c", str(self.config)]
        extra["env"] = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | self.environment
        if manager is not None:
            argv, extra["pass_fds"] = manager.command(argv)
            extra["env"] |= manager.environment()
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL, cwd="/", start_new_session=True, **extra)
        self.log = Log(self.process.stdout)
        self.logs.append(self.log)
        if wait:
            self.wait_ready()
            if self.cluster and self.cluster.pid():
                # The processes serve before they have their database; the tests want it there.
                wait_until(lambda: self.http("/health/ready")[0] == 200, 30, "/health/ready")
        return self

    def wait_ready(self, timeout=40):
        self.log.wait("master.ready", timeout)
        for event in list(self.log.events):
            if event.get("event") == "master.listening":
                self.ports[event["listener"]] = int(event["port"])

    @property
    def port(self):
        return self.ports["submission"]

    @property
    def port_implicit(self):
        return self.ports["submissions"]

    @property
    def port_api(self):
        return self.ports["api"]

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self, timeout=20):
        """SIGHUP, until every child has taken it; False when the settings were not taken."""
        mark = self.log.mark()
        self.signal(signal.SIGHUP)
        self.log.wait("master.reloaded", timeout, mark)
        return self.log.find("master.settings.kept", mark) is None

    def stop(self, timeout=40):
        """SIGTERM; the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(patience(timeout))
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("did not stop on SIGTERM; its last lines:\n" +
                                     "\n".join(self.log.lines[-25:])) from None
        self.log.join()
        return self.process.returncode

    def kill(self):
        """kill -9 of master alone; the children end by themselves."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def children(self):
        """{pid: program name} of the live children, from /proc."""
        return children_of(self.process.pid)

    def child(self, role, timeout=20):
        """A pid of that role, waiting for one to be there."""
        return wait_until(lambda: next((p for p, n in self.children().items() if n == role), None), timeout,
                          f"a process {role}")

    def close(self):
        """The end of the test: stops what runs; the log must be whole lines of JSON without bugs."""
        atexit.unregister(self.close)
        if self.process is not None and self.process.poll() is None:
            kids = self.children()
            self.process.terminate()
            try:
                self.process.wait(patience(40))
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            for pid in kids:
                if _alive(pid) and _parent(pathlib.Path(f"/proc/{pid}")) in (1, self.process.pid):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
        for log in self.logs:
            log.join()
        self.scratch.close()
        wrong = self.complaints()
        if wrong:
            raise AssertionError("the log has what must never be there:\n" + "\n".join(wrong[:40]))

    def complaints(self):
        """Lines that are no JSON (a sanitizer's words too), calls that seccomp refused, failed must()."""
        never = ("service.forbidden_call", "process.bug")
        return [line for log in self.logs for line in log.broken if line.strip()] + \
               [json.dumps(e) for log in self.logs for e in log.events if e.get("event") in never]

    # the operator's commands

    def ctl(self, *args, input=None, json_out=False, check=True, env=None):
        argv = [PROGRAM_CTL, "-c", self.config, *(["--json"] if json_out else []), *args]
        done = run(*argv, input=input, check=check, env=env, user=self.user if self.unprivileged else None)
        if not json_out:
            return done
        # One object, or a line for each thing of a list.
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return found[0] if len(found) == 1 else found

    def migrate(self):
        return self.ctl("db", "migrate", "--sql", SQL)

    def tenant(self, name, provider=""):
        self.ctl("tenant", "add", name, *(["--provider", provider] if provider else []))

    def add_user(self, name, tenant):
        """A new SMTP user; its password is kept and returned."""
        self.passwords[name] = password("smtp")
        self.ctl("user", "add", name, "--tenant", tenant, input=self.passwords[name] + "\n")
        return self.passwords[name]

    def await_changes(self):
        """Until qmgr knows what was changed of tenants, their routes and credentials: it looks now and then, and mail that
        comes before that is sent as before the change."""
        generation = int(self.cluster.one("SELECT sum(generation) FROM change WHERE topic IN ('tenant', 'route')"))
        self.log.wait_for(lambda: any(e["generation"] >= generation for e in self.log.all("qmgr.tenant.read")), 30,
                          f"qmgr.tenant.read of generation {generation}")

    def client(self, *args, user=None, port=None, check=True, tls="starttls"):
        more = ["--user", user, "--password", self.passwords[user]] if user else []
        return run(PROGRAM_CLIENT, args[0], "--host", "127.0.0.1", "--port", port or self.port, "--tls", tls,
                   "--insecure", *more, *args[1:], check=check, timeout=120)

    # the client's side

    def smtp(self, tls="starttls", **kw):
        return Smtp(self.port_implicit if tls == "implicit" else self.port, tls=tls, ca=self.authority.ca_file, **kw)

    def await_logins(self, user, timeout=60):
        """Until the user can log in: when the database was away gate comes back to it by itself, not at once (454)."""
        def code():
            try:
                with self.smtp() as s:
                    return s.auth(user, self.passwords[user]).code
            except (OSError, EOFError):
                return None
        wait_until(lambda: code() == 235, timeout, f"a login of {user}", 0.2)

    def session(self, user, tls="starttls", **kw):
        session = self.smtp(tls, **kw)
        try:
            return session.login(user, self.passwords[user])
        except BaseException:
            session.close()
            raise

    def smtplib(self, user=None, tls="starttls"):
        context = ssl.create_default_context(cafile=str(self.authority.ca_file))
        if tls == "implicit":
            s = smtplib.SMTP_SSL("127.0.0.1", self.port_implicit, timeout=patience(30), context=context)
        else:
            s = smtplib.SMTP("127.0.0.1", self.port, timeout=patience(30))
            s.starttls(context=context)
        if user:
            s.login(user, self.passwords[user])
        return s

    def http(self, path, timeout=10):
        """(status, text) of the api process."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port_api}{path}", timeout=patience(timeout)) as r:
                text = r.read().decode()
                EVIDENCE.output("http", text)
                return r.status, text
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def metric(self, name, **labels):
        """The value of one series of /metrics."""
        for line in self.http("/metrics")[1].splitlines():
            if line.startswith("#") or not line.strip():
                continue
            series, value = line.rsplit(" ", 1)
            base, _, rest = series.partition("{")
            if base == name and all(f'{k}="{v}"' in rest for k, v in labels.items()):
                return float(value)
        raise AssertionError(f"no metric {name} {labels}")

    def depth(self):
        return int(self.cluster.one("SELECT count(*) FROM queue"))


def children_of(pid):
    found = {}
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        if _parent(proc) != pid:
            continue
        try:
            if (proc / "stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX":
                continue
            # A child between fork and exec still looks like its parent.
            name = os.readlink(proc / "exe").removesuffix(" (deleted)")
            found[int(proc.name)] = pathlib.Path(name).name
        except OSError:
            pass
    return found
