"""The command line on each backend: from the first command to an answer, interrupted, without a GPU, from a wheel."""

import os
import signal
import subprocess
import sys
import time

import pytest


def test_the_whole_way_in_any_folder(kcnn, tmp_path, monkeypatch, digit_files):
    monkeypatch.chdir(tmp_path)
    code, out, _ = kcnn("fit", "smoke")
    assert code == 0
    assert "Next: kcnn evaluate saved_models/smoke" in out
    assert kcnn("evaluate", "smoke")[0] == 0
    code, out, _ = kcnn("predict", "smoke", digit_files)
    assert code == 0
    assert kcnn("fit", "smoke", "--name", "smoke")[0] == 2
    assert kcnn("fit", "smoke", "--epochs", 1)[1].count("saved_models/smoke-2")


def test_a_missing_gpu_is_said(kcnn, backend_name, tmp_path):
    from kcnn import backend

    if any("gpu" in device for device in backend.devices(backend_name)):
        pytest.skip("this machine has a GPU")
    code, _, err = kcnn("fit", "smoke", "--device", "gpu", "--out", tmp_path)
    assert code == 2
    assert "No GPU is visible" in err


def test_ctrl_c_in_the_middle_is_clean(tmp_path, backend_name):
    # A suite in the background of a shell inherits an ignored SIGINT; the child takes Python's own handler back.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom kcnn.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "fit", "smoke", "--set", "epochs=100000", "--out", tmp_path, "--name", "c"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend_name},
    )
    history = tmp_path / "c" / "history.csv"
    deadline = time.monotonic() + 120
    while not history.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    try:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 1
    assert "Stopping after this step" in err
    assert err.splitlines()[-1].endswith(f"Go on with: kcnn fit --resume {tmp_path}/c")
    assert "Traceback" not in err
    assert history.read_text().endswith("\n")
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.slow
def test_the_built_wheel_works_in_an_empty_folder(tmp_path, backend_name):
    """What is shipped holds the recipes, and finds them by their bare name."""
    from pathlib import Path

    root = Path(__file__).parent.parent.parent
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, root], check=True)
    site = tmp_path / "site"
    wheel = next(tmp_path.glob("*.whl"))
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel], check=True)
    environment = {**os.environ, "PYTHONPATH": str(site), "KERAS_BACKEND": backend_name}
    code = "import kcnn, sys; assert 'site' in kcnn.__file__, kcnn.__file__; from kcnn.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "fit", "smoke", "--epochs", "1"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "saved_models" / "smoke" / "model.keras").is_file()
