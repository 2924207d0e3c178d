#!/usr/bin/python3 -B
"""Objects written through librados with a log of what was promised, and the check that every promise was kept.

    rados_history.py write CONF POOL LOG        until SIGTERM
    rados_history.py check CONF POOL LOG

The log has a line for each operation before it is sent (`send OBJECT VERSION`) and one when it was acknowledged (`done
OBJECT VERSION`); it goes straight to the file, so that it survives our own SIGKILL. `end` is the last line when nothing
failed.
"""

import os
import random
import signal
import sys
import threading

DEPTH = 16
#: The first word of an object's name says what is done to it. Of the first row there are many, of the second few.
ONCE = ("small", "small", "small", "large")
AGAIN = ("append", "omap", "replace")
#: Then it starts over with their names: a long run does not fill a small disk.
MANY, FEW = 600, 8


def content(name, version):
    """The bytes of version `version` of object `name`."""
    dice = random.Random(f"{name} {version}")
    if name.startswith("large"):
        size = dice.randrange(1 << 20, 5 << 20)
    elif name.startswith("append"):
        size = dice.randrange(1, 5000)
    else:
        size = dice.randrange(0, 60_000)
    return dice.randbytes(size)


def omap_key(version):
    return f"{version:06}"


class Writer:
    def __init__(self, io, log):
        self.io = io
        self.log = log
        self.room = threading.Semaphore(DEPTH)
        self.busy = set()
        self.failed = False

    def say(self, *words):
        os.write(self.log, (" ".join(map(str, words)) + "\n").encode())

    def send(self, name, version):
        self.room.acquire()
        self.busy.add(name)
        self.say("send", name, version)

        def finished(completion):
            result = completion.get_return_value()
            self.failed |= result < 0
            self.say(*(("done", name, version) if result >= 0 else ("error", name, version, result)))
            self.busy.discard(name)
            self.room.release()

        data = content(name, version)
        if name.startswith("append"):
            self.io.aio_append(name, data, oncomplete=finished)
        elif name.startswith("omap"):
            import rados
            with rados.WriteOpCtx() as op:
                self.io.set_omap(op, (omap_key(version),), (data[:100],))
                self.io.operate_aio_write_op(op, name, oncomplete=finished)
        else:
            self.io.aio_write_full(name, data, oncomplete=finished)

    def run(self, stop):
        """Until the event `stop` is set or an operation fails."""
        dice = random.Random(1)
        versions = {}
        number = 0
        while not stop.is_set() and not self.failed:
            kind = dice.choice(ONCE + AGAIN)
            name = f"{kind}{dice.randrange(FEW) if kind in AGAIN else number % MANY}"
            if name not in self.busy:
                versions[name] = versions.get(name, 0) + 1
                number += 1
                self.send(name, versions[name])
        for _ in range(DEPTH):
            self.room.acquire()
        if not self.failed:
            self.say("end")


def read_log(path):
    """The highest version of each object that was sent, and that was acknowledged."""
    sent, done = {}, {}
    with open(path) as f:
        for line in f.read().splitlines():
            words = line.split()
            if words[0] in ("send", "done"):
                (sent if words[0] == "send" else done)[words[1]] = int(words[2])
    return sent, done


def found_version(io, name, sent):
    """Which version the object holds, 0 when there is none; None when it is nothing that was ever written."""
    import rados
    try:
        size = io.stat(name)[0]
    except rados.ObjectNotFound:
        return 0
    data = io.read(name, size) if size else b""
    if name.startswith("omap"):
        with rados.ReadOpCtx() as op:
            values, _ = io.get_omap_vals(op, "", "", 1 << 20)
            io.operate_read_op(op, name)
            found = list(values)
        right = [(omap_key(v), content(name, v)[:100]) for v in range(1, len(found) + 1)]
        return len(found) if found == right else None
    if name.startswith("append"):
        whole = b""
        for version in range(1, sent + 1):
            whole += content(name, version)
            if whole == data:
                return version
        return None
    return next((v for v in range(sent, 0, -1) if data == content(name, v)), None)


def check(io, log):
    """Prints what is wrong, one object a line; the number of them."""
    sent, done = read_log(log)
    wrong = 0
    for name, most in sent.items():
        least = done.get(name, 0)
        version = found_version(io, name, most)
        if version is None or not least <= version <= most:
            wrong += 1
            print(f"{name}: acknowledged version {least}, sent {most}, found {version}")
    print(f"checked {len(sent)} objects, {len(done)} of them acknowledged: {wrong} wrong")
    return wrong


def main():
    import rados
    verb, conf, pool, log = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    with rados.Rados(conffile=conf) as cluster, cluster.open_ioctx(pool) as io:
        if verb == "check":
            sys.exit(1 if check(io, log) else 0)
        Writer(io, os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)).run(stop)


if __name__ == "__main__":
    main()
