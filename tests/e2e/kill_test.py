# SPDX-License-Identifier: Apache-2.0
"""The kill test. Under load, kill -9 hits any child, all of them, the master and Postgres at random moments. Afterwards:

- every message that got a 250 reached the provider;
- none reached it twice, unless a kill hit between the provider's receipt and its answer reaching the journal: those are
  counted and printed. Such a repetition is excused only if a kill of the agents stands between the two receipts, close to
  the first one, and the queue itself recorded the first call's outcome as unknown;
- nobody's mail reached another's recipient.

	python3 -m tests.e2e.kill_test --seconds 60 [--clients 8] [--seed N] [--mode direct]     (run-tests; `make kill-test` runs it for longer)
"""
import argparse
import os
import random
import signal
import sys
import threading
import time
from collections import Counter, defaultdict

from tests.support import mail
from tests.support.base import wait_until
from tests.support.cluster import Cluster
from tests.support.proxy import Proxy
from tests.support.standin import SendGrid

# How long after its receipt a killed agent's call may have been under way, beyond the moment at which the stand-in wrote
# the answer: the agent reads it and appends it to the journal. And how late the stand-in may notice a receipt.
AFTER_ANSWER = 0.5
LATE_RECEIPT = 2.0
AGENT_KILLS = ("deliver", "children", "all")


class Load:
    """Clients that send one message after the other and never send one again."""

    def __init__(self, proxy, user, clients, rate):
        self.proxy, self.user = proxy, user
        self.lock = threading.Lock()
        self.next_id = 0
        self.accepted = {}              # load id -> when the 250 was read
        self.offered = 0
        self.refused = Counter()
        self.stop = threading.Event()
        self.pause = clients / rate
        self.threads = [threading.Thread(target=self._client, args=(random.Random(n),), daemon=True)
                        for n in range(clients)]

    def start(self):
        for t in self.threads:
            t.start()

    def finish(self):
        self.stop.set()
        for t in self.threads:
            t.join(120)

    def _client(self, rng):
        session = None
        while not self.stop.is_set():
            try:
                if session is None:
                    session = self.proxy.session(self.user, timeout=90)
                self._one(session, rng)
                if rng.random() < 0.02:
                    session.quit()
                    session = None
            except (OSError, EOFError, AssertionError, ValueError) as e:
                with self.lock:
                    self.refused[type(e).__name__] += 1
                if session is not None:
                    session.close()
                session = None
                self.stop.wait(0.1)
            self.stop.wait(self.pause * rng.uniform(0.5, 1.5))
        if session is not None:
            session.close()

    def _one(self, session, rng):
        with self.lock:
            self.next_id += 1
            load_id = f"L{self.next_id}"
            self.offered += 1
        # Most inside a frame, some by descriptor.
        size = rng.choice((200, 2000, 4000, 4000, 100000))
        text = f"for {load_id}\n" + ("z" * 70 + "\n") * (size // 71)
        reply = session.mail(mail.plain(text=text, load_id=load_id, to=f"{load_id}@example.net"),
                             to=[f"{load_id}@example.net"])
        with self.lock:
            if reply.code == 250:
                self.accepted[load_id] = time.monotonic()
            else:
                self.refused[str(reply.code)] += 1


class Killer:
    def __init__(self, proxy, cluster, rng):
        self.proxy, self.cluster, self.rng = proxy, cluster, rng
        self.kills = []                 # (when, what)
        self.orphans = 0

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(self.rng.uniform(0.1, 2.0))
            what = self.rng.choices(("child", "children", "all", "master", "postgres", "postgres+qmgr"),
                                    (70, 10, 4, 6, 7, 3))[0]
            getattr(self, "_" + what.replace("+", "_and_"))()

    def _kill(self, pids, what):
        begin = time.monotonic()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.kills.append((begin, what))

    def _child(self):
        children = self.proxy.children()
        roles = sorted(set(children.values()) - {"smtp-proxy"})
        if not roles:
            return
        # By role first: qmgr and gate are one each, the workers are several.
        role = self.rng.choice(roles)
        self._kill([self.rng.choice([p for p, n in children.items() if n == role])], role)

    def _children(self):
        self._kill(list(self.proxy.children()), "children")

    def _restart(self, pids, what):
        self._kill(pids, what)
        self.proxy.process.wait()
        try:
            wait_until(lambda: not any(_is_there(p) for p in pids), 10, "no orphans")
        except AssertionError:
            self.orphans += 1
        self.proxy.log.join()
        self.proxy.start()

    def _all(self):
        self._restart([self.proxy.process.pid, *self.proxy.children()], "all")

    def _master(self):
        children = self.proxy.children()
        self._kill([self.proxy.process.pid], "all")     # its children end with it, the agents too
        self.proxy.process.wait()
        try:
            wait_until(lambda: not any(_is_there(p) for p in children), 10, "no orphans")
        except AssertionError:
            self.orphans += 1
        self.proxy.log.join()
        self.proxy.start()

    def _postgres(self):
        self.cluster.kill()
        self.kills.append((time.monotonic(), "postgres"))
        time.sleep(self.rng.uniform(0, 1))
        self.cluster.start()

    def _postgres_and_qmgr(self):
        self.cluster.kill()
        self.kills.append((time.monotonic(), "postgres"))
        self._kill([p for p, n in self.proxy.children().items() if n in ("qmgr", "gate")], "qmgr")
        self.cluster.start()


def _is_there(pid):
    from tests.support.cluster import _alive
    return _alive(pid)


def judge(load, killer, standin, cluster):
    """The counts and the list of what went wrong."""
    with standin.lock:
        records = list(standin.accepted)
    by_id = defaultdict(list)
    strangers = []
    for r in records:
        by_id[r.load_id].append(r)
        to = [a["email"] for a in r.payload["personalizations"][0]["to"]]
        text = r.payload["content"][0]["value"].splitlines()
        if to != [f"{r.load_id}@example.net"] or text[:1] != [f"for {r.load_id}"]:
            strangers.append(r.load_id)
    lost = sorted(set(load.accepted) - set(by_id))
    unknown = {row[0] for row in cluster.sql(
        "SELECT DISTINCT recipients[1] FROM event e JOIN message m USING (tenant_id, message_id) "
        "WHERE e.kind = 'unknown'")}
    during, after, wrong = [], [], []
    agent_kills = [t for t, what in killer.kills if what in AGENT_KILLS]
    for load_id, found in by_id.items():
        for first, second in zip(found, found[1:]):
            answered = first.answered_at or float("inf")
            between = [t for t in agent_kills if first.received_at - LATE_RECEIPT <= t < second.received_at]
            recorded = f"{load_id}@example.net" in unknown
            if recorded and any(t <= answered for t in between):
                during.append(load_id)
            elif recorded and any(t <= answered + AFTER_ANSWER for t in between):
                after.append(load_id)
            else:
                wrong.append((load_id, first.received_at, first.answered_at, second.received_at, recorded))
    return by_id, lost, strangers, during, after, wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rate", type=float, default=150, help="messages a second offered, at most")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--mode", choices=("queued", "direct", "direct-then-queue"), default="queued")
    args = parser.parse_args()
    print(f"kill_test: seed {args.seed}, {args.seconds:.0f} s, {args.clients} clients, {args.mode}", flush=True)
    rng = random.Random(args.seed)
    cluster = Cluster()
    standin = SendGrid()
    # An answer takes a moment, as a real one does: that is when a kill hurts.
    standin.latency = 0.03
    if args.mode == "direct-then-queue":
        standin.latency = 0.1       # about the deadline: half of the messages are stored while their call is under way
    listener = {"address": "127.0.0.1", "port": 0, "mode": args.mode}
    proxy = Proxy(cluster, {"sendgrid": standin}, {"queue": {"retry_first": "1s", "retry_longest": "5s",
                                                             "max_attempts": 100},
                                                   "deliver": {"call_timeout": "5s"},
                                                   "smtpd": {"submit_timeout": "30s"},
                                                   "direct": {"deadline": "100ms"},
                                                   "listeners": {"submission": dict(listener, tls="starttls"),
                                                                 "submissions": dict(listener, tls="implicit")}})
    results = []

    def check(name, bad, detail=""):
        results.append(not bad)
        print(f"{'FAILED' if bad else 'ok    '} {name}{': ' + str(detail) if bad and detail else ''}", flush=True)
    try:
        proxy.migrate()
        proxy.tenant("load", "sendgrid")
        user = "load@users.example"
        proxy.add_user(user, "load")
        proxy.start()
        load = Load(proxy, user, args.clients, args.rate)
        killer = Killer(proxy, cluster, rng)
        load.start()
        killer.run(args.seconds)
        load.finish()
        quiet = True
        try:
            wait_until(lambda: proxy.depth() == 0, 120, "an empty queue", 0.3)
        except AssertionError as e:
            quiet = False
            print(e)
            for row in cluster.sql("SELECT * FROM queue LIMIT 5"):
                print("  left:", row)
        by_id, lost, strangers, during, after, wrong = judge(load, killer, standin, cluster)
        kinds = Counter(what for _, what in killer.kills)
        print(f"kills: {len(killer.kills)} ({', '.join(f'{k} {n}' for k, n in sorted(kinds.items()))})")
        print(f"messages: {load.offered} offered, {len(load.accepted)} answered 250, {sum(load.refused.values())} not "
              f"({', '.join(f'{k} {n}' for k, n in sorted(load.refused.items()))}), {len(by_id)} reached the provider, "
              f"{len(set(by_id) - set(load.accepted))} of them without a 250 that arrived")
        print(f"lost: {len(lost)}")
        print(f"twice: {len(during) + len(after)} excused ({len(during)} killed before the provider's answer was written, "
              f"{len(after)} within {AFTER_ANSWER} s after it), {len(wrong)} not")
        check("every message that got a 250 reached the provider", lost, lost[:10])
        check("none reached it twice but where a kill hit the call itself", wrong, wrong[:10])
        check("every message has its own recipient and text", strangers, strangers[:10])
        check("the queue is empty at the end", not quiet)
        check("no process outlived its master", killer.orphans)
        check("the provider would have refused nothing", standin.violations, standin.violations[:3])
        wrong = proxy.complaints()
        check("the log is whole lines, without bugs and forbidden calls", wrong, wrong[:5])
        check("enough was tried", len(load.accepted) < args.seconds * 5 or len(killer.kills) < args.seconds / 6,
              f"{len(load.accepted)} messages, {len(killer.kills)} kills")
        try:
            with proxy.session(user) as s:
                flows = s.mail(mail.plain(load_id="last", text="for last\n", to="last@example.net"),
                               to=["last@example.net"]).code == 250
            standin.wait_for(lambda: any(r.load_id == "last" for r in standin.accepted), 20, "the last message")
        except (OSError, EOFError, AssertionError) as e:
            flows = False
            print(e)
        check("mail flows at the end", not flows)
    finally:
        proxy.close()
        standin.close()
        cluster.close()
    print(f"kill_test: {sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
