"""Ceph keys and keyring files."""

import base64
import os
import struct
import time

#: What each kind of daemon and the administrator may do, as `ceph auth` would grant it.
CAPS = {
    "mon": {"mon": "allow *"},
    "osd": {"mon": "allow profile osd", "mgr": "allow profile osd", "osd": "allow *"},
    "mds": {"mon": "allow profile mds", "mgr": "allow profile mds", "osd": "allow *", "mds": "allow *"},
    "mgr": {"mon": "allow profile mgr", "osd": "allow *", "mds": "allow *"},
    "client": {"mon": "allow *", "mgr": "allow *", "osd": "allow *", "mds": "allow *"},
}


def make_key():
    """A fresh AES-128 secret in Ceph's text form: le16 type 1, le32 seconds, le32 nanoseconds, le16 length, 16 bytes
    (Ceph: CryptoKey)."""
    now = time.time_ns()
    head = struct.pack("<HIIH", 1, now // 10**9, now % 10**9, 16)
    return base64.b64encode(head + os.urandom(16)).decode()


def keyring_text(keys, with_caps):
    """`keys`: entity name to key."""
    text = ""
    for entity, key in keys.items():
        text += f"[{entity}]\n\tkey = {key}\n"
        if with_caps:
            for service, caps in CAPS[entity.partition(".")[0]].items():
                text += f'\tcaps {service} = "{caps}"\n'
    return text


def write_keyring(path, keys, with_caps=False):
    with open(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as f:
        f.write(keyring_text(keys, with_caps))
