# SPDX-License-Identifier: Apache-2.0
"""What systemd does with a unit's listening sockets: its FD store (FDSTORE=1, FDSTOREREMOVE=1 to $NOTIFY_SOCKET), and
handing sockets to the process that it starts (sd_listen_fds(3)).
"""
import os
import socket
import sys
import threading
import time

# Becomes the program in ARGV, with descriptors from 3 on: NAMES FD... -- ARGV
LAUNCHER = """
import os, sys
end = sys.argv.index("--")
names, fds, argv = sys.argv[1], [int(n) for n in sys.argv[2:end]], sys.argv[end + 1:]
high = [os.dup2(fd, 100 + i, inheritable=False) for i, fd in enumerate(fds)]
for fd in fds:
    os.close(fd)
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
if fds:
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names)
os.execv(argv[0], argv)
"""


def interpreter():
    """One that an ordinary user may run too."""
    return "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


class ServiceManager:
    """For one unit."""

    def __init__(self):
        self.changed = threading.Condition()
        self.store = []     # (name, socket)
        self.said = []
        self.address = f"smtp-proxy-test-{os.getpid()}-{time.monotonic_ns()}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.address)
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self):
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.socket, 4096, 4)
            except OSError:
                return
            with self.changed:
                self._take(dict(line.split("=", 1) for line in data.decode().splitlines()),
                           [socket.socket(fileno=fd) for fd in fds])
                self.changed.notify_all()

    def _take(self, words, sockets):
        self.said.append(words)
        for s in sockets:
            # The same socket is kept once.
            if os.fstat(s.fileno()).st_ino in {os.fstat(kept.fileno()).st_ino for _, kept in self.store}:
                s.close()
            else:
                self.store.append((words["FDNAME"], s))
        if "FDSTOREREMOVE" in words:
            gone = [s for n, s in self.store if n == words["FDNAME"]]
            self.store = [(n, s) for n, s in self.store if n != words["FDNAME"]]
            for s in gone:
                s.close()

    def names(self):
        with self.changed:
            return sorted(n for n, _ in self.store)

    def wait_names(self, *names, patience=20):
        """Until these are stored, and no others."""
        with self.changed:
            return self.changed.wait_for(lambda: self.names() == sorted(names), patience)

    def environment(self):
        return {"NOTIFY_SOCKET": "@" + self.address}

    def command(self, argv, more=()):
        """What to run instead of argv, and which descriptors to pass: what is stored, and more (name, socket)."""
        with self.changed:
            passed = [*self.store, *more]
        fds = [s.fileno() for _, s in passed]
        return [interpreter(), "-c", LAUNCHER, ":".join(n for n, _ in passed), *map(str, fds), "--", *argv], fds

    def close(self):
        self.socket.close()
        with self.changed:
            for _, s in self.store:
                s.close()
