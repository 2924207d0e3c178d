"""A browser that goes through the appliance's page."""

import hashlib
import json
import os
import shutil
import subprocess

_HERE = os.path.realpath(os.path.join(os.path.dirname(__file__), "../browser"))
_BUILD = os.path.realpath(os.path.join(_HERE, "../../build/browser"))


def node_modules():
    """The folder with what package-lock.json names; fetched when it is not there yet."""
    with open(os.path.join(_HERE, "package-lock.json"), "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()[:16]
    folder = os.path.join(_BUILD, digest)
    if os.path.isdir(os.path.join(folder, "node_modules", "playwright-core")):
        return os.path.join(folder, "node_modules")
    os.makedirs(folder, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(_HERE, name), folder)
    done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, timeout=120,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"npm ci: {done.stdout[-2000:]}")
    return os.path.join(folder, "node_modules")


def drive(address, code, timeout=140, patience=60, clock_is_off=False):
    """Through the whole page, waiting up to `patience` seconds for anything; what it said about the share it made.
    `clock_is_off`: the box's clock is wrong, which the page has to say, and to put right. RuntimeError when anything is
    not as it should."""
    pictures = os.environ.get("SPIRULA_PICTURES", "")
    if pictures:
        os.makedirs(pictures, exist_ok=True)
    done = subprocess.run(["node", os.path.join(_HERE, "drive.mjs"), address, code, *([pictures] if pictures else [])],
                          env={**os.environ, "SPIRULA_NODE_MODULES": node_modules(), "SPIRULA_PATIENCE": str(patience),
                               "SPIRULA_CLOCK_IS_OFF": "yes" if clock_is_off else ""}, timeout=timeout,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    return json.loads(done.stdout.splitlines()[-1])
