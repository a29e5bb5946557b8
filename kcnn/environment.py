"""What has to be known to repeat a run: versions, machine, device, source, command."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kcnn import backend

# What decides how a framework spreads its work, and so the order of its sums.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_ENABLE_ONEDNN_OPTS",
    "XLA_FLAGS",
)


def describe(backend_name: str, command: str | None = None, data: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the environment of this process as plain values, importing the framework `backend_name`.

    Args:
        backend_name: The backend that the run uses.
        command: The command line, as the user could type it again.
        data: What stands for the data: its fingerprint and counts.
    """
    return {
        "backend": backend_name,
        "devices": backend.devices(backend_name),
        "versions": {"python": platform.python_version(), **backend.versions()},
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": backend.threads(backend_name),
        "variables": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        "data": data,
        "git_commit": _git_commit(),
        "command": command,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def machine() -> dict[str, Any]:
    """Return what decides how fast this machine is, as plain values, without importing a framework."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(_memory_bytes() / 2**30),
        "accelerators": _accelerators(),
        "variables": {
            name: os.environ[name]
            for name in (*THREAD_VARIABLES, "CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS")
            if name in os.environ
        },
    }


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 0


def _accelerators() -> list[str]:
    """Return the models of NVIDIA's GPUs, which their driver lists."""
    facts = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    lines = [line for path in facts for line in path.read_text(encoding="utf-8").splitlines()]
    return [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _git_commit() -> str | None:
    """Return the commit that kcnn itself is at, where it runs from a checkout."""
    package = Path(__file__).resolve().parent
    try:
        result = subprocess.run(
            ["git", "rev-parse", "--show-toplevel", "HEAD"],
            cwd=package,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    top, commit = result.stdout.splitlines()
    # Installed into an environment inside of another project, it is below that one's checkout.
    return commit if Path(top).resolve() == package.parent else None


def command_line() -> str:
    """Return the command that started this process, quoted for a shell."""
    import shlex

    name = Path(sys.argv[0]).name
    return shlex.join(["kcnn" if name == "__main__.py" else name, *sys.argv[1:]])
