"""Answers of a stock cluster, kept in tests/golden, and ours beside them."""

import json
import os

from .stock import StockCluster

FOLDER = os.path.realpath(os.path.join(os.path.dirname(__file__), "../golden"))


def compare(test, name, lines, different=()):
    """`lines`: what a script printed, each line a JSON pair of what was asked and what was answered. They have to be those
    of tests/golden/NAME.json, but for questions that a pattern of `different` finds. A run with --stock compares,
    too, and writes the file anew."""
    path = os.path.join(FOLDER, name + ".json")
    answers = [json.loads(line) for line in lines.splitlines()]
    golden = []
    if os.path.exists(path):
        with open(path) as f:
            golden = json.load(f)
    if test.world.kind is StockCluster:
        with open(path, "w") as f:
            f.write("[\n" + ",\n".join(json.dumps(each) for each in answers) + "\n]\n")
    test.assertEqual([what for what, _ in answers], [what for what, _ in golden])
    wrong = [f"{what}: {ours}, stock {stock}" for (what, ours), (_, stock) in zip(answers, golden)
             if ours != stock and not any(pattern.search(what) for pattern in different)]
    test.assertEqual(wrong, [], "\n" + "\n".join(wrong))
