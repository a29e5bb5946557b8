"""Files of predictions: whole or not at all, and gone on with to the same bytes after any kind of end."""

import csv
import dataclasses
import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from archives import pack

from kcnn.classifier import Classifier
from kcnn.data.named import named_images
from kcnn.errors import Interrupted, RunError, UsageError
from kcnn.workflows import _answers, _partial, _rows
from kcnn.workflows.predict import Prediction, predict, predict_batches
from kcnn.workflows.predict_to_file import predict_to_file

FORMS = pytest.mark.parametrize("form", ["csv", "jsonl", "json", "parquet"])


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(_answers, "BATCH", 4)
    monkeypatch.setattr(_partial, "SECONDS", 0)


@pytest.fixture(scope="module")
def model(smoke_run):
    return Classifier.open(smoke_run.path)


@pytest.fixture(scope="module")
def images(digit_files, tmp_path_factory):
    """Twenty-two images, of which two cannot be read."""
    folder = tmp_path_factory.mktemp("some")
    for index, file in enumerate(sorted(digit_files.iterdir())[:22]):
        (folder / file.name).write_bytes(b"bad" if index in (3, 13) else file.read_bytes())
    return folder


@pytest.fixture
def write(model, images, smoke_run, tmp_path):
    """Return a function that writes predictions for the images."""

    def call(path, *, paths=(images,), form=None, **options):
        about = {"form": form or path.suffix[1:], "source": smoke_run.path, "command": "again"}
        return predict_to_file(model, named_images(paths)[0], path, **about, **{"top": 3, **options})

    return call


def stopping(count, error=KeyboardInterrupt):
    """Return what a watch does that stops the work after so many batches."""
    seen = []

    def watch(predictions):
        seen.append(predictions)
        if len(seen) == count:
            raise error

    return watch


# ------------------------------------------------------------ what a file holds


@FORMS
def test_every_image_is_in_the_file_as_predict_gives_it(form, write, model, images, tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / f"answers.{form}"
    options = {"threshold": 0.9, "top": 2}
    if form != "csv":
        options["embeddings"] = True
    assert write(path, **options) == (22, 2)
    expected = [one.as_json() for one in predict(model, named_images([images])[0], **options)]
    assert {one.get("known") for one in expected} == {True, False, None}
    assert read(path) == ([one for one in expected if "error" not in one] if form == "csv" else expected)
    assert list(tmp_path.iterdir()) == [path]


def read(path):
    """Return the predictions in a file as `Prediction.as_json` gives them."""
    if path.suffix == ".json":
        text = path.read_text()
        found = json.loads(text)
        assert text == json.dumps(found, indent=2, ensure_ascii=False) + "\n"
        return approximate(found["predictions"])
    if path.suffix == ".jsonl":
        return approximate(map(json.loads, path.read_text().splitlines()))
    if path.suffix == ".csv":
        return from_csv(path)
    from pyarrow import parquet

    rows = parquet.read_table(path).to_pylist()
    return approximate([{key: value for key, value in row.items() if value is not None} for row in rows])


def approximate(rows):
    return [Approximately(row) for row in rows]


class Approximately(dict):
    """Equal to a dictionary with the same words and, to float32, the same numbers."""

    def __eq__(self, other):
        return same(dict(self), other)

    __hash__ = None


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == pytest.approx(other, abs=1e-5) if isinstance(one, float) else one == other


def from_csv(path):
    found = {}
    for row in csv.DictReader(path.read_text().splitlines()):
        found.setdefault(row["image"], []).append(row)
    predictions = []
    for image, rows in found.items():
        assert [row["rank"] for row in rows] == [str(rank + 1) for rank in range(len(rows))]
        known = rows[0]["known"] == "true"
        assert len(rows) == (2 if known else 1)
        predictions.append(CsvPrediction(image, known, [(row["label"], float(row["probability"])) for row in rows]))
    return predictions


class CsvPrediction:
    """Equal to the JSON of a prediction that says the same; an image that is not known has one row."""

    def __init__(self, image, known, rows):
        self.image, self.known, self.rows = image, known, rows

    def __eq__(self, other):
        top = [(row["label"], row["probability"]) for row in other["top"]]
        expected = top if self.known else [("unknown", other["probability"])]
        same_rows = all(a[0] == b[0] and abs(a[1] - b[1]) < 2e-5 for a, b in zip(self.rows, expected, strict=True))
        return self.image == other["image"] and self.known == other["known"] and same_rows

    __hash__ = None


def test_json_numbers_hold_all_bits_of_an_embedding():
    values = np.random.default_rng(0).normal(size=1000).astype("float32")
    one = Prediction("a.png", (("a", 1.0),), embedding=values)
    found = json.loads(_rows.JsonLines().rows([one]))["embedding"]
    np.testing.assert_array_equal(np.array(found, "float32"), values)


@FORMS
def test_no_images_make_a_whole_file(form, write, tmp_path, model, smoke_run):
    pytest.importorskip("pyarrow")
    path = tmp_path / f"answers.{form}"
    assert predict_to_file(model, iter([]), path, form=form, source=smoke_run.path) == (0, 0)
    assert read(path) == []


def test_a_name_that_is_no_utf8(write, images, tmp_path):
    pytest.importorskip("pyarrow")
    odd = os.fsdecode(os.fsencode(tmp_path / "odd") + b"\xe9,.png")
    Path(odd).write_bytes(next(images.glob("0_*.png")).read_bytes())
    for form in ("csv", "jsonl", "json", "parquet"):
        assert write(tmp_path / f"answers.{form}", paths=[odd]) == (1, 0)
    assert b'odd\xe9,.png",1,' in (tmp_path / "answers.csv").read_bytes()
    assert json.loads((tmp_path / "answers.jsonl").read_text())["image"] == odd
    assert read(tmp_path / "answers.parquet")[0]["image"].endswith("odd\N{REPLACEMENT CHARACTER},.png")


def test_a_parquet_file_has_groups_of_rows(write, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(_rows, "ROWS", 10)
    write(tmp_path / "answers.parquet")
    assert parquet.ParquetFile(tmp_path / "answers.parquet").metadata.num_row_groups == 3


# ------------------------------------------------------------ stopped and gone on with


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


def test_paths_are_images_too(model, images, smoke_run, tmp_path):
    paths, about = sorted(images.iterdir()), {"form": "csv", "source": smoke_run.path}
    assert predict_to_file(model, map(str, paths), tmp_path / "whole.csv", **about) == (22, 2)
    with pytest.raises(Interrupted):
        predict_to_file(model, paths, tmp_path / "parts.csv", watch=stopping(2), **about)
    assert predict_to_file(model, paths, tmp_path / "parts.csv", resume=True, **about) == (22, 2)
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_whole_file_is_replaced_but_not_resumed(write, tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text("before")
    with pytest.raises(UsageError, match="whole already"):
        write(path, resume=True)
    assert path.read_text() == "before"
    write(path)
    assert path.read_text().startswith("image,rank")


@FORMS
@pytest.mark.parametrize("error", [KeyboardInterrupt, UsageError("no")], ids=["interrupted", "failed"])
def test_what_ends_before_its_first_batch_leaves_nothing(form, error, model, smoke_run, tmp_path):
    pytest.importorskip("pyarrow")

    def images():
        raise error
        yield

    path = tmp_path / f"answers.{form}"
    with pytest.raises(type(error) if isinstance(error, Exception) else error):
        predict_to_file(model, images(), path, form=form, source=smoke_run.path)
    assert list(tmp_path.iterdir()) == []


def test_a_document_that_is_interrupted_leaves_nothing(write, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "answers.json", watch=stopping(2))
    assert list(tmp_path.iterdir()) == []


def test_batches_of_a_file_are_full_whatever_has_yet_to_come(write, model, images, smoke_run, tmp_path):
    def slowly():
        for one in named_images([images])[0]:
            yield from [None, one, None]

    sizes = []
    predict_to_file(
        model, slowly(), tmp_path / "a.csv", form="csv", source=smoke_run.path, watch=lambda p: sizes.append(len(p))
    )
    assert sizes == [4, 4, 4, 4, 4, 2]
    assert [len(batch) for batch in predict_batches(model, slowly())] == [1] * 22
