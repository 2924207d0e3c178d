"""A cluster of our own daemons."""

import json
import os
import subprocess

from . import network
from .cluster import GIB, JOURNAL_BYTES, Cluster, ClusterError

#: Where the binaries are; SPIRULA_BIN overrides it.
BIN = os.environ.get("SPIRULA_BIN") or os.path.realpath(os.path.join(os.path.dirname(__file__), "../../build/bin"))


class SpirulaCluster(Cluster):
    software = "spirula"

    def __init__(self, directory, options=None):
        super().__init__(directory, options)
        self.bin = BIN
        self.journals = {}

    def conf_text(self):
        required = self.options.auth
        text = f"""[global]
fsid = {self.fsid}
mon host = {self.mon_host()}
public addr = {self.options.addr}
auth cluster required = {required}
auth service required = {required}
auth client required = {required}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 32
mon max pg per osd = 1000
mds reconnect timeout = 5

[client]
keyring = {self.admin_keyring}
"""
        sections = {}
        for name in self.mon_names():
            sections[name] = {"mon data": self.path(name), "public addrv": f"[{self.mon_address(name)}]",
                              "keyring": self.path("bootstrap.keyring")}
        for name in self.osd_names():
            sections[name] = {"osd data": self.path(name), "keyring": self.path(f"{name}.keyring"),
                              # As if each stood in a host of its own, so that copies of a PG go to several.
                              **({"crush location": f"root=default host={name.replace('.', '-')}"}
                                 if self.options.osds > 1 else {}),
                              **({"osd journal": self.journals[name]} if name in self.journals else {})}
        for name in self.mds_names():
            sections[name] = {"keyring": self.path(f"{name}.keyring")}
        for name, section in sections.items():
            section["admin socket"] = self.path("run", f"ceph-{name}.asok")
            section["log file"] = self.path("log", f"{name}.log")
            text += f"\n[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in section.items())
        return text

    def tool(self, name):
        path = os.path.join(self.bin, name)
        if not os.access(path, os.X_OK):
            raise ClusterError(f"{path} is not there: `make all` builds it")
        return path

    def make_monitors(self):
        for name in self.mon_names():
            self.make_folder(name)
            self.run([self.tool("cmon"), "--mkfs", "-i", name[4:], "-c", self.conf,
                      "--keyring", self.path("bootstrap.keyring")])
            self.start(name)

    def make_osd(self, name):
        data = self.make_loop(f"{name}.img", int(self.options.osd_size * GIB))
        self.journals[name] = self.make_loop(f"{name}.journal.img", JOURNAL_BYTES)
        self.make_btrfs(name, data)
        self.write_file("ceph.conf", self.conf_text())
        self.run([self.tool("cosd"), "--mkfs", "-i", name[4:], "-c", self.conf])

    def daemon_argv(self, name):
        kind, _, identity = name.partition(".")
        return [self.tool({"mon": "cmon", "osd": "cosd", "mds": "cmds"}[kind]), "-i", identity, "-c", self.conf]

    def command(self, command, timeout=15):
        argv = network.inside(self.options.netns) + [self.tool("cmon-command"), "-c", self.conf, json.dumps(command)]
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=timeout, text=True)
        except subprocess.TimeoutExpired:
            return 124, f"no answer within {timeout} s"
        return done.returncode, done.stdout if done.returncode == 0 else done.stderr + done.stdout
