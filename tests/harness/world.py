"""One run of tests: a folder, a network namespace, and in it a cluster that tests share while they succeed."""

import os
import shutil
import subprocess
import tempfile
import time

from . import disks, network, processes
from .cluster import ClusterError
from .ledger import Ledger
from .spirula import SpirulaCluster

_PREFIX = "spirula-test-"
#: Logs of clusters that a test failed on.
KEPT_LOGS = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../build/test-logs"))


def clean_up_dead_runs():
    """Takes back what earlier runs left that were killed."""
    top = os.path.realpath(tempfile.gettempdir())
    for name in os.listdir(top):
        ledger = Ledger(os.path.join(top, name, "ledger"))
        if not name.startswith(_PREFIX) or not ledger.exists():
            continue
        owners = ledger.entries("owner")
        if owners and not processes.Process(owners[0]["pid"], owners[0]["start"]).alive():
            print(f"cleaning up after a dead run: {os.path.join(top, name)}")
            _take_down(os.path.join(top, name))


def _take_down(folder):
    """Clients first, then the clusters, then the namespace they all live in."""
    ledger = Ledger(os.path.join(folder, "ledger"))
    processes.kill_all(processes.marked(folder))
    for entry in ledger.entries("cluster"):
        processes.kill_all(processes.marked(entry["path"]))
        SpirulaCluster(entry["path"]).down()
    left = ledger.undo()
    if left:
        print("could not take back:\n" + "\n".join(left))
    elif not os.listdir(folder):
        os.rmdir(folder)


#: ceph-fuse waits for its caps and requests to be settled before it leaves; that takes a moment.
UNMOUNT_SECONDS_MAX = 40


class World:
    """Owned by the runner; `close()` takes everything away."""

    def __init__(self, kind, options):
        self.kind = kind
        self.options = options
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix=_PREFIX))
        self.ledger = Ledger(os.path.join(self.folder, "ledger"))
        self.ledger.create()
        self.ledger.record("owner", pid=os.getpid(), start=processes.start_time(os.getpid()))
        self.ledger.record("processes", mark=self.folder)
        self.netns = os.path.basename(self.folder)
        self.ledger.record("netns", name=self.netns)
        network.make(self.netns, taps=2)
        self.options.netns, self.options.addr = self.netns, network.SERVER
        self.current = None
        self.count = 0
        self.failures = 0  # to come up, one after another

    def cluster(self):
        """The shared cluster, made when there is none. Once it failed to come up twice, nobody waits for it again."""
        if self.failures == 2:
            raise ClusterError("no cluster comes up, see the first failures")
        if self.current is None:
            self.failures += 1
            path = os.path.join(self.folder, f"c{self.count}")
            self.count += 1
            self.ledger.record("cluster", path=path)
            cluster = self.kind(path, self.options)
            cluster.up()
            self.current = cluster
            self.failures = 0
        return self.current

    def discard(self, keep_logs_as=""):
        """Ends what clients still run and the shared cluster; the next test gets a fresh one."""
        processes.kill_all(processes.marked(self.folder))
        for target in disks.mount_table():
            if target.startswith(self.folder + "/mnt"):
                disks.unmount(target)
        if self.current is None:
            return
        cluster, self.current = self.current, None
        if keep_logs_as:
            kept = os.path.join(KEPT_LOGS, keep_logs_as)
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(cluster.path("log"), kept)
            print(f"     logs kept in {kept}")
        cluster.down()

    def close(self):
        self.discard()
        _take_down(self.folder)

    # ---- clients ----

    def scratch(self, name):
        """A path in the run's folder for a file or folder of a test."""
        path = os.path.join(self.folder, name)
        self.ledger.record("path", path=path)
        return path

    def inside(self):
        """The words before a command that shall run in the run's namespace."""
        return network.inside(self.netns)

    def client(self, *argv, timeout=60, check=True, input=None):
        """Runs a client program (`rados`, `ceph` ... with -c added) in the run's namespace; a CompletedProcess with
        bytes. Raises CalledProcessError with what it said when it fails and `check` is set."""
        words = self.inside() + [argv[0], "-c", self.current.conf, *map(str, argv[1:])]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                              **({"input": input} if input is not None else {"stdin": subprocess.DEVNULL}))
        if check and done.returncode:
            raise AssertionError(f"{' '.join(map(str, argv))}: exit status {done.returncode}\n"
                                 f"{(done.stdout + done.stderr)[-2000:].decode(errors='replace')}")
        return done

    def client_program(self, argv, text=""):
        """What a program that uses python3-rados prints, given `text`. Raises AssertionError when it fails."""
        done = subprocess.run(self.inside() + list(map(str, argv)), input=text, text=True, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            raise AssertionError(f"exit status {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
        return done.stdout

    def spawn(self, argv, name):
        """A client in the background; its output is in the run's folder as NAME.out."""
        output = self.scratch(name + ".out")
        return processes.spawn(self.inside() + list(map(str, argv)), self.folder, output)

    def output_of(self, name):
        with open(os.path.join(self.folder, name + ".out"), errors="replace") as f:
            return f.read()

    def mount_fuse(self, name="mnt", *options):
        """ceph-fuse on a folder of the run; (path, process). Raises AssertionError when it does not mount."""
        target = os.path.join(self.folder, "mnt-" + name)
        if not os.path.isdir(target):
            os.mkdir(self.scratch("mnt-" + name))
        self.ledger.record("mount", target=target)
        process = self.spawn(["ceph-fuse", "-f", "-c", self.current.conf, *options, target], "fuse-" + name)
        deadline = time.monotonic() + 30
        while target not in disks.mount_table():
            if not process.alive() or time.monotonic() > deadline:
                process.signal(9)
                process.wait(5)
                raise AssertionError(f"ceph-fuse did not mount:\n{self.output_of('fuse-' + name)[-2000:]}")
            time.sleep(0.05)
        return target, process

    def unmount_fuse(self, target, process):
        """As a person would: umount, and the client has to leave by itself."""
        done = subprocess.run(["umount", target], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, text=True)
        assert done.returncode == 0, done.stdout
        assert process.wait(UNMOUNT_SECONDS_MAX), "ceph-fuse does not leave after umount"
