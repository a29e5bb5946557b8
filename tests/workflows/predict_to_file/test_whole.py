"""What a file of predictions holds: whole or not at all, whatever its form."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from stopping import stopping

from kcnn.data.named import named_images
from kcnn.errors import Interrupted, UsageError
from kcnn.workflows import _rows
from kcnn.workflows.predict import Prediction, predict, predict_batches
from kcnn.workflows.predict_to_file import predict_to_file

FORMS = pytest.mark.parametrize("form", ["csv", "jsonl", "json", "parquet"])


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


def test_paths_are_images_too(model, images, smoke_run, tmp_path):
    paths, about = sorted(images.iterdir()), {"form": "csv", "source": smoke_run.path}
    assert predict_to_file(model, map(str, paths), tmp_path / "whole.csv", **about) == (22, 2)
    with pytest.raises(Interrupted):
        predict_to_file(model, paths, tmp_path / "parts.csv", watch=stopping(2), **about)
    assert predict_to_file(model, paths, tmp_path / "parts.csv", resume=True, **about) == (22, 2)
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


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
