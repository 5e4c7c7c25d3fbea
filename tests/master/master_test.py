#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""master and its children as processes, with stub children (stub_child.c) in place of all but api. Run in the build
directory, as root (then with separate users, when they exist, and once more as nobody) or as anybody else.
"""
import concurrent.futures
import errno
import fcntl
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.support.systemd import ServiceManager  # noqa: E402  pylint: disable=wrong-import-position

BUILD = pathlib.Path.cwd()
ROLES = ["gate", "qmgr", "cert-renewer", "deliver", "smtpd", "api"]
IS_FILTERED = "SP_SANITIZE 1" not in (BUILD / "config.h").read_text() and \
    "SP_COVERAGE 1" not in (BUILD / "config.h").read_text()
PATIENCE = 20
TEST_LONGEST = 120
# In an empty root directory the leak check does not find /proc; the round as nobody has it.
SURROUNDINGS = {**os.environ, **({"ASAN_OPTIONS": "detect_leaks=0"} if os.geteuid() == 0 else {})}


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def make_certificate(path, name="localhost"):
    key, chain = path.with_suffix(".key"), path.with_suffix(".crt")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", chain, "-days", "30", "-subj", f"/CN={name}", "-addext",
                    f"subjectAltName=DNS:{name}"], check=True, capture_output=True, timeout=60)
    return chain.read_text(), key.read_text()


class Master:
    """A scratch directory and at most one master in it."""

    def __init__(self, user):
        self.user = user
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="smtp-proxy-master-"))
        self.dir.chmod(0o755)
        self.process = None
        self.started = 0
        self.events = []
        self.changed = threading.Condition(threading.RLock())
        (self.dir / "prog").mkdir()
        for role in ROLES:
            source = BUILD / ("api/api" if role == "api" else "tests/master/stub_child")
            shutil.copy2(source, self.dir / "prog" / role)
        self.program = self.dir / "smtp-proxy"
        shutil.copy2(BUILD / "master/smtp-proxy", self.program)
        self.certificates = [make_certificate(self.dir / f"c{i}", f"host{i}.example") for i in range(2)]
        self.certificate(0)
        (self.dir / "out").mkdir()
        self.settings()
        if user is not None:
            for path in [self.dir, *self.dir.rglob("*")]:
                os.chown(path, user.pw_uid, user.pw_gid)

    def certificate(self, i, key=None):
        text = self.certificates[i][0] + self.certificates[i if key is None else key][1]
        path = self.dir / "tls.pem"
        path.write_text(text)
        path.chmod(0o600)

    def settings(self, port=0, workers=2, sessions=100, extra="", drain="300s"):
        (self.dir / "main.yaml").write_text(f"""
instance:
  state_dir: {self.dir}/state
  run_dir: {self.dir}/run
  program_dir: {self.dir}/prog
log: {{format: json}}
tls:
  certificate_file: {self.dir}/tls.pem
listeners:
  submission: {{address: 127.0.0.1, port: {port}}}
  submissions: {{address: 127.0.0.1, port: 0, tls: implicit}}
smtpd: {{workers: {workers}, max_errors: {sessions}, drain_time: {drain}}}
database: {{host: 127.0.0.1}}
deliver: {{agents: 2}}
providers:
  local: {{type: file, directory: {self.dir}/out}}
api: {{port: 0}}
{extra}
""")

    def _become(self):
        if self.user is not None:
            os.setgroups([])
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)

    def surroundings(self):
        return SURROUNDINGS if self.user is None else os.environ

    def run(self, *arguments):
        """To the end: status, output, errors."""
        done = subprocess.run([self.program, "-c", self.dir / "main.yaml", *arguments], capture_output=True, text=True,
                              timeout=60, preexec_fn=self._become)
        return done.returncode, done.stdout, done.stderr

    def start(self, manager=None, passed=(), **environment):
        """With a service manager, and what it passes besides what it keeps."""
        self.events = []
        self.started = time.monotonic()
        argv, fds = [self.program, "-c", self.dir / "main.yaml"], ()
        if manager is not None:
            argv, fds = manager.command(argv, passed)
            environment |= manager.environment()
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, preexec_fn=self._become, pass_fds=fds,
                                        env={**self.surroundings(), **environment})
        threading.Thread(target=self._read, args=(self.process.stdout, self.events), daemon=True).start()
        return self

    def _read(self, stream, events):
        for line in stream:
            with self.changed:
                events.append(json.loads(line))
                self.changed.notify_all()

    def mark(self):
        with self.changed:
            return len(self.events)

    def all(self, name, since=0, **fields):
        with self.changed:
            return [e for e in self.events[since:] if e["event"] == name and
                    all(e.get(k) == v for k, v in fields.items())]

    def wait(self, name, since=0, count=1, patience=PATIENCE, **fields):
        with self.changed:
            self.changed.wait_for(lambda: len(self.all(name, since, **fields)) >= count, patience)
        found = self.all(name, since, **fields)
        assert len(found) >= count, f"no event {name} {fields}; the last ones: {self.events[-10:]}"
        return found[count - 1]

    def ask(self, line):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(str(self.dir / "run/control"))
            s.sendall(line)
            answer = b""
            while part := s.recv(65536):
                answer += part
        return answer

    def status(self):
        return json.loads(self.ask(b"status\n"))

    def child(self, role, slot=0):
        return next(c for c in self.status()["children"] if c["role"] == role and c["slot"] == slot)

    def port(self, listener):
        return self.wait("master.listening", listener=listener)["port"]

    def http(self, path, method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port('api')}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode(), dict(e.headers)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir)

    def connects(self, listener):
        try:
            socket.create_connection(("127.0.0.1", self.port(listener)), PATIENCE).close()
            return True
        except ConnectionRefusedError:
            return False

    def ctl(self, *arguments):
        """The operator's tool: status, output, errors."""
        if not (self.dir / "ctl").exists():
            shutil.copy2(BUILD / "ctl/smtp-proxyctl", self.dir / "ctl")
        done = subprocess.run([self.dir / "ctl", "-c", self.dir / "main.yaml", *arguments], capture_output=True,
                              text=True, timeout=2 * PATIENCE, preexec_fn=self._become)
        return done.returncode, done.stdout, done.stderr

    def misbehave(self, role, how):
        path = self.dir / "run" / f"misbehave-{role}"
        path.parent.mkdir(exist_ok=True)
        if self.user is not None:
            os.chown(path.parent, self.user.pw_uid, self.user.pw_gid)
        path.write_text(how)


class Knocker:
    """Connects to a port again and again, beside; nobody may refuse it."""

    def __init__(self, port):
        self.port, self.connects, self.refused, self.is_over = port, 0, [], False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.is_over:
            try:
                socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
                self.connects += 1
            except OSError as e:
                self.refused.append(repr(e))
            time.sleep(0.01)  # nobody accepts, and the backlog is for 4096

    def end(self):
        self.is_over = True
        self.thread.join(PATIENCE)
        assert self.connects > 0 and not self.refused, (self.connects, self.refused[:5])


def test_all_children_come_up_with_what_is_theirs(m):
    m.start().wait("master.ready")
    status = m.status()
    assert [c["role"] for c in status["children"]] == ["gate", "qmgr", "cert-renewer", "deliver", "deliver", "smtpd", "smtpd", "api"]
    assert all(c["state"] == "ready" and c["restarts"] == 0 and alive(c["pid"]) for c in status["children"]), status
    assert status["pid"] == m.process.pid == int((m.dir / "run/smtp-proxy.pid").read_text())
    assert {s["name"]: s["port"] for s in status["listeners"]} == \
        {n: m.port(n) for n in ("submission", "submissions")}
    assert status["certificate"]["names"] == "host0.example"
    assert status["metrics"]["connections"] == 7 and status["metrics"]["sessions"] == 35
    for slot in (0, 1):
        for listener in ("submission", "submissions"):
            m.wait("stub.listener", role=f"smtpd[{slot}]", listener=listener)
        m.wait("stub.identity", role=f"smtpd[{slot}]")
        m.wait("stub.peer", role=f"smtpd[{slot}]", peer="gate")
        m.wait("stub.peer", role=f"smtpd[{slot}]", peer="qmgr")
        m.wait("stub.peer", role="qmgr[0]", peer="deliver", slot=slot)
        m.wait("stub.peer", role="qmgr[0]", peer="smtpd", slot=slot)
        m.wait("stub.peer", role="gate[0]", peer="smtpd", slot=slot)
        m.wait("stub.peer", role=f"deliver[{slot}]", peer="qmgr")
    m.wait("stub.peer", role="qmgr[0]", peer="cert-renewer")
    m.wait("stub.peer", role="cert-renewer[0]", peer="qmgr")
    assert len(m.all("stub.peer")) == 14, "nobody else talks to anybody"
    assert not [e for e in m.all("stub.identity") if not e["role"].startswith("smtpd")]
    assert m.stop() == 0


def test_each_gives_up_its_rights(m):
    m.start().wait("master.ready")
    for e in m.all("stub.go"):
        if os.geteuid() == 0 and m.user is None:
            role = e["role"].partition("[")[0]
            assert e["hidden_root"] and e["uid"] == pwd.getpwnam(f"_sp-{role}").pw_uid, e
    for e in m.all("service.rights"):
        assert e["calls_filtered"] == IS_FILTERED, e
        fields = dict(line.split(":", 1) for line in open(f"/proc/{e['pid']}/status", encoding="ascii"))
        assert fields["NoNewPrivs"].strip() == "1"
        assert fields["CapEff"].strip() == "0" * 16 and fields["Groups"].strip() == "" or m.user is not None or \
            os.geteuid() != 0
        assert fields["Seccomp"].strip() == ("2" if IS_FILTERED else "0")
        assert b"PATH=" not in pathlib.Path(f"/proc/{e['pid']}/environ").read_bytes() if os.geteuid() == 0 else True
    m.stop()


def test_its_memory_is_for_nobody_else(m):
    (m.dir / "main.yaml").chmod(0o644)
    assert "secret" not in m.run("-t")[2]
    text = (m.dir / "main.yaml").read_text().replace("{host: 127.0.0.1}", "{host: 127.0.0.1, gate_password: hush}")
    (m.dir / "main.yaml").write_text(text)
    errors = m.run("-t")[2]
    assert "database.gate_password" in errors and "(mode 0644)" in errors and "hush" not in errors, errors
    m.start().wait("master.ready")
    if IS_FILTERED:
        limits = pathlib.Path(f"/proc/{m.process.pid}/limits").read_text()
        assert [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core")] == [["0", "0"]]
        # What belongs to root here although the process is not root's may not be looked into.
        assert os.stat(f"/proc/{m.process.pid}/environ").st_uid == 0
    m.stop()


def test_a_forbidden_system_call_ends_the_child(m):
    m.misbehave("gate", "call")
    m.start()
    if IS_FILTERED:
        assert m.wait("service.forbidden_call")["call"] == "kill"
        assert m.wait("master.child.ended", child="gate")["signal"] in (signal.SIGABRT, signal.SIGSYS)
    m.stop()


def test_a_dead_child_is_replaced_and_introduced_anew(m):
    m.start().wait("master.ready")
    m.wait("stub.peer", role="gate[0]", count=2)  # it may say so after the others are ready
    for role in ("qmgr", "smtpd", "deliver", "gate"):
        mark, pid = m.mark(), m.child(role)["pid"]
        os.kill(pid, signal.SIGKILL)
        assert m.wait("master.child.ended", mark, child=role)["signal"] == 9
        m.wait("master.child.ready", mark, child=role)
        assert not m.all("master.child.waiting", mark)
        assert m.child(role)["restarts"] == 1 and m.child(role)["pid"] != pid
        if role == "qmgr":
            m.wait("stub.peer", mark, role="smtpd[1]", peer="qmgr")
            m.wait("stub.peer", mark, role="deliver[1]", peer="qmgr")
            m.wait("stub.peer", mark, role="qmgr[0]", count=5)
            assert not m.all("stub.peer", mark, role="gate[0]")
    assert 'process_restarts_total{role="qmgr"} 1\n' in m.http("/metrics")[1]
    assert 'process_up{role="deliver"} 2\n' in m.http("/metrics")[1]
    # What was counted stays, what was measured is gone with the dead and set again by the new.
    assert m.status()["metrics"]["connections"] == 11 and m.status()["metrics"]["sessions"] == 35
    m.stop()


def test_a_link_that_is_cut_is_made_again(m):
    """The stubs drop every link they are given and say nothing: each of the real children must report it."""
    for role, others in (("smtpd", ("gate", "qmgr")), ("gate", ("smtpd",)), ("qmgr", ("smtpd", "deliver", "cert-renewer")),
                         ("deliver", ("qmgr",)), ("cert-renewer", ("qmgr",))):
        stub, program = (m.dir / "prog" / role).read_bytes(), m.dir / "prog" / role
        program.write_bytes((BUILD / role / role).read_bytes())
        m.start().wait("master.ready")
        pids = [c["pid"] for c in m.status()["children"]]
        for other in others:
            both = [{"role": f"{other}[0]", "peer": role, "slot": 0}, {"role": f"{other}[0]", "peer": role, "slot": 1}]
            for fields in both[:2 if role in ("smtpd", "deliver") else 1]:
                m.wait("stub.peer", count=3, **fields)
        warned = [json.dumps([e[k] for k in ("child", "slot", "peer", "peer_slot")]) for e in m.all("master.link.made_again")]
        seconds = time.monotonic() - m.started
        assert all(warned.count(w) <= seconds for w in warned), warned
        assert [c["pid"] for c in m.status()["children"]] == pids and not m.all("ipc.breach")
        assert m.stop() == 0
        program.write_bytes(stub)


def test_what_dies_at_start_is_started_ever_more_slowly(m):
    m.misbehave("deliver", "die at start")
    m.start()
    delays = [m.wait("master.child.waiting", child="deliver", slot=1, count=i)["delay_ms"] for i in (1, 2, 3)]
    assert delays == [1000, 2000, 4000], delays
    assert not m.all("master.ready")
    state = m.child("deliver", 1)
    assert state["state"] == "waiting" and state["pid"] == 0 and state["restarts"] == 2
    (m.dir / "run/misbehave-deliver").unlink()
    m.wait("master.ready")
    assert m.stop() == 0


def test_a_reload_changes_what_it_may(m):
    m.start().wait("master.ready")
    mark, pids = m.mark(), [c["pid"] for c in m.status()["children"]]
    m.settings(sessions=77, workers=3)
    m.process.send_signal(signal.SIGHUP)
    m.wait("master.reloaded", mark)
    assert m.wait("stub.reload", mark, role="smtpd[1]")["max_errors"] == 77
    assert m.wait("master.settings.restart_needed", mark)["setting"] == "smtpd.workers"
    assert m.wait("master.certificate.unchanged", mark)["text"] == "Certificate unchanged, skipping reload"
    assert not m.all("stub.identity", mark)
    assert [c["pid"] for c in m.status()["children"]] == pids
    m.stop()


def test_a_bad_file_changes_nothing(m):
    m.start().wait("master.ready")
    mark = m.mark()
    m.settings(sessions=0, extra="nonsense: {a: 1}")
    m.process.send_signal(signal.SIGHUP)
    m.wait("master.settings.problem", mark, count=2)
    m.wait("master.settings.kept", mark)
    m.wait("master.reloaded", mark)
    assert m.wait("stub.reload", mark, role="smtpd[0]")["max_errors"] == 100
    m.stop()


def test_certificates_are_checked_before_they_are_used(m):
    m.start().wait("master.ready")
    mark = m.mark()
    m.certificate(0, key=1)
    m.ask(b"reload\n")
    assert m.wait("master.certificate.bad", mark)["text"] == "Failed to load certificate"
    m.wait("master.reloaded", mark)
    assert "tls_certificate_load_failures_total 1\n" in m.http("/metrics")[1]
    assert not m.all("stub.identity", mark) and m.status()["certificate"]["names"] == "host0.example"
    m.certificate(1)
    m.ask(b"reload\n")
    m.wait("master.certificate.loaded", mark)
    m.wait("stub.identity", mark, role="smtpd[0]")
    m.wait("stub.identity", mark, role="smtpd[1]")
    assert m.status()["certificate"]["names"] == "host1.example"
    m.stop()


def test_the_stop_is_in_order_and_leaves_nothing(m):
    m.start().wait("master.ready")
    pids = [c["pid"] for c in m.status()["children"]]
    assert m.stop() == 0
    m.wait("master.stopped")
    drained = [e["role"].partition("[")[0] for e in m.all("service.drain")]
    assert drained[:2] == ["smtpd"] * 2 and set(drained[2:6]) == {"gate", "deliver", "cert-renewer"} and \
        drained[6:] == ["qmgr", "api"], drained
    assert not any(alive(p) for p in pids)
    assert not (m.dir / "run/control").exists() and not (m.dir / "run/smtp-proxy.pid").exists()


def test_a_drain_takes_the_front_out_of_service_and_nothing_else(m):
    m.misbehave("smtpd", "linger")
    m.start().wait("master.ready")
    assert "smtp_accepting 1\n" in m.http("/metrics")[1]
    mark = m.mark()
    assert m.ctl("drain")[0] == 0
    said = m.wait("master.draining", mark)
    assert said["text"] == "Entering connection draining mode" and said["sessions"] == 35
    assert m.wait("stub.drain", mark, count=2)["limit_ms"] == 300000
    assert m.status()["state"] == "draining" and m.child("smtpd")["state"] == "draining"
    assert not m.connects("submission") and not m.connects("submissions")
    status, body, _ = m.http("/health/ready")
    assert status == 503 and "the SMTP front: it is drained" in json.loads(body)["missing"], body
    assert "smtp_accepting 0\n" in m.http("/metrics")[1]
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        patient = beside.submit(m.ctl, "drain", "--wait")
        assert not m.all("master.drained")
        m.ask(b"tls leave\n")
        assert patient.result(PATIENCE)[0] == 0
    assert m.status()["state"] == "drained" and m.child("smtpd")["state"] == "gone"
    assert m.all("master.child.ended", mark)[0]["level"] == "info"
    assert len(m.all("master.draining", mark)) == 1
    # The rest lives on: it is started again and reloaded.
    mark = m.mark()
    os.kill(m.child("qmgr")["pid"], signal.SIGKILL)
    m.wait("master.child.ready", mark, child="qmgr")
    assert not m.all("stub.peer", mark, peer="smtpd")
    m.process.send_signal(signal.SIGHUP)
    m.wait("master.reloaded", mark)
    assert not m.all("stub.listener", mark)
    assert m.stop() == 0
    assert len(m.all("master.draining")) == 1


def test_a_stop_waits_for_sessions_and_a_second_one_does_not(m):
    m.misbehave("smtpd", "linger")
    m.start().wait("master.ready")
    pids = [c["pid"] for c in m.status()["children"]]
    m.process.send_signal(signal.SIGTERM)
    m.wait("stub.drain", count=2)
    assert m.status()["state"] == "stopping" and m.child("gate")["state"] == "ready"
    # While sessions go on, whom they need is there.
    mark = m.mark()
    os.kill(m.child("qmgr")["pid"], signal.SIGKILL)
    m.wait("master.child.ready", mark, child="qmgr")
    assert "stopping" in json.loads(m.ask(b"drain\n"))["error"]
    m.process.send_signal(signal.SIGTERM)
    assert m.process.wait(PATIENCE) == 0
    assert {e["reason"] for e in m.all("master.child.killed")} == {"told twice to stop"}
    assert not any(alive(p) for p in pids) and not m.all("master.child.started", mark)[1:]


def slow_test_who_does_not_end_in_time_is_ended(m):
    """A second, and ten of grace."""
    m.settings(drain="1s")
    m.misbehave("smtpd", "linger")
    m.start().wait("master.ready")
    m.ctl("drain")
    assert m.wait("stub.drain")["limit_ms"] == 1000
    assert m.wait("master.child.killed", child="smtpd")["reason"] == "it took too long to stop"
    m.wait("master.drained")
    assert m.stop() == 0


def test_an_upgrade_refuses_nobody(m):
    m.start().wait("master.ready")
    before, ports = m.status(), [m.port(name) for name in ("submission", "submissions", "api")]
    new = m.dir / "new"
    shutil.copy2(m.program, new)
    os.chown(new, os.stat(m.program).st_uid, -1)
    new.rename(m.program)  # the old one is deleted, as a package does it
    knockers = [Knocker(port) for port in ports]
    for _ in range(3):
        mark, started = m.mark(), m.status()["started_at"]
        code, _, errors = m.ctl("upgrade", "--wait")
        assert code == 0, errors
        assert all(e["is_inherited"] for e in m.all("master.listening", mark)), m.all("master.listening", mark)
        assert [e["port"] for e in m.all("master.listening", mark)] == ports
        assert m.wait("stub.drain", mark)["limit_ms"] == 30000
        assert m.status()["started_at"] > started and m.status()["pid"] == m.process.pid
    for knocker in knockers:
        knocker.end()
    if os.geteuid() == 0:
        assert os.readlink(f"/proc/{m.process.pid}/exe") == str(m.program)
    after = m.status()
    assert not {c["pid"] for c in before["children"]} & {c["pid"] for c in after["children"]}
    assert not any(alive(c["pid"]) for c in before["children"])
    assert not m.all("master.inherited.unwanted") and m.stop() == 0
    assert not m.connects("submission")


def test_an_upgrade_that_cannot_be_is_refused_and_disturbs_nobody(m):
    m.start().wait("master.ready")
    pids = [c["pid"] for c in m.status()["children"]]
    m.settings(extra="nonsense: {a: 1}")
    reason = json.loads(m.ask(b"upgrade\n"))["error"]
    assert "nonsense" in reason and "main.yaml:" in reason, reason
    assert m.ctl("upgrade")[0] == 78  # it has read the file itself
    m.settings()
    (m.dir / "prog/gate").rename(m.dir / "gate")
    code, _, errors = m.ctl("upgrade", "--wait")
    assert code == 69 and "prog/gate" in errors, errors
    (m.dir / "gate").rename(m.dir / "prog/gate")
    m.program.rename(m.dir / "old")
    assert "No such file" in m.ctl("upgrade")[2]
    (m.dir / "smtp-proxy").write_text("#!/bin/sh\nexit 1\n")
    m.program.chmod(0o755)
    assert "without a word" in m.ctl("upgrade")[2]
    assert len(m.all("master.upgrade.refused")) == 4 and not m.all("master.draining")
    assert [c["pid"] for c in m.status()["children"]] == pids
    (m.dir / "old").rename(m.program)
    assert m.stop() == 0


def test_an_upgrade_that_fails_late_loses_nothing(m):
    m.misbehave("smtpd", "linger")
    m.start().wait("master.ready")
    port = m.port("submission")
    knocker = Knocker(port)
    mark = m.mark()
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        patient = beside.submit(m.ctl, "upgrade", "--wait")
        m.wait("stub.drain", mark, count=2)
        assert m.status()["state"] == "upgrading" and "stopping already" in m.ctl("upgrade")[2]
        m.settings(extra="nonsense: {a: 1}")
        m.ask(b"tls leave\n")
        m.wait("master.ready", mark)
        code, _, errors = patient.result(PATIENCE)
        assert code == 69 and "the old one runs on" in errors, (code, errors)
    assert "nonsense" in m.wait("master.upgrade.failed", mark)["reason"]
    assert m.status()["state"] == "running" and m.wait("master.listening", mark, listener="submission")["port"] == port
    knocker.end()
    # It lacks nothing: it goes on as before, also to the next upgrade.
    m.settings()
    mark = m.mark()
    m.process.send_signal(signal.SIGHUP)
    m.wait("master.reloaded", mark)
    code, out, _ = m.run()
    assert code == 69 and "is running already" in out, out
    m.process.send_signal(signal.SIGTERM)
    m.wait("stub.drain", mark, count=2)
    m.ask(b"tls leave\n")
    assert m.process.wait(PATIENCE) == 0


def test_a_stop_goes_before_an_upgrade(m):
    m.misbehave("smtpd", "linger")
    m.start().wait("master.ready")
    assert m.ctl("upgrade")[0] == 0
    m.wait("stub.drain", count=2)
    m.process.send_signal(signal.SIGTERM)
    m.wait("master.stopping")
    assert m.status()["state"] == "stopping" and not m.connects("submission")
    m.ask(b"tls leave\n")
    assert m.process.wait(PATIENCE) == 0 and not m.all("master.upgrade.exec")


def test_an_upgrade_outlives_another_master_that_takes_the_lock(m):
    m.start().wait("master.ready")
    mark, port = m.mark(), m.port("submission")
    with open(m.dir / "run/smtp-proxy.pid", "rb") as file, concurrent.futures.ThreadPoolExecutor(1) as beside:
        locked = beside.submit(fcntl.flock, file, fcntl.LOCK_EX)  # it waits, and has it the moment that it is free
        assert m.ctl("upgrade")[0] == 0
        locked.result(PATIENCE)
        m.wait("master.start", mark)
        assert not m.all("master.listening", mark)
        fcntl.flock(file, fcntl.LOCK_UN)
    m.wait("master.ready", mark)
    assert m.all("master.listening", mark)[0]["port"] == port
    assert m.stop() == 0


def test_an_upgrade_brings_a_drained_front_back(m):
    m.start().wait("master.ready")
    assert m.ctl("drain", "--wait")[0] == 0
    m.settings(port=m.port("submission"))
    mark = m.mark()
    assert m.ctl("upgrade", "--wait")[0] == 0
    assert m.status()["state"] == "running" and m.connects("submission")
    assert [e["is_inherited"] for e in m.all("master.listening", mark)] == [False, False, True]
    assert m.stop() == 0


def test_a_service_manager_keeps_the_sockets_over_a_restart(m):
    manager = ServiceManager()
    try:
        m.start(manager).wait("master.ready")
        assert manager.wait_names("api", "listener.submission", "listener.submissions")
        ports = [m.port(name) for name in ("submission", "submissions", "api")]
        knockers = [Knocker(port) for port in ports]
        for _ in range(2):
            assert m.stop() == 0
            m.start(manager).wait("master.ready")
            assert [(e["port"], e["is_inherited"]) for e in m.all("master.listening")] == [(p, True) for p in ports]
            assert len(manager.names()) == 3 and not m.all("master.inherited.unwanted")
        assert m.ctl("upgrade", "--wait")[0] == 0
        for knocker in knockers:
            knocker.end()
        assert len(manager.names()) == 3
        # A listener that is not wanted any more is forgotten, and so is what is no listener at all.
        text = (m.dir / "main.yaml").read_text()
        (m.dir / "main.yaml").write_text("\n".join(line for line in text.split("\n") if "submissions" not in line))
        assert m.stop() == 0
        with socket.socket() as other:
            m.start(manager, [("other", other)]).wait("master.ready")
        assert manager.wait_names("api", "listener.submission")
        assert sorted(e["name"] for e in m.all("master.inherited.unwanted")) == ["listener.submissions", "other"]
        with socket.socket() as s:
            assert s.connect_ex(("127.0.0.1", ports[1])) == errno.ECONNREFUSED
        # A drain is no restart: clients are to go elsewhere.
        assert m.ctl("drain", "--wait")[0] == 0
        assert manager.wait_names("api")
        assert not m.connects("submission")
        assert m.stop() == 0
    finally:
        manager.close()


def test_a_socket_unit_is_believed_by_address_whatever_its_name(m):
    manager = ServiceManager()
    try:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            one.listen(1)
            m.settings(port=one.getsockname()[1])
            waiting = socket.create_connection(one.getsockname(), PATIENCE)
            m.start(manager, [("smtp-proxy.socket", one)]).wait("master.ready")
            assert m.wait("master.listening", listener="submission")["is_inherited"]
            assert not m.wait("master.listening", listener="submissions")["is_inherited"]
            assert manager.wait_names("api", "listener.submissions")  # the unit keeps its own
            waiting.close()
            assert m.stop() == 0
            # For another process: not touched.
            one.close()
            m.start(LISTEN_PID="1", LISTEN_FDS="3").wait("master.ready")
            assert not m.all("master.inherited.unwanted")
            assert m.stop() == 0
    finally:
        manager.close()


def test_no_child_outlives_a_master_that_is_killed(m):
    m.start().wait("master.ready")
    pids, port = [c["pid"] for c in m.status()["children"]], m.port("submission")
    os.kill(pids[0], signal.SIGSTOP)  # not even one that does not listen
    m.process.kill()
    m.process.wait()
    # At once, on the same port.
    m.settings(port=port)
    m.start().wait("master.ready")
    assert m.port("submission") == port
    assert not any(alive(p) for p in pids)
    m.stop()


def test_connections_wait_while_nobody_takes_them(m):
    m.misbehave("smtpd", "die at start")
    m.start().wait("master.child.waiting", child="smtpd")
    with socket.create_connection(("127.0.0.1", m.port("submission")), PATIENCE):
        pass
    m.stop()


def test_a_second_master_is_refused(m):
    m.start().wait("master.ready")
    code, out, _ = m.run()
    assert code == 69 and f"running already as process {m.process.pid} " in out, (code, out)
    assert all(c["state"] == "ready" for c in m.status()["children"])
    m.stop()


def test_a_port_that_is_taken_is_named(m):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        m.settings(port=s.getsockname()[1])
        code, out, _ = m.run()
        assert code == 69 and f"127.0.0.1 port {s.getsockname()[1]}: Address already in use" in out, out


def test_what_is_wrong_is_said_before_anything_runs(m):
    assert m.run("-t")[0] == 0
    assert "smtp-proxy" in m.run("-V")[1] and "usage:" in m.run("-h")[1]
    assert m.run("-x")[0] == 64 and m.run("more")[0] == 64
    m.certificate(0, key=1)
    (m.dir / "prog/gate").unlink()
    code, out, errors = m.run("-t")
    assert code == 78 and "tls.pem" in errors and "prog/gate" in errors, errors
    m.settings(sessions=0, extra="nonsense: {a: 1}")
    code, out, errors = m.run()
    assert code == 78 and out == "" and errors.count("\n") == 2 and "main.yaml:" in errors, errors


def test_the_service_manager_hears_of_it(m):
    address = f"\0smtp-proxy-test-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(address)
        s.settimeout(PATIENCE)

        def hear(start):
            until = time.monotonic() + PATIENCE
            while not (said := s.recv(1000).decode()).startswith(start):
                assert said in ("WATCHDOG=1", "STATUS=") or said.startswith("FDSTORE=1"), said
                assert time.monotonic() < until, f"the service manager did not hear {start} in {PATIENCE} seconds"
            return said

        m.start(NOTIFY_SOCKET="@" + address[1:], WATCHDOG_USEC="100000")
        assert hear("READY=1") == f"READY=1\nMAINPID={m.process.pid}"
        m.wait("master.ready")
        assert hear("STATUS=") == "STATUS=", "there is nothing to say"
        hear("WATCHDOG=1")
        hear("WATCHDOG=1")
        m.process.send_signal(signal.SIGHUP)
        assert int(hear("RELOADING=1\nMONOTONIC_USEC=").partition("USEC=")[2]) <= time.monotonic_ns() // 1000
        hear("READY=1")
        m.process.send_signal(signal.SIGTERM)
        hear("STOPPING=1")
    m.process.wait(PATIENCE)


def test_health_and_metrics(m):
    m.start().wait("master.ready")
    assert m.http("/health/live")[:2] == (200, '{"status":"live"}\n')
    status, body, headers = m.http("/health/ready")
    assert status == 503 and json.loads(body)["missing"] == ["the queue's database", "the gate's database"], body
    assert headers["Content-Type"] == "application/json"
    status, body, headers = m.http("/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'messages_sent_total{provider="local"} 0\n' in body and 'process_up{role="smtpd"} 2\n' in body
    for line in body.splitlines():
        assert line.startswith("# ") or float(line.rpartition(" ")[2]) >= 0, line
    assert m.http("/health/live", "HEAD")[:2] == (200, "")
    assert m.http("/nothing")[0] == 404 and m.http("/metrics/")[0] == 404 and json.loads(m.http("/%00")[1])["error"]
    status, body, headers = m.http("/metrics", "DELETE")
    assert status == 405 and headers["Allow"] == "GET, HEAD" and json.loads(body)["error"]
    assert m.http("/metrics?x=1")[0] == 200
    m.stop()


def test_hostile_http_does_not_hurt(m):
    m.start().wait("master.ready")
    pid = m.child("api")["pid"]
    for hostile in (b"\0" * 1000, b"GET " + b"/" * 100000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000,
                    b"GET / HTTP/9.9\r\nContent-Length: -1\r\n\r\n", b"POST /metrics HTTP/1.1\r\nContent-Length: 999999999\r\n\r\nx",
                    b"GET http://[::1 HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"):
        with socket.create_connection(("127.0.0.1", m.port("api")), PATIENCE) as s:
            try:
                s.sendall(hostile)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except OSError:  # it may be cut off at any moment
                pass
    assert m.http("/health/live")[0] == 200 and m.child("api")["pid"] == pid
    m.stop()


def is_turned_away(m):
    try:
        return m.ask(b"status\n") == b""
    except ConnectionError:
        return True


def test_the_control_socket_is_private_and_bounded(m):
    m.start().wait("master.ready")
    assert (m.dir / "run/control").stat().st_mode & 0o777 == 0o600
    assert "error" in json.loads(m.ask(b"halt\n")) and "error" in json.loads(m.ask(b"\n"))
    assert m.ask(b"x" * 1001) == b""
    assert m.ask(b"x" * 1000 + b"\n").startswith(b'{"error"')
    idle = [socket.socket(socket.AF_UNIX) for _ in range(8)]
    for s in idle:
        s.connect(str(m.dir / "run/control"))
    assert is_turned_away(m), "a ninth visitor"
    for s in idle:
        s.close()
    until = time.monotonic() + PATIENCE
    while is_turned_away(m) and time.monotonic() < until:
        pass
    assert m.status()["state"] == "running"
    assert json.loads(m.ask(b"stop\n")) == {"done": "stop"}
    assert m.process.wait(PATIENCE) == 0


def test_questions_go_to_those_concerned_and_come_back_together(m):
    m.start().wait("master.ready")
    assert json.loads(m.ask(b"ban list\n")) == {"answers": [
        {"role": "gate", "slot": 0, "answer": '{"heard":"ban list"}'}]}
    words = "tls " + "x" * 996
    assert json.loads(m.ask(words.encode() + b"\n"))["answers"] == [
        {"role": "smtpd", "slot": n, "answer": json.dumps({"heard": words}, separators=(",", ":"))} for n in (0, 1)]
    m.wait("stub.asked", count=3)
    for nobodys in (b"bans list\n", b"tlsstatus\n", b" ban\n"):
        assert "error" in json.loads(m.ask(nobodys))
    m.stop()


def test_what_children_answer_cannot_pass_for_anothers(m):
    m.misbehave("gate", "break out")
    m.start().wait("master.ready")
    answers = m.ask(b"ban why 192.0.2.1\n")
    assert answers.count(b"\n") == 1 and json.loads(answers)["answers"] == [
        {"role": "gate", "slot": 0, "answer": '"}]}\n{"answers":[\\\xff\0'}], answers
    assert m.stop() == 0


def test_who_does_not_answer_is_not_waited_for_for_ever(m):
    m.misbehave("smtpd", "no answer")
    m.start().wait("master.ready")
    nothing = [{"role": "smtpd", "slot": n, "answer": None} for n in (0, 1)]
    begin = time.monotonic()
    assert json.loads(m.ask(b"tls status\n"))["answers"] == nothing
    assert 4.5 < time.monotonic() - begin < PATIENCE
    # One that ends is not waited for; one that does not run is not asked.
    pids, mark, begin = [m.child("smtpd", n)["pid"] for n in (0, 1)], m.mark(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        answer = beside.submit(m.ask, b"tls status\n")
        m.wait("stub.asked", mark, count=2)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert json.loads(answer.result(PATIENCE))["answers"] == nothing
    assert time.monotonic() - begin < 4.5
    # Nor does it matter that the asker leaves, or that all end meanwhile.
    mark = m.mark()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(m.dir / "run/control"))
        s.sendall(b"tls status\n")
        m.wait("stub.asked", mark)
    assert m.stop() == 0


def test_ctl_shows_and_tells(m):
    ctl = m.ctl
    code, _, errors = ctl("status")
    assert code == 69 and "not running" in errors, errors
    m.start().wait("master.ready")
    code, out, _ = ctl("status")
    assert "queued" in out and "implicit" in out, "what listeners do"
    assert code == 0 and all(word in out for word in (*ROLES, "CN=host0.example", str(m.port("submissions")))), out
    status = json.loads(ctl("--json", "status")[1])
    assert status["pid"] == m.process.pid and status["api"]["port"] == m.port("api")
    mark = m.mark()
    assert ctl("reload")[0] == 0
    m.wait("master.reloaded", mark)
    assert ctl("stop")[0] == 0 and m.process.wait(PATIENCE) == 0


def slow_test_a_child_that_hangs_is_replaced(m):
    """Three questions, ten seconds apart, stay unanswered."""
    m.start().wait("master.ready")
    pid = m.child("gate")["pid"]
    os.kill(pid, signal.SIGSTOP)
    assert m.wait("master.child.killed", patience=60, child="gate")["reason"] == "it does not answer"
    m.wait("master.child.ready", count=2, child="gate")
    assert not alive(pid) and m.child("gate")["restarts"] == 1
    assert not m.all("master.child.killed", child="qmgr")
    assert m.stop() == 0


def users_exist():
    try:
        return all(pwd.getpwnam(f"_sp-{role}") for role in ROLES)
    except KeyError:
        return False


def test_missing_users_are_named_with_the_command(m):
    if os.geteuid() == 0 and m.user is None and not users_exist():
        code, _, errors = m.run("-t")
        assert code == 78 and "useradd --system" in errors and "_sp-smtpd" in errors, errors


class TookTooLong(Exception):
    pass


def give_up(*_):
    raise TookTooLong(f"the test did not end in {TEST_LONGEST} seconds")


def run_one(name, test, user):
    m = Master(user)
    who = "ourselves" if user is None else user.pw_name
    try:
        # Whatever a test waits for and however: it ends. (The slow ones, beside, have their own limits.)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGALRM, give_up)
            signal.alarm(TEST_LONGEST)
        test(m)
        print(f"ok   {name} (as {who})", flush=True)
        return True
    except Exception as e:  # pylint: disable=broad-except
        line = traceback.extract_tb(e.__traceback__)[1]
        print(f"FAIL {name} (as {who}), line {line.lineno}: {line.line}: {type(e).__name__}: {e}", flush=True)
        return False
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.alarm(0)
        m.end()


def main():
    modes = [None]
    if os.geteuid() == 0:
        modes = ([None] if users_exist() else []) + [pwd.getpwnam("nobody")]
    wanted = sys.argv[1:]
    tests = [(n, t) for n, t in list(globals().items()) if "test_" in n and callable(t) and (not wanted or n in wanted)]
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        slow = [beside.submit(run_one, n, t, modes[-1]) for n, t in tests if n.startswith("slow_")]
        results = [run_one(n, t, user) for user in modes for n, t in tests if n.startswith("test_")]
        results += [s.result() for s in slow]
    failed = results.count(False)
    print(f"UNIT tests/master/master_test.py: {len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
