"""Gone on with to the same bytes after any kind of end; and what is refused, lest answers be mixed or lost."""

import dataclasses
import fcntl
import os
import signal
import subprocess
import sys

import keras
import pytest
from archives import pack
from stopping import stopping

from kcnn.data.named import named_images
from kcnn.errors import Interrupted, RunError, UsageError
from kcnn.workflows import _partial
from kcnn.workflows.predict_to_file import predict_to_file


@pytest.mark.parametrize(("form", "archive"), [("csv", False), ("jsonl", True)], ids=["folder", "archive"])
def test_a_call_that_was_stopped_after_any_batch_ends_with_the_same_bytes(form, archive, write, images, tmp_path):
    paths = [pack(images, tmp_path / "images.tar.gz")] if archive else [images]
    whole, path = tmp_path / f"whole.{form}", tmp_path / f"answers.{form}"
    write(whole, paths=paths, threshold=0.5)
    for count in range(1, 7):
        with pytest.raises(Interrupted, match=r"Go on with: again"):
            write(path, paths=paths, threshold=0.5, watch=stopping(count))
        assert not path.exists()
        part = tmp_path / f"{path.name}.part"
        assert whole.read_bytes().startswith(part.read_bytes())
        with part.open("ab") as file:
            file.write(b'{"image": "torn')
        assert write(path, paths=paths, threshold=0.5, resume=True) == (22, 2)
        assert path.read_bytes() == whole.read_bytes()
        assert not list(tmp_path.glob("*.part*"))
        path.unlink()


def test_stopped_at_every_batch(write, tmp_path):
    write(tmp_path / "whole.jsonl")
    path = tmp_path / "answers.jsonl"
    answered = []
    for _ in range(6):
        with pytest.raises(Interrupted):
            write(path, resume=True, watch=lambda found: (answered.extend(found), stopping(1)(found)))
    assert write(path, resume=True, watch=answered.extend) == (22, 2)
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert len({one.image for one in answered}) == len(answered) == 22  # none was answered twice


KILLED = {
    "half of a batch is written": """
def append(self, data, predictions):
    if self.note.images >= 8:
        self._file.write(data[:len(data) // 2]); self._file.flush(); die()
    return appended(self, data, predictions)
_partial.Partial.append = append
""",
    "a batch is written, and its note has no name yet": """
def keep(self):
    if self.note.images >= 12:
        fsync, calls = os.fsync, []
        os.fsync = lambda handle: fsync(handle) if not calls.append(1) and len(calls) < 2 else die()
    kept(self)
_partial.Partial.keep = keep
""",
}


CHILD = """
import os, signal
from kcnn.workflows import _answers, _partial
_answers.BATCH, _partial.SECONDS = 4, 0
appended, kept = _partial.Partial.append, _partial.Partial.keep

def die():
    os.kill(os.getpid(), signal.SIGKILL)
{moment}
from kcnn.cli import main
main()
"""


def test_kill_9(smoke_run, images, write, tmp_path, backend_name):
    path = tmp_path / "answers.csv"
    write(tmp_path / "whole.csv", top=2)

    command = ["predict", smoke_run.path, images, "--output", path, "--resume", "--top", 2]
    for moment in KILLED.values():
        result = subprocess.run(
            [sys.executable, "-c", CHILD.format(moment=moment), *map(str, command)],
            capture_output=True,
            text=True,
            env={**os.environ, "KERAS_BACKEND": backend_name},
            timeout=120,
            check=False,
        )
        assert result.returncode == -signal.SIGKILL, result.stderr
        assert not path.exists()
    assert list(tmp_path.glob(".answers*"))  # the half of a note
    assert write(path, top=2, resume=True) == (22, 2)
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["answers.csv", "whole.csv"]


# ------------------------------------------------------------ what is refused


@pytest.fixture
def begun(write, tmp_path):
    """A file of which eight images are answered."""
    path = tmp_path / "answers.csv"
    with pytest.raises(Interrupted):
        write(path, watch=stopping(2))
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 2}, r"top: 3 -> 2"),
        ({"threshold": 0.5}, r"threshold: None -> 0\.5"),
        ({"tta": "flip"}, r"tta: None -> flip"),
        ({"form": "jsonl"}, r"form: csv -> jsonl"),
        ({"embeddings": True}, r"embeddings: False -> True"),
    ],
)
def test_other_options_are_refused_and_nothing_is_changed(begun, write, options, message):
    before = begun.with_name("answers.csv.part").read_bytes()
    with pytest.raises(UsageError, match=message):
        write(begun, resume=True, **options)
    assert begun.with_name("answers.csv.part").read_bytes() == before
    assert write(begun, resume=True) == (22, 2)


def test_another_temperature_or_backend_is_refused(begun, write, model, smoke_run, images, monkeypatch):
    soft = dataclasses.replace(model, temperature=2.0)
    with pytest.raises(UsageError, match=r"temperature: 1\.0 -> 2\.0"):
        predict_to_file(
            soft,
            named_images([images])[0],
            begun,
            form="csv",
            source=smoke_run.path,
            command="again",
            resume=True,
            top=3,
        )
    monkeypatch.setattr(keras.config, "backend", lambda: "another")
    with pytest.raises(UsageError, match=r"backend: .* -> another"):
        write(begun, resume=True)


def test_another_model_is_refused(begun, model, smoke_run, images, tmp_path):
    other = smoke_run.model.read_bytes()
    (tmp_path / "other.keras").write_bytes(other + b"\0")
    with pytest.raises(UsageError, match="model: "):
        predict_to_file(
            model, named_images([images])[0], begun, form="csv", source=tmp_path / "other.keras", resume=True, top=3
        )


def test_an_export_below_saved_models_counts_with_its_bytes(model, tmp_path, monkeypatch):
    from kcnn.workflows import predict_to_file as module

    monkeypatch.chdir(tmp_path)
    file = tmp_path / "saved_models" / "mine" / "exports" / "onnx" / "model.onnx"
    file.parent.mkdir(parents=True)
    (file.parent / "certificate.json").write_text("{}")
    file.write_bytes(b"one")
    before = module._digest("mine/exports/onnx", model)
    file.write_bytes(b"two")
    assert module._digest("mine/exports/onnx", model) != before


def test_other_images_are_refused(begun, write, images, digit_files):
    others = sorted(images.iterdir())
    for paths in (others[1:], [others[1], others[0], *others[2:]], others[:7]):
        with pytest.raises(UsageError, match="first 8 images are not those"):
            write(begun, paths=paths, resume=True)
    more = [*others, *sorted(digit_files.iterdir())]
    assert write(begun, paths=more, resume=True) == (62, 2)


def test_what_was_stopped_is_not_thrown_away_unasked(begun, write):
    with pytest.raises(UsageError, match=r"Go on with it by --resume, or delete it"):
        write(begun)


@pytest.mark.parametrize("resume", [True, False])
def test_another_process_at_work_is_told(begun, write, resume):
    with begun.with_name("answers.csv.part").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="Another process is writing"):
            write(begun, resume=resume)


def test_two_that_begin_at_once_do_not_spoil_each_other(write, tmp_path, monkeypatch):
    """The second sees no file, and finds it when it wants to make it."""
    path = tmp_path / "answers.csv"
    before = _partial.Partial._hold

    def begins(partial, mode):
        monkeypatch.setattr(_partial.Partial, "_hold", before)
        assert write(path) == (22, 2)
        path.rename(partial.part)  # as it is while the other one writes
        before(partial, mode)

    monkeypatch.setattr(_partial.Partial, "_hold", begins)
    with pytest.raises(RunError, match="Another process is writing"):
        write(path)
    assert path.with_name("answers.csv.part").read_text().startswith("image,rank")


def test_a_call_that_was_killed_as_it_began_is_no_obstacle(write, tmp_path):
    path = tmp_path / "answers.csv"
    path.with_name("answers.csv.part").touch()
    assert write(path) == (22, 2)
    assert os.listdir(tmp_path) == ["answers.csv"]


def test_a_note_that_outlived_its_file_goes(write, tmp_path):
    path = tmp_path / "answers.csv"
    write(path)
    path.with_name("answers.csv.part.json").write_text("{}")
    with pytest.raises(UsageError, match="whole already"):
        write(path, resume=True)
    assert os.listdir(tmp_path) == ["answers.csv"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_sigterm_ends_as_ctrl_c_does(form, write, tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / f"answers.{form}"
    with pytest.raises(Interrupted if form == "csv" else KeyboardInterrupt):
        write(path, watch=lambda predictions: signal.raise_signal(signal.SIGTERM))
    assert sorted(os.listdir(tmp_path)) == (["answers.csv.part", "answers.csv.part.json"] if form == "csv" else [])


@pytest.mark.parametrize("damage", ["note", "rows"])
def test_what_is_damaged_is_told(begun, write, damage):
    if damage == "note":
        begun.with_name("answers.csv.part.json").write_text("{")
    else:
        os.truncate(begun.with_name("answers.csv.part"), 20)
    with pytest.raises(UsageError, match="is damaged"):
        write(begun, resume=True)


def test_rows_whose_note_is_gone_are_not_thrown_away(begun, write):
    part = begun.with_name("answers.csv.part")
    before = part.read_bytes()
    begun.with_name("answers.csv.part.json").unlink()
    with pytest.raises(UsageError, match=r"answers\.csv\.part\.json is missing"):
        write(begun, resume=True)
    assert part.read_bytes() == before


def test_a_whole_file_is_replaced_but_not_resumed(write, tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text("before")
    with pytest.raises(UsageError, match="whole already"):
        write(path, resume=True)
    assert path.read_text() == "before"
    write(path)
    assert path.read_text().startswith("image,rank")
