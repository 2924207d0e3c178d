"""What the metadata server and its clients do in a second, and what that costs: the loads of tests/bench-files."""

import json
import os
import subprocess
import time

from . import disks, network
from .cluster import ClusterError
from .figures import Bench, wait_for_rest
from .spirula import BIN

MIB = 1 << 20

#: Told to by its input, prints at what time (of the monotonic clock) another MDS than before is active. One process that
#: asks again and again: starting one for each look would take longer than what is measured.
WATCH = """
import json, sys, time, rados
with rados.Rados(conffile=sys.argv[1]) as cluster:
    def active():
        status = json.loads(cluster.mon_command(json.dumps({"prefix": "status", "format": "json"}), b"")[1])
        return {rank["gid"] for rank in status["fsmap"].get("by_rank", []) if rank.get("status") == "up:active"}
    before = active()
    print("ready", flush=True)
    sys.stdin.read()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if active() - before:
            print(time.monotonic(), flush=True)
            break
        time.sleep(0.01)
"""


class FilesBench(Bench):
    """Loads through a stock ceph-fuse, each with a client that has just mounted, and our own generator. In one round a
    load finds what the one before it has left, so they run in this order. What the client spent counts as the CPU time
    of "client"."""

    def __init__(self, world, files, seconds):
        super().__init__(world.cluster(), seconds)
        self.world, self.files = world, files

    def settle(self):
        """An MDS that has not written back yet would do so whenever it likes."""
        before = self.cpu_seconds()
        self.admin("flush", "journal", timeout=600)
        wait_for_rest()
        return self.cpu_seconds(before)

    def mounted(self, work):
        """`work` is given the mount point, and returns (what is counted by the rate, operations)."""
        target, process = self.world.mount_fuse("bench")
        try:
            def timed():
                started = time.monotonic()
                amount, operations = work(target)
                return amount / (time.monotonic() - started), operations, 0
            before = process.cpu_seconds()
            figure = self.measured(timed)
            figure.cpu_seconds["client"] = process.cpu_seconds() - before
            return figure
        finally:
            self.world.unmount_fuse(target, process)

    def each(self, do):
        """`do` with the path of every file of one directory."""
        def work(mount):
            for index in range(self.files):
                do(f"{mount}/many/file{index}")
            return self.files, self.files
        return self.mounted(work)

    def creates(self):
        target, process = self.world.mount_fuse("bench")
        os.makedirs(f"{target}/many", exist_ok=True)
        self.world.unmount_fuse(target, process)
        return self.each(lambda path: os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)))

    def stats(self):
        return self.each(os.stat)

    def listing(self):
        def work(mount):
            shown = subprocess.run(["ls", "-l", f"{mount}/many"], stdout=subprocess.PIPE, check=True).stdout
            assert shown.count(b"\n") == self.files + 1, shown[-200:]
            return self.files, self.files
        return self.mounted(work)

    def unlinks(self):
        return self.each(os.unlink)

    def source_tree(self):
        """Small files in folders, as sources are: 6 KiB on average."""
        path = os.path.join(self.world.folder, "source")
        if not os.path.isdir(path):
            self.world.scratch("source")
            for index in range(self.files // 2):
                folder = f"{path}/d{index % 7}/d{index // 7 % 11}"
                os.makedirs(folder, exist_ok=True)
                with open(f"{folder}/f{index}", "wb") as f:
                    f.write(os.urandom(index * 37 % (12 << 10)))
        return path

    def copy(self):
        source = self.source_tree()

        def work(mount):
            subprocess.run(["cp", "-a", source, f"{mount}/tree"], check=True)
            return self.files // 2, self.files // 2
        return self.mounted(work)

    def removal(self):
        def work(mount):
            subprocess.run(["rm", "-r", f"{mount}/tree"], check=True)
            return self.files // 2, self.files // 2
        return self.mounted(work)

    def write(self, mib=1024):
        block = os.urandom(4 * MIB)

        def work(mount):
            with open(f"{mount}/large", "wb", buffering=0) as f:
                for _ in range(mib // 4):
                    f.write(block)
                os.fsync(f.fileno())
            return mib * 1.048576, mib // 4
        return self.mounted(work)

    def read(self):
        def work(mount):
            total = 0
            with open(f"{mount}/large", "rb", buffering=0) as f:
                while piece := f.read(4 * MIB):
                    total += len(piece)
            os.unlink(f"{mount}/large")
            return total / 1e6, total // (4 * MIB)
        return self.mounted(work)

    def busy(self, verb, count=0):
        """Many sessions of our own generator, for so many requests or so many seconds. All stats look in equally many
        files, however many the creates before could make."""
        limit = ("--count", str(count), "--seconds", "3600") if count else ("--seconds", str(self.seconds))

        said = {}

        def work():
            said.update(json.loads(disks.run(*network.inside(self.cluster.options.netns), os.path.join(BIN, "mds-load"),
                                             "-c", self.cluster.conf, "--files", "1000", *limit, verb, timeout=3600)))
            return said["per_second"], said["operations"], 0
        figure = self.measured(work)
        figure.cpu_seconds["client"] = said["cpu_seconds"]
        return figure

    def start_to_active_seconds(self, name="mds.a"):
        """From the start of an MDS that was stopped to where the monitor shows it active, with no sessions."""
        try:
            self.cluster.stop(name)
        except ClusterError:  # a stock one that still purges what was removed does not leave when told to
            self.cluster.kill(name)
        words = [*network.inside(self.cluster.options.netns), "/usr/bin/python3", "-c", WATCH, self.cluster.conf]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watcher:
            try:
                if watcher.stdout.readline() != "ready\n":
                    raise RuntimeError("nobody can ask the monitor")
                started = time.monotonic()
                self.cluster.start(name)
                watcher.stdin.close()
                said = watcher.stdout.readline()
            finally:
                watcher.kill()
        if not said:
            raise RuntimeError(f"{name} does not become active")
        return float(said) - started

    def admin(self, *words, timeout=60):
        return disks.run("ceph", "--admin-daemon", self.cluster.path("run", "ceph-mds.a.asok"), *words, timeout=timeout)

    def memory_of_inodes(self, count):
        """MiB of the MDS with so many inodes in its cache, and how many it says there are."""
        self.client("ceph", "config", "set", "mds", "mds_cache_memory_limit", str(8 << 30))
        self.start_to_active_seconds()
        self.busy("create", count)
        # (In the cache, not on its way to the objects.)
        self.admin("flush", "journal", timeout=1800)
        said = json.loads(self.admin("perf", "dump"))
        counters = said["mds_mem"]["ino"] if "mds_mem" in said else said["mds"]["inodes"]
        return self.memory_mib()["mds.a"], counters
