"""`make run`, and a browser that gets from its claim code to a mounted share."""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from harness import browser, disks, processes

_RUN = os.path.realpath(os.path.join(os.path.dirname(__file__), "../run-appliance"))


class ApplianceBrowserTest(unittest.TestCase):
    beside_others = True  # with an appliance of its own
    seconds_max = 400  # every screen in two widths, light and dark

    def setUp(self):
        browser.node_modules()
        self.folder = tempfile.mkdtemp(prefix="spirula-appliance-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.output = os.path.join(self.folder, "run.out")
        self.box = processes.spawn([_RUN, "--folder", os.path.join(self.folder, "box"), "--port", "0", "--disk-size", "3"],
                                   self.folder, self.output)
        self.addCleanup(self.take_down)

    def take_down(self):
        self.box.signal(signal.SIGTERM)
        gone = self.box.wait(90)
        left = processes.kill_all(processes.marked(self.folder))
        self.assertEqual((gone, left), (True, []))
        for number in range(2):
            self.assertEqual(disks.loops_of(os.path.join(self.folder, "box", f"disk{number}.img")), [])

    def said(self, word, seconds=40):
        """What `make run` printed after this word."""
        deadline = time.monotonic() + seconds
        while True:
            with open(self.output) as f:
                text = f.read()
            for line in text.splitlines():
                if line.startswith(word + ":"):
                    return line.partition(":")[2].strip()
            self.assertTrue(self.box.alive() and time.monotonic() < deadline, text)
            time.sleep(0.1)

    def test_from_the_claim_code_to_a_mounted_share(self):
        shown = browser.drive(self.said("Open"), self.said("Claim code"), timeout=360)
        self.assertEqual(self.said("Mount"), shown["kernel"])
        self.assertRegex(shown["kernel"], r"^mount -t ceph 127\.0\.0\.1:\d+:/photos /mnt/photos -o name=photos,secret=\S+$")
        self.assertLessEqual(shown["acts"], 20)
        self.assertLess(shown["seconds"], 180)
        self.assertLess(shown["views"][0], 1000)  # the quickest: what else runs here is not the page's
        target = os.path.join(self.folder, "mnt")
        os.makedirs(target)
        client = processes.spawn([*shlex.split(shown["fuse"])[:-1], "-f", target], self.folder, self.output)
        deadline = time.monotonic() + 40
        while target not in disks.mount_table():
            self.assertTrue(client.alive() and time.monotonic() < deadline)
            time.sleep(0.05)
        with open(os.path.join(target, "file"), "w") as f:
            f.write("kept\n")
        with open(os.path.join(target, "file")) as f:
            self.assertEqual(f.read(), "kept\n")
        subprocess.run(["umount", target], check=True, timeout=60)
        print(f"     the page: {shown['weight'] // 1024} KiB, first view {shown['views'][2]} ms (of five), claim to share "
              f"{shown['seconds']:.0f} s and {shown['acts']} clicks or fields")
