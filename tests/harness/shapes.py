"""The shape of a JSON answer: which fields there are and of what kind, without values and without names that differ from
cluster to cluster. What scripts rely on."""

import re

_NAMED = re.compile(r"^(\d+|osd\.\d+|gid_\d+|feature_\d+|mds_\d+|pool\.\d+|ceph version .*|[\d.:/\[\]]+)$")


def shape(value, path=""):
    """{".nodes[].id:number", ...}"""
    found = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            key = "*" if _NAMED.match(key) else key
            found.add(f"{path}.{key}:{_kind(inner)}")
            found |= shape(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            found.add(f"{path}[]:{_kind(inner)}")
            found |= shape(inner, path + "[]")
    return found


def _kind(value):
    if isinstance(value, bool):
        return "truth"
    return {int: "number", float: "number", str: "text", list: "list", dict: "object"}.get(type(value), "null")
