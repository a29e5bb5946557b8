"""Look at this machine: what is installed, what each framework sees, where runs can be written."""

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from kcnn import backend
from kcnn.errors import RunError
from kcnn.files import check_writable
from kcnn.run import DEFAULT_PARENT

SECONDS = 120  # for one framework to be imported


def check():
    """Return the findings as plain values; `problems` holds a line for each thing to mend."""
    problems = []
    backends = {}
    for name in backend.BACKENDS:
        if name not in backend.installed():
            backends[name] = {"installed": False, "reason": f"not installed (pip install 'kcnn[{name}]')"}
            continue
        devices, reason = _devices_in_child(name)
        backends[name] = {"installed": devices is not None, "devices": devices, "reason": reason}
        if reason:
            problems.append(f"{name} is installed but does not work: {reason}")
    if not any(found["installed"] for found in backends.values()):
        problems.append("No framework works; install one: pip install 'kcnn[jax]', 'kcnn[torch]' or 'kcnn[tensorflow]'")
    if backend.unsafe_keras():
        problems.append(backend.unsafe_keras())
    folders = {str(Path.cwd() / DEFAULT_PARENT): _writable(Path(DEFAULT_PARENT)), tempfile.gettempdir(): True}
    problems += [f"{folder} is not writable" for folder, writable in folders.items() if not writable]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "versions": backend.versions(),
        "backends": backends,
        "folders": folders,
        "problems": problems,
    }


def _devices_in_child(name):
    """Return (devices, None) or (None, reason); a child process, since a broken framework may crash."""
    code = f"import json; from kcnn import backend; print(json.dumps(backend.devices({name!r})))"
    try:
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return None, f"importing it took over {SECONDS} s"
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
        return None, lines[-1]
    import json

    return json.loads(result.stdout.strip().splitlines()[-1]), None


def _writable(folder):
    try:
        check_writable(folder)
    except RunError:
        return False
    return True
