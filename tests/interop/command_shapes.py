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

#: Commands of the stock monitor that ours does not have, and why (mon/README.md says it to users).
NO_COMMAND = [(re.compile(f"^({pattern})$"), why) for pattern, why in (
    (r"mon (add|rm|remove|set-\w+|set_\w+|set \w+|ok-to-(add-offline|rm)|enable_stretch_mode|feature set|scrub)|quorum .*|"
     r"mon (add|rm) disallowed_leader|connection scores .*|add_bootstrap_peer_hintv?|sync_force|scrub|"
     r"osd force_(healthy|recovery)_stretch_mode", "there is one monitor"),
    (r"mon_status|sessions|ops|dump_historic\w*|heap|injectargs|smart|compact|tell",
     "of one daemon: ceph tell mon.a, or its admin socket, as far as they mean something"),
    (r"mgr (count-metadata|fail)|device .*|config show-with-defaults|osd (test-)?reweight-by-\S+|osd numa-status|"
     r"pg (debug|dump_pools_json|getmap)|osd blocked-by|osd last-stat-seq", "work of a manager that nobody does"),
    (r"osd (deep-scrub|scrub|repair)|pg cancel-\S+|pg repeer|osd force-create-pg|osd stop|osd reweightn",
     "not yet"),
    (r"osd tier .*|osd erasure-code-profile .*|osd crush rule create-erasure", "replicated pools without tiers only"),
    (r"osd crush (class create|class rm|swap-bucket|weight-set (create|create-compat|reweight|reweight-compat|rm|rm-compat)|set-all-straw-buckets-to-straw2)",
     "by hand: osd getcrushmap, crushtool, osd setcrushmap"),
    (r"fs (compat|compat show|mirror .*|required_client_features|reset)|mds (rm|rmfailed|compat rm_\w+|set_state|freeze)",
     "one active MDS, all of one release; a file system is removed and made anew"),
    (r"mds (add_data_pool|cluster_down|cluster_up|deactivate|dump|getmap|newfs|remove_data_pool|rm_data_pool|set|"
     r"set_max_mds|stop|tell)|osd (add|rm)-no\w+|osd (destroy|purge)-actual",
     "obsolete in Pacific, or for its own use"),
)]


class CommandShapes(ClusterTest):
    def test_every_stock_command_is_here_or_left_out_for_a_reason(self):
        argv = ["/usr/bin/python3", "-B", os.path.join(TESTS, "harness/mon_commands.py"), self.cluster.conf]
        (answer,) = self.run_inside(argv, json.dumps({"prefix": "get_command_descriptions"}) + "\n")
        ours = {" ".join(word for word in each["sig"] if isinstance(word, str))
                for each in json.loads(answer["output"]).values()}
        with open(os.path.join(TESTS, "golden/command_names.txt")) as f:
            missing = sorted(set(f.read().splitlines()) - ours)
        self.assertEqual([name for name in missing if not any(pattern.match(name) for pattern, _ in NO_COMMAND)], [])
        if self.cluster.software == "stock":
            return
        stale = [name for name in ours if any(pattern.match(name) for pattern, _ in NO_COMMAND)]
        self.assertEqual(stale, [], "they are here: take them off the list")

    def test_answers_have_the_fields_of_stock_ones(self):
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
        """plain and json-pretty answer what json answers, and xml is refused in words."""
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
            self.assertEqual(xml["result"], -22, command)
            if compact["output"].strip():
                self.assertEqual(shape(json.loads(compact["output"])) ^ shape(json.loads(pretty["output"])), set(),
                                 command)

    def run_inside(self, argv, requests):
        done = self.world.client_program(argv, requests)
        return [json.loads(line) for line in done.splitlines()]
