"""A cluster in a folder: up, status, kill, start, down. What differs between our daemons and stock ones is in
spirula.py and stock.py."""

import dataclasses
import json
import os
import signal
import time
import uuid

from . import disks, keys, network, processes
from .ledger import Ledger

GIB = 1 << 30
JOURNAL_BYTES = GIB
POOLS = ("cephfs.fs.meta", "cephfs.fs.data")


class ClusterError(Exception):
    """Something a person can read and act on."""


@dataclasses.dataclass
class Options:
    mons: int = 1
    osds: int = 1
    mds: int = 1
    osd_size: float = 4.0  # GiB
    auth: str = "cephx"  # or none
    addr: str = "127.0.0.1"
    netns: str = ""  # an existing network namespace that the daemons run in
    store: str = ""  # stock only: bluestore or filestore
    wait: float = 60.0  # seconds until the cluster has to answer


class Cluster:
    """One cluster below `directory`. Every method may be called from any process; what must be remembered is in
    DIR/cluster.json (what was asked for) and DIR/ledger (what has to be taken back)."""

    software = ""
    grace_seconds = 5  # between SIGTERM and SIGKILL in down()

    def __init__(self, directory, options=None):
        self.directory = os.path.realpath(directory)
        self.ledger = Ledger(self.path("ledger"))
        self.options = options or Options()
        self.fsid = str(uuid.uuid4())
        self.ports = []

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    @property
    def conf(self):
        return self.path("ceph.conf")

    @property
    def admin_keyring(self):
        return self.path("ceph.client.admin.keyring")

    def admin_key(self):
        with open(self.admin_keyring) as f:
            return next(line.partition("=")[2].strip() for line in f if line.strip().startswith("key"))

    # ---- names ----

    def mon_names(self):
        return ["mon." + "abcdefghi"[i] for i in range(self.options.mons)]

    def osd_names(self):
        return [f"osd.{i}" for i in range(self.options.osds)]

    def mds_names(self):
        return ["mds." + "abcdefghi"[i] for i in range(self.options.mds)]

    def daemon_names(self):
        """In the order in which they are started."""
        return self.mon_names() + self.osd_names() + self.mds_names()

    def mon_address(self, name):
        return f"v2:{self.options.addr}:{self.ports[self.mon_names().index(name)]}/0"

    def mon_host(self):
        return ",".join(f"[{self.mon_address(name)}]" for name in self.mon_names())

    # ---- up and down ----

    def up(self):
        """Makes the cluster and returns when it answers. Raises ClusterError; nothing is left behind then."""
        folder_made = not os.path.isdir(self.directory)
        os.makedirs(self.directory, exist_ok=True)
        if not self.ledger.exists() and os.listdir(self.directory):
            raise ClusterError(f"{self.directory} is not empty, and no cluster of ours is in it")
        try:
            self.ledger.create()
        except FileExistsError:
            raise ClusterError(f"{self.directory} has a cluster already: `down` it first") from None
        try:
            if folder_made:
                self.ledger.record("folder", path=self.directory)
            self.ledger.record("processes", mark=self.directory)
            self._make()
        except BaseException as error:  # taken down again, whatever it was
            words = self.log_tails() if isinstance(error, (ClusterError, RuntimeError, OSError)) else ""
            self.down()
            if isinstance(error, (RuntimeError, OSError)):
                raise ClusterError(f"{error}\n{words}") from error
            if isinstance(error, ClusterError):
                raise ClusterError(f"{error}\n{words}") from None
            raise

    def _make(self):
        options = self.options
        self.ports = network.free_ports(options.addr, options.mons) if not options.netns else \
            [3300 + i for i in range(options.mons)]
        for folder in ("log", "run"):
            self.make_folder(folder)
        self.save()
        self.keys = {name: keys.make_key() for name in
                     ("mon.", "client.admin", *self.osd_names(), *self.mds_names(), *self.extra_entities())}
        self.write_file("ceph.conf", self.conf_text())
        self.ledger.record("path", path=self.admin_keyring)
        keys.write_keyring(self.admin_keyring, {"client.admin": self.keys["client.admin"]})
        self.ledger.record("path", path=self.path("bootstrap.keyring"))
        keys.write_keyring(self.path("bootstrap.keyring"), self.keys, with_caps=True)
        for name in (*self.osd_names(), *self.mds_names(), *self.extra_entities()):
            self.ledger.record("path", path=self.path(f"{name}.keyring"))
            keys.write_keyring(self.path(f"{name}.keyring"), {name: self.keys[name]})
        self.make_monitors()
        self.wait_until(lambda: self.command({"prefix": "mon stat"})[0] == 0, "the monitor does not answer")
        for name in self.osd_names():
            self.make_osd(name)
            self.start(name)
        self.wait_until(lambda: len(self.osds_up()) == options.osds, "the OSDs do not come up")
        if options.mds:
            self.make_file_system()
            for name in self.mds_names():
                self.make_mds(name)
                self.start(name)
            self.wait_until(self.mds_active, "no MDS becomes active")

    def down(self):
        """Takes everything away. Works after any crash; safe to repeat. Raises ClusterError when something is left."""
        if not self.ledger.exists():
            return
        self.stop_all(self.grace_seconds)
        folder_made = bool(self.ledger.entries("folder"))
        left = self.ledger.undo()
        if left:
            raise ClusterError("could not take back:\n" + "\n".join(left))
        if folder_made and not os.listdir(self.directory):
            os.rmdir(self.directory)

    # ---- what the subclasses use ----

    def make_folder(self, *parts):
        self.ledger.record("path", path=self.path(*parts))
        os.makedirs(self.path(*parts))
        return self.path(*parts)

    def write_file(self, name, text):
        self.ledger.record("path", path=self.path(name))
        with open(self.path(name), "w") as f:
            f.write(text)

    def make_loop(self, name, size_bytes):
        """An image file DIR/`name` with a loop device over it; the device."""
        image = self.path(name)
        self.ledger.record("path", path=image)
        disks.make_image(image, size_bytes)
        self.ledger.record("loop", file=image)
        return disks.attach(image)

    def make_btrfs(self, name, device):
        target = self.path(name)
        self.ledger.record("path", path=target)
        os.makedirs(target)
        self.ledger.record("mount", target=target)
        disks.mount_btrfs(device, target)
        return target

    def run(self, argv, timeout=60, name=None):
        """Runs a tool where the cluster's addresses can be reached. RuntimeError with its words when it fails."""
        return disks.run(*network.inside(self.options.netns), *argv, timeout=timeout)

    def make_file_system(self):
        for prefix in ({"prefix": "osd pool create", "pool": POOLS[0]}, {"prefix": "osd pool create", "pool": POOLS[1]},
                       {"prefix": "fs new", "fs_name": "fs", "metadata": POOLS[0], "data": POOLS[1]}):
            code, out = self.command(prefix)
            if code:
                raise ClusterError(f"{prefix}: {out}")

    # ---- single daemons ----

    def start(self, name):
        if self.process(name):
            raise ClusterError(f"{name} runs already")
        process = processes.spawn(network.inside(self.options.netns) + self.daemon_argv(name), self.directory,
                                  self.path("log", f"{name}.out"))
        self.ledger.record("process", name=name, pid=process.pid, start=process.start)
        return process

    def process(self, name):
        """The living process of daemon `name`, or None."""
        for entry in reversed(self.ledger.entries("process")):
            if entry["name"] == name:
                process = processes.Process(entry["pid"], entry["start"])
                return process if process.alive() else None
        return None

    def running(self):
        return {name: process for name in self.daemon_names() if (process := self.process(name))}

    def kill(self, *names):
        """SIGKILL to all of them, then waits for each."""
        self._end(names or self.daemon_names(), signal.SIGKILL, 10)

    def stop(self, *names, seconds=20):
        """SIGTERM. Raises ClusterError when one has not left within `seconds`."""
        self._end(names or self.daemon_names(), signal.SIGTERM, seconds)

    def _end(self, names, number, seconds):
        for name in names:
            if name not in self.daemon_names():
                raise ClusterError(f"no daemon {name}")
        found = {name: process for name in names if (process := self.process(name))}
        for process in found.values():
            process.signal(number)
        deadline = time.monotonic() + seconds
        late = [name for name, process in found.items() if not process.wait(max(0.0, deadline - time.monotonic()))]
        if late:
            raise ClusterError(f"{', '.join(late)} did not leave within {seconds} s")

    def start_all(self):
        """Starts what does not run, and waits until the cluster answers again. What the monitor remembers from before
        a crash does not count: an OSD has to come up anew, and an MDS to be a new one."""
        for name in self.mon_names():
            if not self.process(name):
                self.start(name)
        self.wait_until(lambda: self.command({"prefix": "mon stat"})[0] == 0, "the monitor does not answer")
        osds_before, mds_before = self.osds_up(), self.mds_active()
        fresh = [name for name in self.osd_names() + self.mds_names() if not self.process(name)]
        for name in fresh:
            self.start(name)
        stale_osds = {identity for identity in osds_before if f"osd.{identity[0]}" in fresh}
        self.wait_until(lambda: len(self.osds_up() - stale_osds) == self.options.osds, "the OSDs do not come up")
        if self.options.mds:
            stale_mds = mds_before if any(name in fresh for name in self.mds_names()) else set()
            self.wait_until(lambda: self.mds_active() - stale_mds, "no MDS becomes active")

    def stop_all(self, seconds):
        if not os.path.exists(self.path("cluster.json")):
            return
        for names in (self.mds_names(), self.osd_names(), self.mon_names()):  # who needs whom
            try:
                if names:
                    self.stop(*names, seconds=seconds)
            except ClusterError as error:
                print(error)

    def add_standby(self, name):
        """One more MDS, which waits until another one fails. remove_standby() ends it again."""
        self.options.mds += 1
        assert self.mds_names()[-1] == name
        caps = [word for pair in keys.CAPS["mds"].items() for word in pair]
        self.ledger.record("path", path=self.path(f"{name}.keyring"))
        self.run(["ceph", "-c", self.conf, "auth", "get-or-create", name, *caps, "-o", self.path(f"{name}.keyring")])
        self.make_mds(name)
        self.write_file("ceph.conf", self.conf_text())
        self.start(name)
        self.wait_until(self.mds_standbys, "no standby")

    def remove_standby(self, name):
        """Leaves the file system to the other ones, and returns when one of them serves it."""
        self.stop(name)
        self.options.mds -= 1
        self.start_all()
        self.wait_until(self.mds_active, "no MDS becomes active")
        self.write_file("ceph.conf", self.conf_text())

    # ---- asking it ----

    def command(self, command, timeout=15):
        """One monitor command (a dict with its prefix and arguments): (exit status, what it printed)."""
        raise NotImplementedError

    def ask(self, **command):
        """As command(), decoded from JSON; None when it failed."""
        code, out = self.command({**command, "format": "json"})
        try:
            return json.loads(out) if code == 0 else None
        except ValueError:
            return None

    def osds_up(self):
        """The OSDs that the monitor says are up: a set of (number, epoch since which)."""
        dump = self.ask(prefix="osd dump") or {}
        return {(osd["osd"], osd["up_from"]) for osd in dump.get("osds", []) if osd["up"]}

    def mds_active(self):
        """The MDSs that the monitor says are active, by global id."""
        status = self.ask(prefix="status") or {}
        ranks = status.get("fsmap", {}).get("by_rank", [])
        return {rank["gid"] for rank in ranks if rank.get("status") == "up:active"}

    def mds_standbys(self):
        """How many MDSs wait to take over."""
        status = self.ask(prefix="status") or {}
        return status.get("fsmap", {}).get("up:standby", 0)

    def wait_until(self, condition, complaint):
        deadline = time.monotonic() + self.options.wait
        while not condition():
            for name in {e["name"] for e in self.ledger.entries("process")} & set(self.daemon_names()):
                if not self.process(name):
                    raise ClusterError(f"{complaint}: {name} has died")
            if time.monotonic() > deadline:
                raise ClusterError(f"{complaint} within {self.options.wait:.0f} s")
            time.sleep(0.1)

    def log_tails(self, lines=15):
        text = ""
        folder = self.path("log")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), errors="replace") as f:
                tail = f.readlines()[-lines:]
            if tail:
                text += f"--- {name}\n" + "".join(line[:300].rstrip("\n") + "\n" for line in tail)
        return text

    # ---- state ----

    def save(self):
        self.write_file("cluster.json", json.dumps(
            {"software": self.software, "fsid": self.fsid, "ports": self.ports,
             "options": dataclasses.asdict(self.options)}, indent=1) + "\n")

    def load(self, state):
        self.fsid, self.ports = state["fsid"], state["ports"]
        self.options = Options(**state["options"])
        return self

    # ---- what each software does its own way ----

    def extra_entities(self):
        return ()

    def make_mds(self, name):
        pass

    def conf_text(self):
        raise NotImplementedError

    def make_monitors(self):
        raise NotImplementedError

    def make_osd(self, name):
        raise NotImplementedError

    def daemon_argv(self, name):
        raise NotImplementedError
