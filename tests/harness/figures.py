"""What a load costs: operations per second as the client sees them, CPU time and memory of each daemon."""

import dataclasses
import json
import os
import statistics
import subprocess
import time

from . import disks, network, processes
from .spirula import BIN


@dataclasses.dataclass
class Figure:
    """One run of one load against one cluster."""

    rate: float  # operations per second, or MB/s
    operations: int
    cpu_seconds: dict  # daemon name to seconds during the run
    latency_ms_max: float = 0.0  # of one operation, as the client saw it; 0: not measured
    seconds: float = 0.0  # that it took
    cpu_seconds_after: dict = dataclasses.field(default_factory=dict)  # what the daemons did of it later

    def cpu_us(self, kind, after=False):
        """CPU time per operation over all daemons of a kind ("osd"), in microseconds."""
        spent = self.cpu_seconds_after if after else self.cpu_seconds
        return sum(value for name, value in spent.items() if name.startswith(kind)) * 1e6 / max(1, self.operations)

    def cpu_us_in_all(self, kind):
        return self.cpu_us(kind) + self.cpu_us(kind, after=True)

    def busy(self, kind):
        """How many processors all that have a name of this kind kept busy."""
        return sum(value for name, value in self.cpu_seconds.items() if name.startswith(kind)) / self.seconds


def median(figures):
    """The run with the median rate."""
    ordered = sorted(figures, key=lambda figure: figure.rate)
    return ordered[(len(ordered) - 1) // 2]


class Bench:
    """Loads for one running cluster."""

    def __init__(self, cluster, seconds):
        self.cluster = cluster
        self.seconds = seconds

    def client(self, *argv, timeout=300):
        inside = network.inside(self.cluster.options.netns)
        return disks.run(*inside, argv[0], "-c", self.cluster.conf, *map(str, argv[1:]), timeout=timeout)

    def make_pool(self, name):
        self.client("ceph", "osd", "pool", "create", name, 64)

    def measured(self, work):
        """Runs `work`, which returns (rate, operations, most ms of one), and says what the daemons spent meanwhile."""
        before = self.cpu_seconds()
        started = time.monotonic()
        rate, operations, latency_ms_max = work()
        seconds = time.monotonic() - started
        return Figure(rate, operations, self.cpu_seconds(before), latency_ms_max, seconds)

    def cpu_seconds(self, since=None):
        """Daemon name to what it has spent so far, or since an earlier answer."""
        return {name: process.cpu_seconds() - (since[name] if since else 0)
                for name, process in self.cluster.running().items()}

    def settle(self):
        """Until nothing is left to do of what ran before, so that no load pays for another; what that costs the daemons,
        in seconds of CPU time."""
        before = self.cpu_seconds()
        wait_for_rest()
        return self.cpu_seconds(before)

    def rados(self, kind, pool, size, depth, seconds=0):
        """The stock `rados bench`: kind is write, seq or rand. Reads find what they read, written before."""
        def work():
            size_words = ("-b", size, "--no-cleanup") if kind == "write" else ()
            text = self.client("rados", "-p", pool, "bench", seconds or self.seconds, kind, *size_words, "-t", depth)
            made = _value(text, "Total writes made" if kind == "write" else "Total reads made")
            return made / _value(text, "Total time run"), int(made), _value(text, "Max latency(s)") * 1000
        if kind != "write":
            self.client("rados", "-p", pool, "bench", self.seconds, "write", "-b", size, "-t", 16, "--no-cleanup")
        self.settle()
        figure = self.measured(work)
        figure.cpu_seconds_after = self.settle()
        self.client("rados", "-p", pool, "cleanup")
        return figure

    def own(self, kind, pool, size, depth):
        """The same with our own, lighter load generator, whoever the daemons are."""
        def run(what, at_once):
            return json.loads(disks.run(
                *network.inside(self.cluster.options.netns), os.path.join(BIN, "rados"), "-c", self.cluster.conf,
                "--admin-socket", "", "-p", pool, "bench", str(self.seconds), what, "-b", str(size), "-t", str(at_once),
                "--no-cleanup", "--format", "json", timeout=300))

        def work():
            said = run(kind, depth)
            if said["errors"] or said["mismatches"]:
                raise RuntimeError(f"our load generator: {said}")
            return said["ops_per_second"], said["operations"], said["latency_ms"]["max"]
        if kind != "write":
            run("write", 16)
        self.settle()
        figure = self.measured(work)
        figure.cpu_seconds_after = self.settle()
        disks.run(*network.inside(self.cluster.options.netns), os.path.join(BIN, "rados"), "-c", self.cluster.conf,
                  "--admin-socket", "", "-p", pool, "cleanup", timeout=300)
        return figure

    def start_to_up_seconds(self, name="osd.0"):
        """From the start of an OSD that was stopped to where the monitor shows it up again."""
        self.cluster.stop(name)
        before = self.cluster.osds_up()
        started = time.monotonic()
        self.cluster.start(name)
        while not self.cluster.osds_up() - before:
            if time.monotonic() - started > 60:
                raise RuntimeError(f"{name} does not come up")
            time.sleep(0.02)
        return time.monotonic() - started

    def fuse_creates(self, count):
        """Empty files in one directory, each created and closed, with a client that has just mounted."""
        mount = self.cluster.path("run", "mnt")
        os.makedirs(mount, exist_ok=True)
        self.cluster.ledger.record("mount", target=mount)
        process = processes.spawn(network.inside(self.cluster.options.netns) +
                                  ["ceph-fuse", "-f", "-c", self.cluster.conf, mount], self.cluster.directory,
                                  self.cluster.path("log", "fuse.out"))
        deadline = time.monotonic() + 30
        while mount not in disks.mount_table():
            if time.monotonic() > deadline or not process.alive():
                raise RuntimeError("ceph-fuse does not mount")
            time.sleep(0.05)
        folder = os.path.join(mount, f"creates{time.time_ns()}")

        def work():
            os.mkdir(folder)
            started = time.monotonic()
            for index in range(count):
                os.close(os.open(f"{folder}/file{index}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            return count / (time.monotonic() - started), count, 0
        self.settle()
        figure = self.measured(work)
        subprocess.run(["umount", mount], check=True, timeout=60)
        process.wait(30)
        figure.cpu_seconds_after = self.settle()
        return figure

    def memory_mib(self, field="VmRSS"):
        """Daemon name to resident MiB, now; VmHWM: the most since it started."""
        return {name: process.memory_mib(field) for name, process in self.cluster.running().items()}


def wait_for_rest(seconds_max=120):
    """Until all that runs on this machine, the kernel's threads for btrfs among it, keeps less than a fifth of a processor
    busy for three seconds, or it took too long."""
    def busy_seconds():
        with open("/proc/stat") as stat:
            user, nice, system, idle, iowait, irq, softirq = map(int, stat.readline().split()[1:8])
        return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
    deadline = time.monotonic() + seconds_max
    calm = 0
    while calm < 3:
        before = busy_seconds()
        time.sleep(1)
        calm = calm + 1 if busy_seconds() - before < 0.2 else 0
        if time.monotonic() > deadline:
            return print(f"this machine is not at rest after {seconds_max} s", flush=True)


def _value(text, name):
    for line in text.splitlines():
        if line.startswith(name):
            return float(line.split(":")[1])
    raise RuntimeError(f"no {name!r} in\n{text}")


def probe_device(cluster, seconds=2):
    """4 KiB O_DSYNC appends per second to the file system that holds the images: what any of the figures can at best
    rest on, measured in the same minute."""
    path = cluster.path("run", "probe")
    block = os.urandom(4096)
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_DSYNC)
    try:
        count, rates = 0, []
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            begun = time.monotonic()
            for _ in range(100):
                os.pwrite(descriptor, block, (count % 1000) * 4096)
                count += 1
            rates.append(100 / (time.monotonic() - begun))
        return statistics.median(rates)
    finally:
        os.close(descriptor)
        os.unlink(path)
