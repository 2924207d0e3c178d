#!/usr/bin/python3 -B
"""Files written into a mounted folder with a log of what was fsynced, and the check that all of it is there.

    file_history.py write FOLDER LOG        until SIGTERM
    file_history.py check FOLDER LOG

A line `file PATH` is written once the file and its folder were fsynced, `moved OLD NEW` likewise after a rename. `end`
is the last line when nothing failed.
"""

import os
import random
import signal
import sys


def content(path):
    dice = random.Random(path)
    return dice.randbytes(dice.choice((0, 100, dice.randrange(50_000), dice.randrange(50_000), 1 << 20)))


def sync_folder(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def write(top, log_path):
    stopped = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    log = os.open(log_path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
    say = lambda line: os.write(log, (line + "\n").encode())
    os.mkdir(top)
    sync_folder(os.path.dirname(top))
    number = 0
    while not stopped:
        folder = f"d{number // 20}"
        if number % 20 == 0:
            os.mkdir(os.path.join(top, folder))
            sync_folder(top)
        path = f"{folder}/f{number}"
        written = path + ".new" if number % 5 == 0 else path
        with open(os.path.join(top, written), "wb") as f:
            f.write(content(path))
            f.flush()
            os.fsync(f.fileno())
        if written != path:
            os.rename(os.path.join(top, written), os.path.join(top, path))
        sync_folder(os.path.join(top, folder))
        say(f"file {path}" if written == path else f"moved {written} {path}")
        number += 1
    say("end")


def problem_with(top, path):
    try:
        with open(os.path.join(top, path), "rb") as f:
            data = f.read()
    except OSError as error:
        return f"{path}: {error.strerror}"
    wanted = content(path)
    if data == wanted:
        return None
    first = next((i for i, (a, b) in enumerate(zip(data, wanted)) if a != b), min(len(data), len(wanted)))
    return f"{path}: {len(data)} bytes, {len(wanted)} were fsynced; they differ from byte {first} on"


def check(top, log_path):
    """Prints what is wrong, one file a line; the number of them."""
    problems, count = [], 0
    with open(log_path) as f:
        for line in f.read().splitlines():
            words = line.split()
            if words[0] not in ("file", "moved"):
                continue
            count += 1
            problem = problem_with(top, words[-1])
            if problem:
                problems.append(problem)
            if words[0] == "moved" and os.path.lexists(os.path.join(top, words[1])):
                problems.append(f"{words[1]}: is there again after its rename")
    print("\n".join(problems + [f"checked {count} files: {len(problems)} wrong"]))
    return len(problems)


def main():
    verb, top, log = sys.argv[1:]
    if verb == "check":
        sys.exit(1 if check(top, log) else 0)
    write(top, log)


if __name__ == "__main__":
    main()
