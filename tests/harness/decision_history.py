#!/usr/bin/python3 -B
"""Decisions streamed into a monitor with a log of what was promised, and the check that every promise was kept.

    decision_history.py write CONF LOG COUNT    config-key set decision/00000 ... in order, one line each when acknowledged
    decision_history.py check CONF LOG          every acknowledged one is there, and nothing beyond the next

The log goes straight to the file, so that it survives our own SIGKILL. `end` is the last line when nothing failed.
"""

import json
import os
import sys

import rados

FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def key(number):
    return f"decision/{number:05}"


def value(number):
    return f"value {number} " + "x" * (number % 300)


def command(cluster, **words):
    code, out, text = cluster.mon_command(json.dumps(words), b"", timeout=30)
    if code:
        raise SystemExit(f"{words}: {code} {text}")
    return out


def write(cluster, path, count):
    log = os.open(path, FLAGS, 0o644)
    for number in range(count):
        command(cluster, prefix="config-key set", key=key(number), val=value(number))
        os.write(log, f"done {number}\n".encode())
    os.write(log, b"end\n")


def check(cluster, path):
    with open(path) as f:
        done = [int(line.split()[1]) for line in f if line.startswith("done ")]
    found = json.loads(command(cluster, prefix="config-key dump", key="decision/", format="json"))
    for number in done:
        if found.get(key(number)) != value(number):
            raise SystemExit(f"decision {number} was acknowledged and is gone")
    beyond = set(found) - {key(number) for number in done}
    if beyond - {key(len(done))}:
        raise SystemExit(f"nobody asked for these: {sorted(beyond)[:5]}")
    print(f"{len(done)} acknowledged decisions are there")


def main():
    action, conf, log, *rest = sys.argv[1:]
    cluster = rados.Rados(conffile=conf)
    cluster.connect()
    if action == "write":
        write(cluster, log, int(rest[0]))
    else:
        check(cluster, log)
    cluster.shutdown()


if __name__ == "__main__":
    main()
