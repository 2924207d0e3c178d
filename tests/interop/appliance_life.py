"""From blank disks to a mounted share through the appliance's API, with everything killed in between."""

import os
import re
import shlex
import subprocess
import threading
import time
import unittest

from harness import disks, network, processes
from harness.appliance import Appliance


class ApplianceLifeTest(unittest.TestCase):
    beside_others = True  # with an appliance of its own

    def setUp(self):
        self.box = Appliance(disk_count=2)
        self.addCleanup(self.box.close)
        self.owner = self.box.page()
        self.assertEqual(self.owner.claim(self.box.console()["code"]).status, 200)

    def conf(self):
        return self.box.path("state/ceph.conf")

    def log_in(self):
        self.owner = self.box.page()
        self.assertEqual(self.owner.log_in().status, 200)

    def test_from_blank_disks_to_files_that_last(self):
        listed = self.owner.need("GET", "/api/v1/disks")["disks"]
        self.assertEqual([disk["path"] for disk in listed], self.box.devices)
        self.assertEqual([(disk["holds"], disk["problem"]) for disk in listed], [([], "")] * 2)
        plan = self.owner.need("POST", "/api/v1/setup/plan", {"disks": self.box.devices})
        self.assertEqual([choice["copies"] for choice in plan["choices"]], [1, 2])
        self.assertGreater(plan["choices"][0]["bytes"], 4 << 30)
        self.assertIn("if any one disk fails, files are lost", plan["choices"][0]["survives"])
        self.assertEqual(self.owner.ask("POST", "/api/v1/shares", {"name": "early"}).code, "not_set_up")
        job = self.owner.set_up(*self.box.devices)
        self.assertEqual(job["state"], "done", job)
        self.assertEqual(self.owner.ask("POST", "/api/v1/setup", {"copies": 1, "disks": []}).status, 409)

        memory = {process.pid: process.memory_mib() for process in processes.marked(self.box.folder)}
        self.assertLess(memory[self.box.process.pid], 48)
        self.assertLess(sum(memory.values()), 512)
        print(f"     memory: applianced {memory[self.box.process.pid]:.0f} MiB, all of the box {sum(memory.values()):.0f} MiB")

        photos = self.owner.need("POST", "/api/v1/shares", {"name": "photos"})
        music = self.owner.need("POST", "/api/v1/shares", {"name": "music"})
        self.assertEqual(self.owner.ask("POST", "/api/v1/shares", {"name": "photos"}).code, "exists")
        self.assertEqual(self.owner.ask("POST", "/api/v1/shares", {"name": "../etc"}).code, "name")
        self.assertIn(f"mount -t ceph 127.0.0.1:{self.box.mon_port}:/photos /mnt/photos -o name=photos,secret=",
                      photos["kernel"])
        target = self.box.mount(photos)
        with open(os.path.join(target, "shell"), "wb") as f:
            f.write(b"chamber " * 100_000)
            f.flush()
            os.fsync(f.fileno())
        status = self.owner.until(lambda words: words["clients"] and words["health"]["level"] != "bad")
        self.assertEqual(status["clients"][0]["share"], "photos")
        self.assertGreater(status["space"]["total"], 0)
        self.a_metadata_server_takes_over(target)
        self.box.unmount(target)
        self.keys_keep_to_their_share(photos, music)

        processes.kill_all(processes.marked(self.box.folder))  # power loss, as far as processes go
        for store in disks.mounts_below(self.box.folder):
            disks.unmount(store)
        self.box.address = "127.0.0.2"  # as a lease may end; the daemons and the mount lines follow
        self.box.mon_port = network.free_ports("127.0.0.2", 1)[0]
        self.box.start()
        self.log_in()
        starting = self.owner.need("GET", "/api/v1/jobs")["jobs"]
        self.assertEqual(self.owner.wait_for_job(starting[0]["id"])["state"], "done")
        moved = self.owner.need("GET", "/api/v1/shares/photos")
        self.assertIn(f"mount -t ceph 127.0.0.2:{self.box.mon_port}:/photos ", moved["kernel"])
        target = self.box.mount(moved)
        with open(os.path.join(target, "shell"), "rb") as f:
            self.assertEqual(f.read(), b"chamber " * 100_000)
        self.box.unmount(target)

        self.assertEqual(self.owner.ask("DELETE", "/api/v1/shares/photos").status, 200)
        refused = subprocess.run([*shlex.split(moved["fuse"])[:-1], "-f", target], timeout=60, stderr=subprocess.STDOUT,
                                 stdout=subprocess.PIPE)
        self.assertNotEqual(refused.returncode, 0)
        again = self.owner.need("POST", "/api/v1/shares", {"name": "photos"})
        self.assertNotEqual(again["key"], photos["key"])
        self.assertEqual(os.listdir(self.box.mount(again)), ["shell"])
        self.box.unmount(target)
        self.no_log_holds(photos["key"], music["key"], again["key"])
        self.box.stop()
        self.assertEqual(disks.mounts_below(self.box.folder), [])

    def no_log_holds(self, *secrets):
        """Of applianced and of every daemon."""
        for name in os.listdir(self.box.path("state/keys")):
            with open(self.box.path(f"state/keys/{name}")) as f:
                secrets += tuple(re.findall(r"key = (\S+)", f.read()))
        self.assertGreater(len(secrets), 8)
        logs = [self.box.path("log"), *(entry.path for entry in os.scandir(self.box.path("state/log")))]
        self.assertGreater(len(logs), 5)
        for path in logs:
            with open(path, errors="replace") as f:
                text = f.read()
            for secret in secrets:
                self.assertNotIn(secret, text, path)

    def metadata_servers(self):
        """(the active one's name, how many stand by)"""
        said = subprocess.run(["ceph", "-c", self.conf(), "mds", "stat"], stdout=subprocess.PIPE, check=True, timeout=60,
                              stderr=subprocess.DEVNULL, text=True).stdout
        active, standby = re.search(r"0=(\w+)=up:active", said), re.search(r"(\d+) up:standby", said)
        return active and active[1], int(standby[1]) if standby else 0

    def a_metadata_server_takes_over(self, target):
        active, standby = self.metadata_servers()
        self.assertEqual(standby, 1)
        self.box.daemons()[f"mds.{active}"].signal(9)
        started = time.monotonic()
        with open(os.path.join(target, "takeover"), "w") as f:
            f.write("by the other\n")
            f.flush()
            os.fsync(f.fileno())
        os.unlink(os.path.join(target, "takeover"))
        took = time.monotonic() - started
        self.assertNotEqual(self.metadata_servers()[0], active)
        deadline = time.monotonic() + 30
        while self.metadata_servers()[1] != 1:  # the one that died is started again, and stands by
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.3)
        print(f"     another metadata server took over within {took:.1f} s")

    def keys_keep_to_their_share(self, photos, music):
        """The key of one share reads nothing of the other, with `rados` neither."""
        keyring = self.box.path("music.keyring")
        with open(keyring, "w") as f:
            f.write(f"[client.music]\nkey = {music['key']}\n")
        rados = lambda *words: subprocess.run(
            ["rados", "--conf", "/dev/null", "-m", f"v2:127.0.0.1:{self.box.mon_port}", "-n", "client.music",
             "--keyring", keyring, "-p", "cephfs.fs.data", *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        theirs = subprocess.run(["rados", "-c", self.conf(), "-p", "cephfs.fs.data", "--all", "ls"],
                                stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().split("\n")
        objects = [line.split("\t")[1] for line in theirs if line.startswith("share-photos\t")]
        self.assertTrue(objects, theirs)
        self.assertEqual([line for line in theirs if line and not line.startswith("share-photos\t")], [])
        for words in (("-N", "share-photos", "ls"), ("ls",), ("-N", "share-photos", "get", objects[0], "/dev/null"),
                      ("-N", "share-photos", "put", objects[0], "/etc/hostname"), ("put", "x", "/etc/hostname")):
            done = rados(*words)
            self.assertNotEqual(done.returncode, 0, words)
            self.assertIn(b"Operation not permitted", done.stdout, words)
        self.assertEqual(rados("-N", "share-music", "put", "x", "/etc/hostname").returncode, 0)
        self.assertEqual(rados("-N", "share-music", "rm", "x").returncode, 0)

    def test_a_disk_with_data_needs_its_word(self):
        subprocess.run(["mkfs.ext4", "-q", "-L", "holiday", self.box.devices[0]], check=True)
        disk = self.owner.need("GET", "/api/v1/disks")["disks"][0]
        self.assertEqual(disk["holds"], ['a file system (ext4) called "holiday"'])
        before = self.checksum()
        for word in (None, "", "yes", disk["erase_word"] + "x"):
            choice = {"path": disk["path"], **({"erase": word} if word is not None else {})}
            reply = self.owner.ask("POST", "/api/v1/setup", {"copies": 1, "disks": [choice]})
            self.assertEqual(reply.status, 422)
            self.assertIn("holiday", reply.json()["error"]["message"])
        self.assertEqual(self.checksum(), before)
        target = self.box.path("mnt")
        os.makedirs(target)
        subprocess.run(["mount", disk["path"], target], check=True)
        reply = self.owner.ask("POST", "/api/v1/setup",
                               {"copies": 1, "disks": [{"path": disk["path"], "erase": disk["erase_word"]}]})
        self.assertEqual(reply.status, 422)
        self.assertIn("in use", reply.json()["error"]["message"])
        subprocess.run(["umount", target], check=True)
        for body in ({"copies": 2, "disks": [{"path": disk["path"]}]}, {"copies": 1, "disks": [{"path": "/dev/sda"}]},
                     {"copies": 1, "disks": "all"}, {"copies": 1, "disks": [3]}, {"copies": 1}):
            self.assertEqual(self.owner.ask("POST", "/api/v1/setup", body).status, 422, body)
        # Three tabs at once: one of them comes first.
        body = {"copies": 1, "disks": [{"path": disk["path"], "erase": disk["erase_word"]}]}
        replies = []
        tabs = [threading.Thread(target=lambda: replies.append(self.owner.ask("POST", "/api/v1/setup", body)))
                for _ in range(3)]
        for tab in tabs:
            tab.start()
        for tab in tabs:
            tab.join()
        self.assertEqual(sorted(reply.status for reply in replies), [202, 409, 409])
        self.assertEqual(self.owner.ask("POST", "/api/v1/setup", {"copies": 1, "disks": [{"path": self.box.devices[1]}]}).status,
                         409, "another tab comes too late")
        # Cut short in the middle: it goes on by itself, with what was agreed and nothing else.
        time.sleep(1)
        processes.kill_all(processes.marked(self.box.folder))
        self.box.start()
        self.log_in()
        going_on = self.owner.need("GET", "/api/v1/jobs")["jobs"]
        self.assertEqual(self.owner.wait_for_job(going_on[0]["id"])["state"], "done")
        untouched = subprocess.run(["wipefs", "--no-act", self.box.devices[1]], stdout=subprocess.PIPE, check=True)
        self.assertEqual(untouched.stdout, b"")

    def checksum(self):
        with open(self.box.devices[0], "rb") as f:
            return hash(f.read(8 << 20))
