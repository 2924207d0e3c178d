"""The same cluster of Debian's own Ceph daemons: what ours are compared with, and what the tests are proved on."""

import os
import subprocess
import uuid

from . import network
from .cluster import GIB, JOURNAL_BYTES, Cluster


class StockCluster(Cluster):
    """No manager: nothing that is tested here needs one."""

    software = "stock"
    grace_seconds = 0.3  # its MDS takes its time

    def __init__(self, directory, options=None):
        super().__init__(directory, options)
        self.journals = {}
        self.uuids = {}

    def conf_text(self):
        required = self.options.auth
        text = f"""[global]
fsid = {self.fsid}
mon host = {self.mon_host()}
public addr = {self.options.addr}
cluster addr = {self.options.addr}
ms bind msgr1 = false
auth cluster required = {required}
auth service required = {required}
auth client required = {required}
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 32
mon max pg per osd = 1000
osd pool default pgp num = 32
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon pg warn min per osd = 0
mon data avail warn = 5
mon globalid prealloc = 10000000
osd objectstore = {self.options.store or "bluestore"}
mds reconnect timeout = 5
crash dir = {self.path("run")}

[client]
keyring = {self.admin_keyring}
"""
        if self.options.store == "filestore":
            text = text.replace("\n\n", "\nenable experimental unrecoverable data corrupting features = btrfs\n\n", 1)
        for name in self.daemon_names():
            kind = name[:3]
            section = {f"{kind} data": self.path(name), "admin socket": self.path("run", f"ceph-{name}.asok"),
                       "log file": self.path("log", f"{name}.log"), "run dir": self.path("run")}
            if kind != "mon":
                section["keyring"] = self.path(f"{name}.keyring")
            if name in self.journals:
                section["osd journal"] = self.journals[name]
            text += f"\n[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in section.items())
        return text

    def make_monitors(self):
        monmap = self.path("monmap")
        self.ledger.record("path", path=monmap)
        self.run(["monmaptool", "--create", "--fsid", self.fsid,
                  *(word for name in self.mon_names() for word in ("--addv", name[4:], f"[{self.mon_address(name)}]")),
                  "--set-min-mon-release", "pacific", monmap])
        for name in self.mon_names():
            self.make_folder(name)
            self.run(["ceph-mon", "--mkfs", "-i", name[4:], "-c", self.conf, "--monmap", monmap,
                      "--keyring", self.path("bootstrap.keyring")])
        for name in self.mon_names():
            self.start(name)

    def make_osd(self, name):
        data = self.make_loop(f"{name}.img", int(self.options.osd_size * GIB))
        if self.options.store == "filestore":
            self.journals[name] = self.make_loop(f"{name}.journal.img", JOURNAL_BYTES)
            self.make_btrfs(name, data)
            self.write_file("ceph.conf", self.conf_text())
        else:
            os.symlink(data, os.path.join(self.make_folder(name), "block"))
        identity = str(uuid.uuid4())
        self.run(["ceph", "-c", self.conf, "osd", "new", identity, name[4:]])
        self.run(["ceph-osd", "--mkfs", "-i", name[4:], "-c", self.conf, "--osd-uuid", identity], timeout=120)

    def make_mds(self, name):
        self.make_folder(name)

    def daemon_argv(self, name):
        return [f"ceph-{name[:3]}", "-f", "-i", name[4:], "-c", self.conf]

    def command(self, command, timeout=15):
        words = command["prefix"].split() + [str(v) for k, v in command.items() if k not in ("prefix", "format")]
        if "format" in command:
            words += ["--format", command["format"]]
        argv = network.inside(self.options.netns) + ["ceph", "-c", self.conf, "--connect-timeout", str(timeout), *words]
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=timeout + 5, text=True)
        except subprocess.TimeoutExpired:
            return 124, f"no answer within {timeout} s"
        return done.returncode, done.stdout if done.returncode == 0 else done.stderr + done.stdout
