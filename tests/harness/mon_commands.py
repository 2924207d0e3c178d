#!/usr/bin/python3 -B
"""Runs many monitor commands over one connection.

    mon_commands.py CONF [--manager] < REQUESTS     one JSON object {"prefix": ...} a line; an answer of
                                                    {"result", "text", "output"} for each, a line each

--manager sends to the manager what a stock cluster keeps there.
"""

import json
import sys

import rados


def main():
    conf, manager = sys.argv[1], "--manager" in sys.argv
    cluster = rados.Rados(conffile=conf, name="client.admin")
    cluster.connect(timeout=20)
    _, out, _ = cluster.mon_command(json.dumps({"prefix": "get_command_descriptions"}), b"")
    of_manager = {" ".join(word for word in each["sig"] if isinstance(word, str))
                  for each in json.loads(out).values() if int(each.get("flags", 0)) & 8}
    for line in sys.stdin:
        request = json.loads(line)
        if manager and request["prefix"] in of_manager:
            text = json.dumps({**request, "target": ["mon-mgr", ""]})
            result, out, said = cluster.mgr_command(text, b"", timeout=20)
        else:
            result, out, said = cluster.mon_command(json.dumps(request), b"", timeout=20)
        print(json.dumps({"result": result, "text": said, "output": out.decode(errors="replace")}), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
