# SPDX-License-Identifier: Apache-2.0
"""Load, and the account of it: clients that hand in messages and never say one again, and afterwards the question what
became of each. For whatever is killed, stopped or taken away meanwhile.

A message may reach the provider twice only where nobody could know that it had it: its host or agent was killed (or held
up beyond its lease) during the call, or so shortly after the answer that this could not be written down.
"""
import dataclasses
import itertools
import random
import threading
from collections import Counter, defaultdict

from tests.support import mail
from tests.support.base import wait_until
from tests.support.case import queued_id
from tests.support.standin import SendGrid

RECIPIENTS_A_CALL = 2
# How late the stand-in may notice a receipt.
LATE_RECEIPT = 2.0


@dataclasses.dataclass
class Kind:
    """Of a kill: how long after the stand-in wrote its answer a call may still be as if unanswered, and does the queue then
    record that its outcome is unknown?"""
    after_answer: float
    is_recorded: bool = True


# The agent reads the answer and appends it to the journal.
AGENT_KILL = Kind(0.5)
# A host that does not come back takes its journal with it: the outcome has to be committed, a batch later.
HOST_KILL = Kind(1.5, False)


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

    serials = itertools.count(1)    # several loads may follow each other at one provider

    def __init__(self, proxies, users, clients, rate, most=RECIPIENTS_A_CALL + 1):
        """Of several hosts each client has one, and goes on to the next when it is refused there. One message in five has
        `most` recipients."""
        self.proxies = proxies if isinstance(proxies, list) else [proxies]
        self.users = users              # (mode, user)
        self.most = most
        self.serial = next(self.serials)
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

    def wait(self, n, timeout=30):
        """Until n more were answered 250."""
        least = len(self.taken()) + n
        wait_until(lambda: len(self.taken()) >= least, timeout, f"{n} more messages taken")

    def _client(self, number):
        rng = random.Random(number)
        turn = number
        mode, user = self.users[number % len(self.users)]
        session = None
        while not self.stop.is_set():
            try:
                if session is None:
                    session = self.proxies[turn % len(self.proxies)].session(user, timeout=90)
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
                turn += 1
                self.stop.wait(0.1)
            self.stop.wait(self.pause * rng.uniform(0.5, 1.5))
        if session is not None:
            session.close()

    def _one(self, session, mode, rng):
        with self.lock:
            load_id = f"L{self.serial}n{len(self.offers) + 1}"
            offer = Offer(load_id, mode, rng.choice((1, 1, 1, 1, self.most)))
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
        with self.lock:
            return {load_id for load_id, offer in self.offers.items() if offer.is_taken}


def recipients_of(payload):
    return [a["email"] for p in payload["personalizations"] for kind in ("to", "cc", "bcc") for a in p.get(kind, [])]


@dataclasses.dataclass
class Account:
    """By load ids."""
    taken: set                  # answered 250
    reached: set                # at the provider
    lost: list                  # a 250, and not every recipient at the provider
    strangers: list             # other recipients or another text than its own
    during: set                 # twice, and excused: there was no answer
    after: set                  # ... or not for long
    wrong: list                 # twice
    # Recipients: (message id, address).
    stored: set                 # of those answered 250 as queued
    delivered: set              # what the database says of these
    dead: set
    waiting: set

    @property
    def unaccounted(self):
        """Who was accepted and is neither delivered, dead nor waiting; or is waiting and something else."""
        return (self.stored - self.delivered - self.dead - self.waiting) | (self.waiting & (self.delivered | self.dead))

    def __str__(self):
        return (f"recipients accepted {len(self.stored)} = delivered {len(self.delivered)} + dead {len(self.dead)} + waiting "
                f"{len(self.waiting)}; lost {len(self.lost)}; twice {len(self.during) + len(self.after)} excused, "
                f"{len(self.wrong)} not")

    def check(self, case):
        """For a unittest.TestCase."""
        print(f"\n{case.id().split('.')[-1]}: {self}", flush=True)
        case.assertEqual(self.lost, [], "a 250, and it never reached the provider")
        case.assertEqual(self.wrong, [], "reached the provider twice")
        case.assertEqual(self.strangers, [], "not its own recipient and text")
        case.assertEqual(self.unaccounted, set(), "accepted, and neither delivered, dead nor waiting")


def _recipients(cluster, table):
    """(message id, address) of each recipient that a row is about: of its part of a message."""
    return {tuple(row) for row in cluster.sql(
        f"SELECT t.message_id, m.recipients[i.n + 1] FROM {table} t JOIN message m USING (tenant_id, message_id) "
        "CROSS JOIN LATERAL unnest(coalesce(t.recipients::int[], ARRAY(SELECT generate_series(0, cardinality(m.recipients) - 1)"
        "))) AS i(n)")}


def account(load, kills, standins, cluster):
    """kills: [(when, Kind)], by time.monotonic()."""
    records = []
    for standin in standins if isinstance(standins, list) else [standins]:
        with standin.lock:
            records += [r for r in standin.accepted if r.load_id in load.offers]
    reached = defaultdict(lambda: defaultdict(list))        # by load id, by recipient
    strangers = []
    for r in sorted(records, key=lambda r: r.received_at):
        to = recipients_of(r.payload)
        text = r.payload["content"][0]["value"].splitlines()
        if not set(to) <= set(load.offers[r.load_id].to) or text[:1] != [f"for {r.load_id}"]:
            strangers.append(r.load_id)
        for one in to:
            reached[r.load_id][one].append(r)
    unknown = {address for _, address in _recipients(cluster, "(SELECT * FROM event WHERE kind = 'unknown')")}
    during, after, wrong = set(), set(), []
    for load_id, offer in load.offers.items():
        for to, first, second in ((to, *pair) for to, found in reached[load_id].items() for pair in zip(found, found[1:])):
            answered = first.answered_at or float("inf")
            recorded = to in unknown
            between = [(t, kind) for t, kind in kills
                       if first.received_at - LATE_RECEIPT <= t < second.received_at and
                       (recorded or not kind.is_recorded) and not offer.is_sent_once]
            if any(t <= answered for t, _ in between):
                during.add(load_id)
            elif any(t <= answered + kind.after_answer for t, kind in between):
                after.add(load_id)
            else:
                wrong.append((load_id, offer.mode, offer.reply, first.received_at, first.answered_at, second.received_at))
    stored = {(queued_id(o.reply), to) for o in load.offers.values() if o.is_taken and "queued as" in o.reply.text
              for to in o.to}
    return Account(
        taken=load.taken(), reached={load_id for load_id, found in reached.items() if found},
        lost=sorted(load_id for load_id, offer in load.offers.items() if offer.is_lost(reached[load_id])),
        strangers=strangers, during=during, after=after, wrong=wrong, stored=stored,
        delivered=stored & {tuple(row) for row in
                            cluster.sql("SELECT message_id, recipient FROM delivery WHERE state <> 'failed'")},
        dead=stored & _recipients(cluster, "dead_letter"),
        waiting=stored & _recipients(cluster, "queue"))
