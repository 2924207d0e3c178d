"""What a run has made outside its own memory, written down before it is made.

One JSON object a line. `undo()` takes everything back in reverse order, from whatever process calls it, however the
one that made it ended. A torn last line is ignored: what it would have named was not made yet.
"""

import json
import os
import shutil

from . import disks, network, processes


class Ledger:
    """Kinds: path (file or folder), loop (by backing file), mount (by target), netns (by name),
    processes (by the mark in their environment), process (pid with its start time)."""

    def __init__(self, path):
        self.path = path

    def exists(self):
        return os.path.exists(self.path)

    def create(self):
        """Raises FileExistsError: somebody else is using this folder."""
        os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))

    def record(self, kind, **what):
        line = json.dumps({"kind": kind, **what}) + "\n"
        with open(self.path, "a") as f:
            f.write(line)
            f.flush()
            os.fsync(f.fileno())

    def entries(self, kind=None):
        found = []
        with open(self.path) as f:
            for line in f:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if kind in (None, entry["kind"]):
                    found.append(entry)
        return found

    def undo(self):
        """Takes everything back and removes the ledger. Returns a list of what could not be undone (the ledger then
        stays, so that undo() can be tried again)."""
        entries = self.entries()
        left = []
        for mark in {e["mark"] for e in entries if e["kind"] == "processes"}:
            left += processes.kill_all(processes.marked(mark))
        left += processes.kill_all(p for p in (processes.Process(e["pid"], e["start"])
                                               for e in entries if e["kind"] == "process") if p.alive())
        for entry in reversed(entries):
            try:
                self._undo_one(entry)
            except (OSError, RuntimeError) as error:
                left.append(f"{entry}: {error}")
        if not left:
            os.unlink(self.path)
        return left

    @staticmethod
    def _undo_one(entry):
        kind = entry["kind"]
        if kind == "mount":
            disks.unmount(entry["target"])
        elif kind == "loop":
            disks.detach(entry["file"])
        elif kind == "netns":
            network.remove(entry["name"])
        elif kind == "path":
            path = entry["path"]
            below = disks.mounts_below(path)
            if below:
                raise RuntimeError(f"still mounted: {below}")
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            elif os.path.lexists(path):
                os.unlink(path)
