"""Runs the tests one after another against one cluster, and says what came of it."""

import argparse
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import unittest

from . import disks
from .cluster import ClusterError, Options
from .spirula import SpirulaCluster
from .stock import StockCluster
from .world import World, clean_up_dead_runs

#: No single test may take longer, unless its class says so (`seconds_max`); a hang is a failure like any other.
TEST_SECONDS_MAX = 150
_RUN = os.path.realpath(os.path.join(os.path.dirname(__file__), "../run"))
_POSIX = os.path.realpath(os.path.join(os.path.dirname(__file__), "../posix"))
#: `make check-slow`: full counts, minutes instead of seconds.
SLOW = bool(os.environ.get("SPIRULA_SLOW"))


class TookTooLong(Exception):
    pass


class ClusterTest(unittest.TestCase):
    """A test that uses the shared cluster. It may kill daemons, but has them all running again when it succeeds."""

    world = None  # set by the runner
    seconds_max = TEST_SECONDS_MAX
    longMessage = True

    def setUp(self):
        self.cluster = self.world.cluster()

    def posix_program(self, name):
        """A program of tests/posix, built once; static, as a guest has no libraries."""
        path = os.path.join(self.world.folder, name)
        if not os.path.exists(path):
            self.world.scratch(name)
            subprocess.run(["clang++-19", "-std=c++23", "-O1", "-static", "-D_GNU_SOURCE", "-Wno-unused-result", "-o",
                            path, os.path.join(_POSIX, name + ".cc")], check=True, timeout=120)
        return path

    def pool(self, name):
        """A fresh pool for this test."""
        self.world.client("ceph", "osd", "pool", "create", name, 8)
        return name


class _Result(unittest.TestResult):
    def __init__(self, world):
        super().__init__()
        self.world = world
        self.passed = 0

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()
        signal.alarm(getattr(test, "seconds_max", TEST_SECONDS_MAX))

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)

    def addSuccess(self, test):
        signal.alarm(0)
        self.passed += 1
        print(f"ok   {name_of(test)} ({time.monotonic() - self.started:.1f} s)", flush=True)

    def addFailure(self, test, error):
        signal.alarm(0)
        super().addFailure(test, error)
        self._complain(test, error)

    def addError(self, test, error):
        signal.alarm(0)
        super().addError(test, error)
        self._complain(test, error)

    def addSkip(self, test, reason):
        """Nothing is skipped: what cannot run has not passed."""
        self.addFailure(test, (AssertionError, AssertionError(reason), None))

    def _complain(self, test, error):
        print(f"FAIL {name_of(test)} ({time.monotonic() - self.started:.1f} s)")
        known = isinstance(error[1], (AssertionError, ClusterError, TookTooLong, subprocess.TimeoutExpired))
        for frame in traceback.extract_tb(error[2]) if error[2] else []:
            if "/unittest/" in frame.filename or known and "/python3" in frame.filename:
                continue
            print(f"     {os.path.relpath(frame.filename)}:{frame.lineno} {frame.line}")
        print("     " + f"{error[0].__name__}: {error[1]}".replace("\n", "\n     "), flush=True)
        try:
            self.world.discard(keep_logs_as=name_of(test))
        except (ClusterError, OSError, RuntimeError) as trouble:
            print(f"     and taking the cluster down: {trouble}", flush=True)


def name_of(test):
    """file.test, without the class: every file holds one."""
    words = test.id().split(".")
    return f"{words[-3]}.{words[-1].removeprefix('test_')}" if len(words) >= 3 else test.id()


def _flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from _flatten(item)
        else:
            yield item


def load(names, exact=False):
    """The tests in tests/interop whose name contains one of `names` (all of them when none is given), or is one of them."""
    folder = os.path.realpath(os.path.join(os.path.dirname(__file__), "../interop"))
    loader = unittest.TestLoader()
    found = []
    for file in sorted(os.listdir(folder)):
        if file.endswith(".py") and file != "__init__.py":
            module = importlib.import_module(f"interop.{file[:-3]}")
            found += _flatten(loader.loadTestsFromModule(module))
    fits = (lambda name, test: name == name_of(test)) if exact else (lambda name, test: name in name_of(test))
    return [test for test in found if not names or any(fits(name, test) for name in names)]


def _took_too_long(number, frame):
    raise TookTooLong("longer than it may")


def _interrupted(number, frame):
    raise KeyboardInterrupt


def run_tests(tests, kind=SpirulaCluster, options=None):
    """(passed, failed). Raises KeyboardInterrupt when a signal asked to stop; nothing is left behind either way."""
    signal.signal(signal.SIGALRM, _took_too_long)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    if os.geteuid():
        print("FAIL the stock clients: this needs root (loop devices, mounts, a network namespace)")
        return 0, len(tests)
    clean_up_dead_runs()
    disks.hide_mounts()
    started = time.monotonic()
    beside = [test for test in tests if getattr(test, "beside_others", False)]
    if len(beside) > 1:
        tests = [test for test in tests if test not in beside]
    else:
        beside = []
    world = World(kind, options or Options(osd_size=12))
    result = _Result(world)
    ClusterTest.world = world
    try:
        for test in tests:
            test.run(result)
    finally:
        world.close()
    passed, failed = _run_beside(beside)
    print(f"stock clients: {time.monotonic() - started:.0f} s")
    return result.passed + passed, len(result.failures) + len(result.errors) + failed


def _run_beside(tests):
    """Each in a process of its own, some at a time: these wait more than they work."""
    at_once, waiting, running, failed = 3, list(tests), {}, 0
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                test = waiting.pop(0)
                out = tempfile.TemporaryFile()
                argv = [sys.executable, "-B", _RUN, "--exact", name_of(test)]
                running[subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)] = out
            for child in [child for child in running if child.poll() is not None]:
                out = running.pop(child)
                out.seek(0)
                lines = out.read().decode(errors="replace").splitlines()
                # The last two sum up what is summed up here.
                print("\n".join(lines if child.returncode else lines[:-2]), flush=True)
                failed += child.returncode != 0
                out.close()
            time.sleep(0.05)
    finally:
        for child in running:
            child.terminate()
        for child, out in running.items():
            child.wait()
            out.close()
    return len(tests) - failed, failed


def main():
    parser = argparse.ArgumentParser(prog="tests/run", description="Stock clients against our daemons.")
    parser.add_argument("names", nargs="*", help="parts of test names; all tests without")
    parser.add_argument("--stock", action="store_true", help="against Debian's Ceph daemons: proves the tests")
    parser.add_argument("--store", choices=("bluestore", "filestore"), default="bluestore", help="with --stock")
    parser.add_argument("--no-mds", action="store_true", help="without a file system: what needs one fails")
    parser.add_argument("--exact", action="store_true", help="names are whole")
    parser.add_argument("--list", action="store_true", help="only print the names")
    args = parser.parse_args()
    tests = load(args.names, args.exact)
    if args.list:
        print("\n".join(name_of(test) for test in tests))
        return 0
    kind = StockCluster if args.stock else SpirulaCluster
    options = Options(osd_size=12, store=args.store if args.stock else "", mds=0 if args.no_mds else 1)
    try:
        passed, failed = run_tests(tests, kind, options)
    except KeyboardInterrupt:
        print("interrupted")
        return 130
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1
