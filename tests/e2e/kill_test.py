# SPDX-License-Identifier: Apache-2.0
"""The kill test. Under load, kill -9 hits any child, all of them, the master and Postgres at random moments. Afterwards:

- every message that got a 250 reached the provider;
- none reached it twice, unless a kill hit between the provider's receipt and its answer reaching the journal: those are
  counted and printed. Such a repetition is excused only if a kill of the agents stands between the two receipts, close to
  the first one, and the queue itself recorded the first call's outcome as unknown. Nothing excuses a repetition of what
  was sent in mode direct, whose clients do not say it again, or whose 250 was the provider's own;
- nobody's mail reached another's recipient.

In mode mixed there are three tenants, one with each mode, some messages have more recipients than one call takes, and
the provider's answers come before, at and after the deadline of direct-then-queue. In mode split every recipient is a call of
its own, and messages have up to six.

	python3 -m tests.e2e.kill_test --seconds 60 [--clients 8] [--seed N] [--mode mixed]     (run-tests; `make kill-test` runs it for longer)
"""
import argparse
import os
import random
import signal
import sys
import time
from collections import Counter

from tests.support import mail
from tests.support.base import wait_until
from tests.support.cluster import Cluster
from tests.support.load import AGENT_KILL, RECIPIENTS_A_CALL, Load, SlowSendGrid, account
from tests.support.proxy import Proxy

AGENT_KILLS = ("deliver", "children", "all")
MODES = ("queued", "direct", "direct-then-queue")


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


def settings_of(mode):
    listener = {"address": "127.0.0.1", "port": 0, "mode": mode if mode in MODES else MODES[0]}
    return {"queue": {"retry_first": "1s", "retry_longest": "5s", "max_attempts": 100},
            "deliver": {"call_timeout": "5s"},
            "smtpd": {"submit_timeout": "30s"},
            "direct": {"deadline": "100ms"},
            "listeners": {"submission": dict(listener, tls="starttls"), "submissions": dict(listener, tls="implicit")}}


def add_users(proxy, mode):
    """[(mode, user)]; clients take them in turn."""
    users = []
    for one in MODES if mode == "mixed" else ("queued",) if mode == "split" else (mode,):
        user = f"load@{one}.example"
        proxy.tenant(one, "sendgrid")
        if mode == "mixed":
            proxy.ctl("tenant", "set", one, "--mode", one)
        proxy.add_user(user, one)
        users.append((one, user))
    return users


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rate", type=float, default=150, help="messages a second offered, at most")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--mode", choices=(*MODES, "mixed", "split"), default="queued")
    args = parser.parse_args()
    print(f"kill_test: seed {args.seed}, {args.seconds:.0f} s, {args.clients} clients, {args.mode}", flush=True)
    rng = random.Random(args.seed)
    cluster = Cluster()
    standin = SlowSendGrid()
    if args.mode in ("direct-then-queue", "mixed"):
        standin.latencies = (0.03, 0.1, 0.2)        # before the deadline, about it, and after it
    each = 1 if args.mode == "split" else RECIPIENTS_A_CALL
    proxy = Proxy(cluster, {"sendgrid": dict(standin.settings(), recipients_per_call=each)}, settings_of(args.mode))
    results = []

    def check(name, bad, detail=""):
        results.append(not bad)
        print(f"{'FAILED' if bad else 'ok    '} {name}{': ' + str(detail) if bad and detail else ''}", flush=True)
    try:
        proxy.migrate()
        users = add_users(proxy, args.mode)
        proxy.start()
        load = Load(proxy, users, args.clients, args.rate, 6 if args.mode == "split" else RECIPIENTS_A_CALL + 1)
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
        found = account(load, [(t, AGENT_KILL) for t, what in killer.kills if what in AGENT_KILLS], standin, cluster)
        taken, reached = found.taken, found.reached
        kinds = Counter(what for _, what in killer.kills)
        print(f"kills: {len(killer.kills)} ({', '.join(f'{k} {n}' for k, n in sorted(kinds.items()))})")
        print(f"messages: {len(load.offers)} offered, {len(taken)} answered 250, {sum(load.refused.values())} not "
              f"({', '.join(f'{k} {n}' for k, n in sorted(load.refused.items()))}), {len(reached)} reached the provider, "
              f"{len(reached - taken)} of them without a 250 that arrived")
        for mode, _ in users:
            answers = [o for o in load.offers.values() if o.mode == mode and o.is_taken]
            print(f"  {mode}: {len(answers)} answered 250, {sum('queued as' in o.reply.text for o in answers)} of them as queued")
        print(found)
        print(f"  excused: {len(found.during)} killed before the provider's answer was written, {len(found.after)} within "
              f"{AGENT_KILL.after_answer} s after it")
        check("every message that got a 250 reached the provider", found.lost, found.lost[:10])
        check("none reached it twice but where a kill hit the call itself", found.wrong, found.wrong[:10])
        check("every message has its own recipient and text", found.strangers, found.strangers[:10])
        check("what was accepted is delivered, dead or waiting", found.unaccounted, list(found.unaccounted)[:10])
        check("the queue is empty at the end", not quiet)
        check("no process outlived its master", killer.orphans)
        check("the provider would have refused nothing", standin.violations, standin.violations[:3])
        wrong = proxy.complaints()
        check("the log is whole lines, without bugs and forbidden calls", wrong, wrong[:5])
        check("enough was tried", len(taken) < args.seconds * 5 or len(killer.kills) < args.seconds / 6,
              f"{len(taken)} messages, {len(killer.kills)} kills")
        try:
            flows = True
            for _, user in users:
                with proxy.session(user) as s:
                    flows = s.mail(mail.plain(load_id="last", text="for last\n", to="last@example.net"),
                                   to=["last@example.net"]).code == 250 and flows
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
