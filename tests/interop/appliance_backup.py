"""The settings file: the shares of one box on another, with the keys that computers have in their mount lines."""

import os
import unittest

from harness.appliance import Appliance


class ApplianceBackupTest(unittest.TestCase):
    beside_others = True  # with appliances of its own

    def box(self):
        box = Appliance(disk_count=1)
        self.addCleanup(box.close)
        owner = box.page()
        self.assertEqual(owner.claim(box.console()["code"]).status, 200)
        return box, owner

    def test_shares_come_back_with_their_keys(self):
        first, owner = self.box()
        self.assertEqual(owner.set_up(*first.devices)["state"], "done")
        self.assertEqual(owner.ask("PUT", "/api/v1/name", {"name": "../x"}).code, "name")
        self.assertEqual(owner.need("PUT", "/api/v1/name", {"name": "snail"}), {"name": "snail"})
        self.assertEqual(owner.need("GET", "/api/v1/config")["name"], "snail")
        keys = {name: owner.need("POST", "/api/v1/shares", {"name": name})["key"] for name in ("photos", "music")}
        reply = owner.ask("GET", "/api/v1/backup")
        self.assertIn('filename="snail-settings.json"', reply.headers["Content-Disposition"])
        saved = reply.json()
        self.assertEqual({share["name"]: share["key"] for share in saved["shares"]}, keys)
        self.assertNotIn("argon2", reply.body.decode())
        first.stop()

        second, owner = self.box()
        self.assertEqual(owner.ask("POST", "/api/v1/restore", saved).code, "not_set_up")
        self.assertEqual(owner.set_up(*second.devices)["state"], "done")
        for bad in ({}, {**saved, "spirula_settings": 2}, {**saved, "shares": saved["shares"] * 2},
                    {**saved, "shares": [{"name": "photos", "key": keys["photos"][:-4]}]}):
            for path in ("/api/v1/restore/plan", "/api/v1/restore"):
                self.assertEqual(owner.ask("POST", path, bad).code, "backup", bad)
        theirs = owner.need("POST", "/api/v1/shares", {"name": "music"})["key"]
        plan = owner.need("POST", "/api/v1/restore/plan", saved)
        self.assertEqual((plan["name"], plan["missing"], plan["there"]), ("snail", ["photos"], ["music"]))
        self.assertEqual(owner.need("GET", "/api/v1/config")["name"], "spirula", "a plan changes nothing")
        job = owner.need("POST", "/api/v1/restore", saved)["job"]
        self.assertEqual(owner.wait_for_job(job)["state"], "done")
        self.assertEqual(owner.need("GET", "/api/v1/config")["name"], "snail")
        self.assertEqual(owner.need("GET", "/api/v1/shares/music")["key"], theirs, "what is there stays")
        photos = owner.need("GET", "/api/v1/shares/photos")
        self.assertEqual(photos["key"], keys["photos"])
        target = second.mount(photos)
        with open(os.path.join(target, "file"), "w") as f:
            f.write("kept\n")
            f.flush()
            os.fsync(f.fileno())
        second.unmount(target)
        plan = owner.need("POST", "/api/v1/restore/plan", saved)
        self.assertEqual((plan["missing"], plan["there"]), ([], ["photos", "music"]))
        for secret in keys.values():
            self.assertNotIn(secret, second.log())
