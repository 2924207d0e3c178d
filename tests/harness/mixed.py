"""Some daemons of ours, the others stock: shows which of ours is to blame before all of them work."""

import os

from .spirula import SpirulaCluster
from .stock import StockCluster

KINDS = ("mon", "osd", "mds")


class MixedCluster(SpirulaCluster):
    """options.stock names the kinds that are stock: "mon", "mon,osd" ..."""

    software = "mixed"

    def __init__(self, directory, options=None):
        super().__init__(directory, options)
        self.other = StockCluster(directory, self.options)

    def load(self, state):
        super().load(state)
        self._share()
        return self

    def _share(self):
        """The stock half speaks of the same cluster as we do."""
        for name in ("options", "fsid", "ports", "ledger", "journals"):
            setattr(self.other, name, getattr(self, name))

    def is_stock(self, name):
        return name[:3] in self.options.stock.split(",")

    def conf_text(self):
        self._share()
        text = self.other.conf_text()
        if not self.is_stock("mon"):
            text = text.replace("\n[mon.a]\n", f"\n[mon.a]\nkeyring = {self.path('bootstrap.keyring')}\n")
        return text

    def make_monitors(self):
        self._share()
        if not self.is_stock("mon"):
            super().make_monitors()
            return
        self.other.start = self.start
        self.other.make_monitors()

    def make_osd(self, name):
        if self.is_stock("osd"):
            self.other.make_osd(name)
            return
        super().make_osd(name)
        if self.is_stock("mon"):  # it wants to know an OSD before its first boot
            with open(os.path.join(self.path(name), "fsid")) as f:
                identity = f.read().strip()
            ceph = lambda *words: self.run(["ceph", "-c", self.conf, "osd", *words])
            ceph("new", identity, name[4:])
            ceph("crush", "create-or-move", name, "1.0", "root=default", "host=here")

    def make_mds(self, name):
        if self.is_stock("mds"):
            self.other.make_mds(name)

    def daemon_argv(self, name):
        return self.other.daemon_argv(name) if self.is_stock(name) else super().daemon_argv(name)

    def command(self, command, timeout=15):
        if self.is_stock("mon"):
            return self.other.command(command, timeout)
        return super().command(command, timeout)
