"""Answers have the fields that a stock cluster's have: tests/golden/commands.json says which (capture-commands wrote it)."""

import json
import os
import re
import time

from harness.shapes import shape
from harness.suite import ClusterTest

TESTS = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))

#: Fields of stock answers that ours leave out, and why. Matched against "prefix field".
LEFT_OUT = [(re.compile(pattern), why) for pattern, why in (
    (r"device_class|\.devices\[\]\.class|stats_by_class|osd crush class ls ", "no class is set by itself"),
    (r"mgr_devicehealth|device_health_metrics|config-key ls|\.modules\[\]|\.standbys\[\]", "there is no manager"),
    (r"(node ls|versions|features) \.mgr\b.*|mgr/", "there is no manager"),
    (r"\.options\.", "pool settings that would change nothing are refused"),
    (r"erasure_code_profiles\.", "there are no erasure-coded pools"),
    (r"container_name|compression_algorithms|\.device(s|_ids|_paths)\b", "facts of packagings and disks we do not have"),
    (r"osd metadata .*(bluestore|bluefs|bdev|numa|_iface|journal_rotational|rotational|osdspec|created|"
     r"default_device_class|(front|back|hb_\w+)_addr)", "facts of BlueStore and of networks"),
    (r"pg .*\.(hb_peers|network_ping_times|op_queue_age_hist|seq|up_from|snap_trim_queue_len|num_shards_repaired|"
     r"num_snap_trimming|snaptrimq|num_pools)", "measured by stock OSDs only"),
    (r"pg .*\.(avail_no_missing|object_location_counts|created|mapping_epoch|log_start|ondisk_log_start|last_active|"
     r"last_became_\w+|last_change|last_clean|last_clean_scrub_stamp|last_fresh|last_fullsized|last_peered|"
     r"last_undegraded|last_unstale|last_scrub|last_deep_scrub|\w+_stats_invalid)\b", "not reported by our OSDs"),
    (r"pg .*stat_sum\.(num_large_omap_objects|num_keys_recovered|num_deep_scrub_errors|num_shallow_scrub_errors|"
     r"num_objects_omap|num_objects_repaired)", "not reported by our OSDs"),
    (r"pg .*\.(store_stats|num_store_stats|pg_stats_delta|pool_statfs|acting:number|up:number)", "sums of BlueStore"),
    (r"\.health\.checks\.|health \.checks\.", "depends on what is wrong at the moment"),
    (r"pg stat .*_sec|client_io_rate\.", "depends on the moment"),
    (r"status \.pgmap\.(unknown|inactive|degraded|misplaced|read|write|recovering)", "depends on the moment"),
    (r"quorum_status \.features\.quorum_mon|mgr stat \.", "lists of names"),
    (r"config help \.(flags|services)", "our options say neither"),
    (r"auth ls|log last \[\]\.addrs|mds_metadata", "depends on who is there"),
)]


class CommandShapes(ClusterTest):
    def test_every_stock_command_is_carried_out_or_refused_with_a_reason(self):
        argv = ["/usr/bin/python3", "-B", os.path.join(TESTS, "harness/mon_commands.py"), self.cluster.conf]
        (answer,) = self.run_inside(argv, json.dumps({"prefix": "get_command_descriptions"}) + "\n")
        rows = {" ".join(word for word in each["sig"] if isinstance(word, str)): each
                for each in json.loads(answer["output"]).values()}
        with open(os.path.join(TESTS, "golden/command_names.txt")) as f:
            self.assertEqual(sorted(set(f.read().splitlines()) - set(rows)), [])
        if self.cluster.software == "stock":
            return  # what follows is about ours only
        refused = sorted(name for name, row in rows.items() if row["help"].startswith("(refused)"))
        self.assertIn("mon add", refused)
        answers = self.run_inside(argv, "".join(json.dumps({"prefix": name}) + "\n" for name in refused))
        for name, answer in zip(refused, answers, strict=True):
            self.assertEqual(answer["result"], -95, name)
            self.assertRegex(answer["text"], f"'{name}' is not supported: \\w", name)
        by_hand = self.world.client("ceph", "osd", "tier", "add", "one", "other", check=False)
        self.assertEqual(by_hand.returncode, 95)
        self.assertIn(b"pools have no tiers", by_hand.stderr)

    def test_answers_have_the_fields_of_stock_ones(self):
        if self.cluster.software == "stock":
            return  # tests/capture-commands took them from one with a manager, which tests/stock has not
        with open(os.path.join(TESTS, "golden/commands.json")) as f:
            golden = json.load(f)
        requests = "".join(json.dumps({**each["command"], "format": "json"}) + "\n" for each in golden)
        argv = ["/usr/bin/python3", "-B", os.path.join(TESTS, "harness/mon_commands.py")]
        deadline = time.monotonic() + 20  # after a start, OSDs report within some seconds
        while not json.loads(self.world.client("ceph", "osd", "perf", "-f", "json").stdout)["osdstats"]["osd_perf_infos"]:
            self.assertLess(time.monotonic(), deadline, "no OSD reports")
            time.sleep(0.2)
        answers = self.run_inside(argv + [self.cluster.conf], requests)
        self.assertEqual(len(answers), len(golden))
        wrong = []
        for each, answer in zip(golden, answers):
            prefix = each["command"]["prefix"]
            if answer["result"] != each["result"]:
                wrong.append(f"{each['command']}: result {answer['result']} ({answer['text']}), stock {each['result']}")
                continue
            try:
                ours = shape(json.loads(answer["output"]))
            except ValueError:
                ours = None
            if (ours is None) != (each["shape"] is None):
                wrong.append(f"{each['command']}: JSON or not")
                continue
            for field in sorted(set(each["shape"] or ()) - (ours or set())):
                if not any(pattern.search(f"{prefix} {field}") for pattern, _ in LEFT_OUT):
                    wrong.append(f"{each['command']}: no {field}")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_every_command_prints_every_format(self):
        """plain and json-pretty answer what json answers. Ours refuses xml in words (mon/README.md); a stock monitor prints it."""
        with open(os.path.join(TESTS, "golden/commands.json")) as f:
            commands = [each["command"] for each in json.load(f)]
        argv = ["/usr/bin/python3", "-B", os.path.join(TESTS, "harness/mon_commands.py"), self.cluster.conf]
        asked = [{**command, "format": style} for command in commands
                 for style in ("json", "json-pretty", "plain", "xml")]
        answers = iter(self.run_inside(argv, "".join(json.dumps(each) + "\n" for each in asked)))
        for command in commands:
            compact, pretty, plain, xml = (next(answers) for _ in range(4))
            self.assertEqual(compact["result"], pretty["result"], command)
            self.assertEqual(compact["result"], plain["result"], command)
            if self.cluster.software != "stock":
                self.assertEqual(xml["result"], -22, command)
                self.assertTrue(xml["text"], command)
            if compact["output"].strip():
                self.assertEqual(shape(json.loads(compact["output"])) ^ shape(json.loads(pretty["output"])), set(),
                                 command)

    def run_inside(self, argv, requests):
        done = self.world.client_program(argv, requests)
        return [json.loads(line) for line in done.splitlines()]
