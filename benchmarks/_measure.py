"""Contenders in child processes, asked in turn, so that what else the machine does hits all alike."""

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from kcnn import backend, environment

HERE = Path(__file__).parent
RESULTS = HERE / "results"


# All contenders compute float32 as kcnn does, and compile anew, whatever an earlier run has kept.
ALIKE = {**backend.FULL_FLOAT32, "JAX_ENABLE_COMPILATION_CACHE": "false"}


class Child:
    """A contender that waits for the number of steps to take."""

    def __init__(self, module, network, precision, *keywords, backend_name=None):
        path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
        variables = {**ALIKE, **os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": path, **backend.SHARED_GPU}
        if backend_name:
            variables["KERAS_BACKEND"] = backend_name
        command = [sys.executable, HERE / "_child.py", network, precision, module, *keywords]
        log = None if os.environ.get("BENCH_LOG") else subprocess.DEVNULL
        self.process = subprocess.Popen(
            command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        self.start = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"A contender stopped: {' '.join(map(str, self.process.args))}. BENCH_LOG=1 shows why.")
        return json.loads(line)

    def run(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def interleaved(contenders, network, precision, *, steps, rounds):
    """Return {name: measurement} of contenders that take turns.

    Args:
        contenders: {name: (backend or None, module, *keywords)}.
        steps: In each turn.
        rounds: Turns of each contender.
    """
    children = {}
    try:
        for name, (backend_name, module, *keywords) in contenders.items():
            children[name] = Child(module, network, precision, *keywords, backend_name=backend_name)
        found = {name: [] for name in children}
        for _ in range(rounds):
            for name, child in children.items():
                found[name].append(child.run(steps))
        return {name: _summary(children[name].start, answers) for name, answers in found.items()}
    finally:
        for child in children.values():
            child.close()


def _summary(start, answers):
    speeds = [answer["images_per_second"] for answer in answers]
    return {
        "images_per_second": statistics.median(speeds),
        "lowest": min(speeds),
        "highest": max(speeds),
        "rounds": speeds,
        "import_seconds": start["import"],
        "first_step_seconds": start["first_step"],
        "peak_mib": answers[-1]["peak_mib"],
    }


def ratio(one, other):
    """Return the median of the ratios of two contenders, round by round, and the lowest and highest of them."""
    ratios = [a / b for a, b in zip(one["rounds"], other["rounds"], strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def machine():
    """Return what a reader must know of the machine to weigh a number."""
    return {
        "date": datetime.date.today().isoformat(),
        **environment.machine(),
        "python": platform.python_version(),
        "versions": backend.versions(),
    }


def write(name, document):
    """Write benchmarks/results/<name>.json."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine(), **document}, indent=1) + "\n")
