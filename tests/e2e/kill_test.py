# SPDX-License-Identifier: Apache-2.0
"""The kill test. Under load, kill -9 hits any child, all of them, the master and Postgres at random moments. Afterwards:

- every message that got a 250 reached the provider;
- none reached it twice, unless a kill hit between the provider's receipt and its answer reaching the journal: those are
  counted and printed. Such a repetition is excused only if a kill of the agents stands between the two receipts, close to
  the first one, and the queue itself recorded the first call's outcome as unknown. Nothing excuses a repetition of what
  was sent in mode direct, whose clients do not say it again, or whose 250 was the provider's own;
- nobody's mail reached another's recipient.

In mode mixed there are three tenants, one with each mode, some messages have more recipients than one call takes, and
the provider's answers come before, at and after the deadline of direct-then-queue.

	python3 -m tests.e2e.kill_test --seconds 60 [--clients 8] [--seed N] [--mode mixed]     (run-tests; `make kill-test` runs it for longer)
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
MODES = ("queued", "direct", "direct-then-queue")
RECIPIENTS_A_CALL = 2


class SlowSendGrid(SendGrid):
    """An answer takes a moment, as a real one does: that is when a kill hurts."""

    latencies = (0.03,)

    @property
    def latency(self):
        return random.choice(self.latencies)

    @latency.setter
    def latency(self, _seconds):
        pass


class Offer:
    """A message that a client has handed in."""

    def __init__(self, load_id, mode, n):
        self.mode = mode
        self.to = [f"{load_id}@example.net", *(f"{load_id}.{i}@example.net" for i in range(1, n))]
        self.reply = None

    @property
    def is_taken(self):
        return self.reply is not None and self.reply.code == 250

    @property
    def is_sent_once(self):
        """Whatever is killed."""
        return self.mode == "direct" or (self.is_taken and "queued as" not in self.reply.text)

    def is_lost(self, reached):
        """Of the calls of a direct message one is enough for a 250."""
        missing = [one for one in self.to if one not in reached]
        return self.is_taken and len(missing) > (len(self.to) - 1 if self.mode == "direct" else 0)


class Load:
    """Clients that send one message after the other and never send one again."""

    def __init__(self, proxy, users, clients, rate):
        self.proxy, self.users = proxy, users      # (mode, user)
        self.lock = threading.Lock()
        self.offers = {}                # by load id
        self.refused = Counter()
        self.stop = threading.Event()
        self.pause = clients / rate
        self.threads = [threading.Thread(target=self._client, args=(n,), daemon=True)
                        for n in range(clients)]

    def start(self):
        for t in self.threads:
            t.start()

    def finish(self):
        self.stop.set()
        for t in self.threads:
            t.join(120)

    def _client(self, number):
        rng = random.Random(number)
        mode, user = self.users[number % len(self.users)]
        session = None
        while not self.stop.is_set():
            try:
                if session is None:
                    session = self.proxy.session(user, timeout=90)
                self._one(session, mode, rng)
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

    def _one(self, session, mode, rng):
        with self.lock:
            load_id = f"L{len(self.offers) + 1}"
            offer = Offer(load_id, mode, rng.choice((1, 1, 1, 1, RECIPIENTS_A_CALL + 1)))
            self.offers[load_id] = offer
        # Most inside a frame, some by descriptor.
        size = rng.choice((200, 2000, 4000, 4000, 100000))
        text = f"for {load_id}\n" + ("z" * 70 + "\n") * (size // 71)
        reply = session.mail(mail.plain(text=text, load_id=load_id, to=offer.to[0]), to=offer.to)
        with self.lock:
            offer.reply = reply
            if reply.code != 250:
                self.refused[str(reply.code)] += 1

    def taken(self):
        return {load_id for load_id, offer in self.offers.items() if offer.is_taken}


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


def recipients_of(payload):
    return [a["email"] for p in payload["personalizations"] for kind in ("to", "cc", "bcc") for a in p.get(kind, [])]


def judge(load, killer, standin, cluster):
    """The counts and the list of what went wrong."""
    with standin.lock:
        records = list(standin.accepted)
    reached = defaultdict(lambda: defaultdict(list))        # by load id, by recipient
    strangers = []
    for r in records:
        to = recipients_of(r.payload)
        text = r.payload["content"][0]["value"].splitlines()
        if not set(to) <= set(load.offers[r.load_id].to) or text[:1] != [f"for {r.load_id}"]:
            strangers.append(r.load_id)
        for one in to:
            reached[r.load_id][one].append(r)
    lost = sorted(load_id for load_id, offer in load.offers.items() if offer.is_lost(reached[load_id]))
    unknown = {row[0] for row in cluster.sql(
        "SELECT DISTINCT recipients[1] FROM event e JOIN message m USING (tenant_id, message_id) "
        "WHERE e.kind = 'unknown'")}
    during, after, wrong = [], [], []
    agent_kills = [t for t, what in killer.kills if what in AGENT_KILLS]
    for load_id, offer in load.offers.items():
        for first, second in (pair for found in reached[load_id].values() for pair in zip(found, found[1:])):
            answered = first.answered_at or float("inf")
            between = [t for t in agent_kills if first.received_at - LATE_RECEIPT <= t < second.received_at]
            recorded = offer.to[0] in unknown and not offer.is_sent_once
            if recorded and any(t <= answered for t in between):
                during.append(load_id)
            elif recorded and any(t <= answered + AFTER_ANSWER for t in between):
                after.append(load_id)
            else:
                wrong.append((load_id, offer.mode, offer.reply, first.received_at, first.answered_at, second.received_at))
    return {load_id for load_id, found in reached.items() if found}, lost, strangers, set(during), set(after), wrong


def settings_of(mode):
    listener = {"address": "127.0.0.1", "port": 0, "mode": MODES[0] if mode == "mixed" else mode}
    return {"queue": {"retry_first": "1s", "retry_longest": "5s", "max_attempts": 100},
            "deliver": {"call_timeout": "5s"},
            "smtpd": {"submit_timeout": "30s"},
            "direct": {"deadline": "100ms"},
            "listeners": {"submission": dict(listener, tls="starttls"), "submissions": dict(listener, tls="implicit")}}


def add_users(proxy, mode):
    """[(mode, user)]; clients take them in turn."""
    users = []
    for one in MODES if mode == "mixed" else (mode,):
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
    parser.add_argument("--mode", choices=(*MODES, "mixed"), default="queued")
    args = parser.parse_args()
    print(f"kill_test: seed {args.seed}, {args.seconds:.0f} s, {args.clients} clients, {args.mode}", flush=True)
    rng = random.Random(args.seed)
    cluster = Cluster()
    standin = SlowSendGrid()
    if args.mode in ("direct-then-queue", "mixed"):
        standin.latencies = (0.03, 0.1, 0.2)        # before the deadline, about it, and after it
    proxy = Proxy(cluster, {"sendgrid": dict(standin.settings(), recipients_per_call=RECIPIENTS_A_CALL)},
                  settings_of(args.mode))
    results = []

    def check(name, bad, detail=""):
        results.append(not bad)
        print(f"{'FAILED' if bad else 'ok    '} {name}{': ' + str(detail) if bad and detail else ''}", flush=True)
    try:
        proxy.migrate()
        users = add_users(proxy, args.mode)
        proxy.start()
        load = Load(proxy, users, args.clients, args.rate)
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
        reached, lost, strangers, during, after, wrong = judge(load, killer, standin, cluster)
        taken = load.taken()
        kinds = Counter(what for _, what in killer.kills)
        print(f"kills: {len(killer.kills)} ({', '.join(f'{k} {n}' for k, n in sorted(kinds.items()))})")
        print(f"messages: {len(load.offers)} offered, {len(taken)} answered 250, {sum(load.refused.values())} not "
              f"({', '.join(f'{k} {n}' for k, n in sorted(load.refused.items()))}), {len(reached)} reached the provider, "
              f"{len(reached - taken)} of them without a 250 that arrived")
        for mode, _ in users:
            answers = [o for o in load.offers.values() if o.mode == mode and o.is_taken]
            print(f"  {mode}: {len(answers)} answered 250, {sum('queued as' in o.reply.text for o in answers)} of them as queued")
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
