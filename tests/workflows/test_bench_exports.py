"""The speed of exported files beside the trained model."""

import json
import shutil

import pytest
from copied_runs import copy_of

from kcnn.errors import RunError
from kcnn.run import Run
from kcnn.workflows import bench_exports


def test_bench_measures_exports_beside_the_trained_model(exported, kcnn, monkeypatch, tmp_path):
    monkeypatch.setattr(bench_exports, "SECONDS", 0.01)
    run, certificates = copy_of(exported[0], tmp_path), exported[1]
    for name in ("openvino", "savedmodel", "torch"):
        shutil.rmtree(run.exports / name)
    code, out, _ = kcnn("bench", run.path, "--exports", "--rounds", 1, "--json")
    assert code == 0
    rows = json.loads(out)["rows"]
    assert [row["name"] for row in rows[1:]] == ["litert", "onnx"]
    shutil.copytree(run.exports / "onnx", run.exports / ".onnx-x7")  # of an export that was killed
    assert list(bench_exports._exports(run)) == ["litert", "onnx"]
    expected = [certificates[row["name"]].accuracy["exported"][0] for row in rows[1:]]
    assert [row["accuracy"] for row in rows[1:]] == expected
    for row in rows:
        assert [speed["batch"] for speed in row["speeds"]] == [1, 7, 64]
        assert all(speed["p99_ms"] >= speed["p50_ms"] > 0 for speed in row["speeds"])
    with (run.exports / "litert" / "model.tflite").open("ab") as file:
        file.write(b"x")
    code, out, err = kcnn("bench", run.path, "--exports", "--rounds", 1)
    assert (code, out) == (2, "")
    assert "model.tflite was changed" in err.splitlines()[-1]


def test_bench_measures_no_export_of_another_model(exported, tmp_path):
    run = copy_of(exported[0], tmp_path)
    with run.model.open("ab") as file:
        file.write(b"x")
    with pytest.raises(RunError, match=r"was made of another model\.keras"):
        bench_exports.bench_exports(run)


def test_bench_without_exports_says_how_to_make_one(smoke_run, tmp_path):
    with pytest.raises(RunError, match="kcnn export"):
        bench_exports.bench_exports(
            Run(shutil.copytree(smoke_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("exports")))
        )
