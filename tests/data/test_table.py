"""CSV files that list images."""

import pytest

from kcnn.data import load
from kcnn.data.folder import folder
from kcnn.errors import DataError, DataNotFoundError


@pytest.fixture
def write_table(tmp_path, write_image):
    for index in range(6):
        write_image(tmp_path, f"images/{index}.png")

    def write(text, encoding="utf-8"):
        path = tmp_path / "images.csv"
        path.write_bytes(text.encode(encoding))
        return str(path)

    return write


def test_paths_and_labels(write_table, tmp_path):
    path = write_table(f"Label, PATH\ncat,images/0.png\n\ndog,{tmp_path}/images/1.png\n", "utf-8-sig")
    source = folder(path)
    train = source.splits["train"]
    assert dict(zip(train.names, train.labels, strict=True)) == {
        "images/0.png": "cat",
        f"{tmp_path}/images/1.png": "dog",
    }


def test_splits(write_table, make_config):
    rows = ["images/0.png,a,train", "images/1.png,b,", "images/2.png,a,VAL", "images/3.png,b,test"]
    path = write_table("path,label,split\n" + "\n".join(rows))
    dataset = load(make_config(path), 0, splits=("train", "validation", "test"))
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [2, 1, 1]


def test_classes_in_natural_order(write_table, make_config):
    rows = [f"images/{index}.png,{label}" for index, label in enumerate(("10", "2", "1", "b", "A"))]
    path = write_table("path,label\n" + "\n".join(rows))
    dataset = load(make_config(path), 0)
    assert dataset.class_names == ["1", "2", "10", "A", "b"]
    assert [dataset.class_names[label] for label in dataset.train.labels] == ["10", "2", "1", "b", "A"]


@pytest.mark.parametrize(("header", "missing"), [("file,label", "path"), ("path,class", "label"), ("", "path, label")])
def test_missing_columns(write_table, header, missing):
    with pytest.raises(DataError, match=f"Missing: {missing}. Received: {header or 'an empty file'}"):
        folder(write_table(header + "\n"))


def test_no_rows(write_table):
    with pytest.raises(DataNotFoundError, match="lists no images"):
        folder(write_table("path,label\n\n"))


def test_missing_files_are_counted(write_table):
    rows = [f"gone/{index}.png,a" for index in range(5)] + ["images/0.png,b"]
    with pytest.raises(DataNotFoundError, match=r"5 of 6 images.*'gone/0.png', 'gone/1.png', 'gone/2.png' and 2 more"):
        folder(write_table("path,label\n" + "\n".join(rows)))


def test_all_mistakes_at_once(write_table):
    rows = [
        "images/0.png,a,train",
        "images/0.png,b,train",
        "images/1.png,,train",
        "images/2.png,a,holdout",
        "short",
    ]
    with pytest.raises(DataError) as caught:
        folder(write_table("path,label,split\n" + "\n".join(rows)))
    message = str(caught.value)
    assert "2 rows without a path or a label: 'line 4', 'line 6'" in message
    assert "'line 5: holdout'" in message
    assert "listed twice: 'line 3: images/0.png'" in message


@pytest.mark.parametrize("text", [b"path,label\n\xff\xfe,a\n", b'path,label\n"open,a\n'])
def test_not_a_csv_file(tmp_path, text):
    (tmp_path / "bad.csv").write_bytes(text)
    with pytest.raises(DataError, match="Cannot read"):
        folder(str(tmp_path / "bad.csv"))
