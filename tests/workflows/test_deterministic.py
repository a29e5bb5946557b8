"""`run.deterministic`: the framework is told so before it first computes."""

import os
import subprocess
import sys

PROGRAM = """
import os, sys
from kcnn.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code
name = os.environ["KERAS_BACKEND"]
if name == "torch":
    import torch
    print(torch.are_deterministic_algorithms_enabled())
elif name == "tensorflow":
    from tensorflow.python.framework import config
    print(config.is_op_determinism_enabled())
else:
    print("--xla_gpu_deterministic_ops=true" in os.environ.get("XLA_FLAGS", ""))
"""


def test_the_recipe_asks_for_it(tmp_path, backend_name):
    for wanted in ("true", "false"):
        words = ["fit", "smoke", "--epochs", "1", "--set", "data.limit=64", "--set", f"run.deterministic={wanted}"]
        result = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words, "--out", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "KERAS_BACKEND": backend_name},
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines()[-1] == wanted.capitalize()
