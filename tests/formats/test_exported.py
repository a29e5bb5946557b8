"""Exported files that are opened: by each of their names, changed, damaged, of someone else."""

import json
import shutil

import numpy as np
import pytest
from exports import each_format

from kcnn.errors import RunError
from kcnn.formats.exported import Exported, found
from kcnn.registry import FORMATS


@each_format
def test_a_file_that_was_changed_since_is_refused(exported, tmp_path, name):
    """A changed weight answers, only differently; nothing but the certificate knows."""
    folder = shutil.copytree(exported[0].exports / name, tmp_path / name)
    certified = json.loads((folder / "certificate.json").read_text())["exported"]["files"]
    largest = folder / max(certified, key=lambda file: certified[file]["bytes"])
    content = largest.read_bytes()
    middle = len(content) // 2
    largest.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    for path in (folder, folder / FORMATS.get(name).FILE):
        with pytest.raises(RunError, match=f"{largest.name} was changed: .*certificate.json is about other bytes"):
            Exported.open(path)
    largest.unlink()
    if (folder / FORMATS.get(name).FILE).exists():
        with pytest.raises(RunError, match=f"lacks .*{largest.name}"):
            Exported.open(folder)


def test_a_file_may_lie_without_its_certificate(exported, jpeg_pixels, tmp_path):
    alone = shutil.copy(exported[0].exports / "onnx" / "model.onnx", tmp_path / "mine.onnx")
    expected = Exported.open(exported[0].exports / "onnx").probabilities(jpeg_pixels)
    np.testing.assert_array_equal(Exported.open(alone).probabilities(jpeg_pixels), expected)
    (tmp_path / "certificate.json").write_text('{"exported": {"files": {"model.onnx": {"sha256": "0", "bytes": 1}}}}')
    Exported.open(alone)  # which is about a file of another name
    for text in ("{", "[]", '{"exported": []}', '{"exported": {"files": {"mine.onnx": 1}}}'):
        (tmp_path / "certificate.json").write_text(text)
        with pytest.raises(RunError, match="cannot be read as a certificate"):
            Exported.open(alone)


def test_a_file_that_is_not_what_it_says_is_refused(exported, tmp_path):
    import onnx

    model = onnx.load(exported[0].exports / "onnx" / "model.onnx")
    file = tmp_path / "other.onnx"
    for key, text, words in (
        ("class_names", '["a", "b"]', r"promises answers of shape \(1, 2\), and they have \(1, 4\)"),
        ("image_shape", "[16, 32, 3]", "cannot be read as onnx"),
    ):
        texts = {each.key: each.value for each in model.metadata_props}
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        onnx.helper.set_model_props(changed, texts | {key: text})
        onnx.save(changed, file)
        with pytest.raises(RunError, match=words):
            Exported.open(file)


def test_every_way_to_name_an_export(exported, tmp_path):
    run, _ = exported
    for name in FORMATS.names():
        file = run.exports / name / FORMATS.get(name).FILE
        assert found(run.exports / name) == (name, file)
        assert found(file) == (name, file)
    assert found(run.path) is None
    assert found(run.model) is None
    assert found(tmp_path) is None
    with pytest.raises(RunError, match="There is no file"):
        found(tmp_path / "gone.onnx")
    (tmp_path / "certificate.json").write_text("{}")
    with pytest.raises(RunError, match="refused"):
        found(tmp_path)


def test_options_for_backends_do_not_go_with_a_file(exported, jpegs, kcnn):
    run, _ = exported
    code, _, err = kcnn("predict", run.exports / "onnx", jpegs, "--backend", "torch")
    assert code == 2
    assert "runtime of its own" in err


def test_a_file_of_someone_else_is_told_in_one_line(tmp_path, kcnn, jpegs):
    from onnx import TensorProto, helper, save

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [value],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    path = tmp_path / "other.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    code, _, err = kcnn("predict", path, jpegs)
    assert code == 2
    assert "does not say which labels" in err
    for name, content in (("x.onnx", b"no"), ("x.tflite", b"no"), ("x.xml", b"no"), ("x.pt2", b"no")):
        (tmp_path / name).write_bytes(content)
        code, _, err = kcnn("predict", tmp_path / name, jpegs)
        assert code == 2
        assert err.startswith("Error: ")
        assert err.count("\n") == 1
