"""Exports, their certificates, and what is refused; `formats/test_exported.py` has how they are opened."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from copied_runs import copy_of
from exports import TEMPERATURE, each_format, opened
from made_runs import made_run
from pages import Page

from kcnn.classifier import Classifier
from kcnn.errors import DataNotFoundError, RunError, UsageError
from kcnn.files import alone
from kcnn.formats.exported import Exported, found
from kcnn.metrics.calibration import softmax, with_temperature
from kcnn.registry import FORMATS
from kcnn.workflows import export as export_module
from kcnn.workflows.export import export

pytestmark = pytest.mark.usefixtures("short_timing")


@each_format
def test_each_format_is_certified(exported, name):
    run, certificates = exported
    certificate = certificates[name]
    assert certificate.holds, certificate.complaints
    assert certificate.difference["probability"] < 1e-5
    assert set(certificate.difference["batches"]) == {1, 7, 64}
    assert certificate.images["split"] == "validation"
    folder = run.exports / name
    written = json.loads((folder / "certificate.json").read_text())
    assert written == json.loads(json.dumps(certificate.document()))
    assert written["holds"] is True
    for file, facts in written["exported"]["files"].items():
        assert (folder / file).stat().st_size == facts["bytes"]
    page = Page(folder / "certificate.html")
    assert "It answers as the trained model does" in page.text
    assert all(facts["sha256"] in page.text for facts in written["exported"]["files"].values())
    assert not page.all("script")
    assert all(link["href"].startswith("data:") for link in page.all("link"))
    assert sorted(path.name for path in run.exports.iterdir()) == sorted(FORMATS.names())


@each_format
def test_a_file_answers_as_the_run_with_any_batch(exported, jpeg_pixels, name):
    run, _ = exported
    plain, calibrated = opened(run, name), opened(run, name, calibrated=True)
    trained = Classifier.open(run.path)
    expected = trained.probabilities(jpeg_pixels)
    assert np.ptp(expected.argmax(axis=1)) > 0
    for count in (1, 2, 70):
        np.testing.assert_allclose(plain.probabilities(jpeg_pixels[:count]), expected[:count], atol=1e-5)
    softer = with_temperature(expected, TEMPERATURE)
    assert np.abs(softer - expected).max() > 0.01
    np.testing.assert_allclose(calibrated.probabilities(jpeg_pixels), softer, atol=1e-5)
    logits, own = calibrated.model.answer(jpeg_pixels)
    np.testing.assert_allclose(own, softmax(logits / TEMPERATURE), atol=1e-5)
    assert (plain.class_names, plain.image_shape, plain.resize) == (trained.class_names, (32, 32, 3), "crop")
    assert plain.metadata.run == run.name
    assert (
        plain.metadata.model_sha256
        == json.loads((run.exports / name / "certificate.json").read_text())["trained"]["files"]["model.keras"][
            "sha256"
        ]
    )


@each_format
def test_predict_prints_the_same_of_a_file_as_of_the_run(exported, jpegs, kcnn, name):
    run, _ = exported
    opened(run, name)
    for options in ((), ("--calibrated",)):
        answers = []
        for path in (run.path, run.exports / name):
            code, out, err = kcnn("predict", path, jpegs / "red", "--json", "--top", 4, *options)
            assert code == 0, err
            answers.append(json.loads(out)["predictions"])
        assert err == ""
        for ours, theirs in zip(*answers, strict=True):
            assert ours["image"] == theirs["image"]
            assert [one["label"] for one in ours["top"]] == [one["label"] for one in theirs["top"]]
            for one, other in zip(ours["top"], theirs["top"], strict=True):
                assert other["probability"] == pytest.approx(one["probability"], abs=1e-5)


@pytest.mark.parametrize("name", ["onnx", "litert", "openvino"])
def test_a_file_is_answered_without_keras_and_frameworks(exported, jpegs, name):
    run, _ = exported
    path = run.exports / name / FORMATS.get(name).FILE
    code = (
        "import sys\nfrom kcnn.cli import main\n"
        f"try:\n    main(['predict', {str(path)!r}, {str(jpegs / 'red')!r}])\n"
        "except SystemExit as error:\n    assert not error.code, error.code\n"
        "heavy = {'keras', 'torch', 'jax', 'tensorflow', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not sys.modules.get('openvino_telemetry'), 'usage is told to a server'\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_signal_is_handled_after_files_were_closed_in_any_order(exported):
    """OpenVINO's own stack for signals was once unmapped while it was in use."""
    path = exported[0].exports / "openvino" / FORMATS.get("openvino").FILE
    code = (
        "import gc, signal\nfrom kcnn.formats.openvino import OpenVino\n"
        f"first = OpenVino({str(path)!r})\nsecond = OpenVino({str(path)!r})\n"
        "del first\ngc.collect()\ndel second\ngc.collect()\n"
        "signal.signal(signal.SIGINT, lambda *_: print('handled'))\nsignal.raise_signal(signal.SIGINT)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


@each_format
def test_a_file_holds_each_weight_once(exported, name):
    run, certificates = exported
    weights = 4 * Classifier.open(run.path).model.count_params()
    binary = {file: each["bytes"] for file, each in certificates[name].exported["files"].items() if file[-4:] != ".xml"}
    graph = 2**19 if name == "savedmodel" else 2**17  # which decodes images too
    assert 0.8 * weights < sum(binary.values()) < 1.1 * weights + graph  # batch norms are folded


def test_an_earlier_export_is_back_where_its_successor_was_not_put(tmp_path, monkeypatch):
    folder, target = tmp_path / ".onnx-new", tmp_path / "onnx"
    for each, text in ((folder, "new"), (target, "old")):
        each.mkdir()
        (each / "model.onnx").write_text(text)
    rename = Path.rename

    def interrupted(path, to):
        if path == folder:
            raise KeyboardInterrupt
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_module._take(folder, target)
    assert (target / "model.onnx").read_text() == "old"
    monkeypatch.undo()
    export_module._take(folder, target)
    assert [(path.name, (path / "model.onnx").read_text()) for path in tmp_path.iterdir()] == [("onnx", "new")]


@pytest.mark.parametrize("number", ["nan", "inf"])
def test_a_budget_that_is_no_number_is_a_mistake(smoke_run, kcnn, number):
    code, _, err = kcnn("export", smoke_run.path, "--format", "onnx", "--quantize", "int8", "--budget", number)
    assert code == 2
    assert f"{number} is no number" in err


@pytest.mark.once
def test_certificates_are_told_as_they_come(exported, tmp_path, monkeypatch):
    """What follows one may fail."""
    run, told = copy_of(exported[0], tmp_path), []
    write = export_module._Work._write

    def breaks(work, name, file):
        if name == "torch":
            raise RunError("broken")
        write(work, name, file)

    monkeypatch.setattr(export_module._Work, "_write", breaks)
    with pytest.raises(RunError, match="broken"):
        export(run, ["onnx", "torch"], images=8, each=told.append)
    assert [one.name for one in told] == ["onnx"]
    assert told[0].holds


def test_a_folder_that_cannot_be_written_to_is_one_line(smoke_run, tmp_path):
    run = copy_of(smoke_run, tmp_path)
    run.exports.write_text("")
    with pytest.raises(RunError, match=r"Cannot write to .*exports"):
        export(run, ["onnx"])


def test_an_export_that_fails_leaves_no_empty_folder(smoke_run, tmp_path):
    run = copy_of(smoke_run, tmp_path)
    with pytest.raises(DataNotFoundError):
        export(run, ["onnx"], data_path=tmp_path / "nowhere")
    assert not run.exports.exists()


@pytest.mark.once
def test_what_a_killed_export_left_is_tidied(exported, tmp_path):
    run = copy_of(exported[0], tmp_path)
    (run.exports / "onnx").rename(run.exports / ".onnx-abc_d123-old")  # killed before the new one took its name
    (run.exports / ".onnx-abc_d123").mkdir()
    (run.exports / ".savedmodel-xyz").mkdir()
    (run.exports / ".litert-refused-abc-old").mkdir()
    before = sorted(path.name for path in (run.exports / ".onnx-abc_d123-old").iterdir())
    with pytest.raises(DataNotFoundError):
        export(run, ["torch"], data_path=tmp_path / "nowhere")
    assert sorted(path.name for path in run.exports.iterdir()) == sorted([*FORMATS.names(), "litert-refused"])
    assert sorted(path.name for path in (run.exports / "onnx").iterdir()) == before


@pytest.mark.once
def test_two_exports_of_a_run_do_not_meet(smoke_run, tmp_path):
    run = copy_of(smoke_run, tmp_path)
    run.exports.mkdir()
    with alone(run.exports, ""):
        with pytest.raises(RunError, match="Another process is writing to"):
            export(run, ["torch"])
        assert run.exports.exists()


@pytest.mark.once
def test_where_there_are_no_locks_nothing_is_tidied_that_another_export_may_write(smoke_run, tmp_path, monkeypatch):
    run = copy_of(smoke_run, tmp_path)
    others = run.exports / ".onnx-abc"
    others.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr("kcnn.files.fcntl", None)
        export(run, ["torch"], images=8)
    assert others.is_dir()
    export(run, ["torch"], images=8)
    assert not others.exists()


@pytest.mark.once
def test_a_changed_file_is_known_from_within_its_folder(exported, tmp_path, monkeypatch):
    run = copy_of(exported[0], tmp_path)
    folder = run.exports / "savedmodel" / "1"
    monkeypatch.chdir(folder)
    assert found(".") == ("savedmodel", Path("."))
    with (folder / "saved_model.pb").open("ab") as file:
        file.write(b"x")
    with pytest.raises(RunError, match="was changed"):
        Exported.open(".")


def test_a_file_without_an_ending_is_no_export(tmp_path):
    (tmp_path / "mine").touch()
    assert found(tmp_path / "mine") is None


def test_a_damaged_temperature_is_not_taken_for_none(smoke_run, tmp_path):
    run = copy_of(smoke_run, tmp_path)
    run.calibration.write_text("[]")
    with pytest.raises(UsageError, match=r"calibration\.json is damaged"):
        export(run, ["torch"], images=8)
    assert not run.exports.exists()


@each_format
def test_a_damaged_file_is_one_line(exported, jpegs, tmp_path, kcnn, name, caplog):
    run, _ = exported
    opened(run, name)  # or skip
    folder = shutil.copytree(run.exports / name, tmp_path / "damaged")
    (folder / "certificate.json").unlink()
    file = folder / FORMATS.get(name).FILE
    (graph := file / "saved_model.pb" if file.is_dir() else file).write_bytes(graph.read_bytes()[:-1000])
    code, _, err = kcnn("predict", file, jpegs)
    assert code == 2
    assert err.count("\n") == 1
    assert err.startswith(f"Error: {file} ")
    assert "core.cpp" not in err
    assert not caplog.records


# ---------------------------------------------------------------- other architectures


@pytest.mark.parametrize("model", ["resnet20", "efficientnet_b0"])
def test_other_architectures_on_the_backend_that_writes(model, jpegs, tmp_path, backend_name):
    """In this process, which has only the backend it runs on; the slow suite has every cell with its certificate."""
    formats = [name for name in FORMATS.names() if backend_name == FORMATS.get(name).WRITTEN_ON]
    formats = formats[: 1 if model == "efficientnet_b0" else None]  # which takes its time
    if not formats:
        pytest.skip(f"nothing is written on {backend_name}")
    from kcnn.explain.network import TakenApart
    from kcnn.formats._folded import folded
    from kcnn.formats.metadata import Metadata

    run = made_run(tmp_path, model, jpegs)
    trained = Classifier.open(run.path)
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), "uint8")
    expected = trained.probabilities(images)
    metadata = Metadata(trained.class_names, (32, 32, 3), "crop", 1.0, None, model, "0", "0")
    for name in formats:
        path = tmp_path / name / FORMATS.get(name).FILE
        path.parent.mkdir()
        FORMATS.get(name).write(folded(TakenApart(trained.model).logits_model), path, metadata)
        for count in (1, 7):
            answered = Exported(FORMATS.get(name)(path)).probabilities(images[:count])
            np.testing.assert_allclose(answered, expected[:count], atol=1e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["resnet20", "efficientnet_b0"])
def test_every_cell_is_certified(model, jpegs, tmp_path):
    run = made_run(tmp_path, model, jpegs)
    for certificate in export(run, FORMATS.names()):
        assert certificate.holds, (certificate.format, certificate.complaints)


# ---------------------------------------------------------------- mistakes


def test_what_is_not_offered_is_told_before_any_work(smoke_run, kcnn):
    code, _, err = kcnn("export", smoke_run.path, "--format", "savedmodel", "--quantize", "int8")
    assert code == 2
    assert "int8 is not offered for savedmodel. It is for: onnx, litert, openvino." in err
    code, _, err = kcnn("export", smoke_run.path, "--format", "onx")
    assert code == 2
    assert not smoke_run.exports.exists()


def test_what_is_not_installed_is_told_with_its_command(smoke_run, monkeypatch):
    monkeypatch.setattr(export_module, "missing", lambda modules: [name for name in modules if name == "onnxscript"])
    with pytest.raises(UsageError, match=r"takes onnxscript.*: pip install onnxscript"):
        export(smoke_run, ["onnx"])
