"""Files that answer otherwise than their run are refused and not kept."""

import contextlib
import json
import shutil

import numpy as np
import pytest
from copied_runs import copy_of

from kcnn.workflows import export as export_module


def changed_constants(model):
    from onnx import numpy_helper

    weight = max(model.graph.initializer, key=lambda one: np.prod(one.dims))
    values = numpy_helper.to_array(weight)
    weight.CopyFrom(numpy_helper.from_array((values * 1.05).astype(values.dtype), weight.name))


def swapped_channels(model):
    from onnx import helper, numpy_helper

    order = numpy_helper.from_array(np.array([2, 1, 0]), "order")
    model.graph.initializer.append(order)
    _read_instead(model, "pixels", "swapped")
    model.graph.node.insert(0, helper.make_node("Gather", ["pixels", "order"], ["swapped"], axis=3))


def missing_normalisation(model):
    """Let what reads the output of the first sum, where the offset is added, read the pixels."""
    nodes = list(model.graph.node)
    cast = next(node for node in nodes if node.op_type == "Cast")
    offset = next(node for node in nodes if node.op_type == "Add")
    _read_instead(model, offset.output[0], cast.output[0])


def _read_instead(model, before, after):
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == before:
                node.input[place] = after


@pytest.fixture(scope="module")
def broken(exported, backend_name, tmp_path_factory):
    """Return `broken(change)`: an export as ONNX, with `change` made to the file before it is measured."""
    import onnx

    class Broken(export_module._Work):
        def _write(self, name, file):
            super()._write(name, file)
            model = onnx.load(file)
            self.change(model)
            onnx.save(model, file)

    run = copy_of(exported[0], tmp_path_factory.mktemp("broken"))
    shutil.rmtree(run.exports)
    with contextlib.ExitStack() as stack:
        folder = tmp_path_factory.mktemp("work")
        work = Broken(run, backend_name, None, 1.0, [], folder, stack, lambda what: None)  # whose processes are shared
        work.load(None, 40)

        def export_broken(change):
            work.change = change
            return run, work.export("onnx")

        yield export_broken


@pytest.mark.parametrize("change", [changed_constants, swapped_channels, missing_normalisation])
def test_a_broken_file_is_refused_and_not_kept(broken, change):
    run, certificate = broken(change)
    assert not certificate.holds
    assert "A probability differs by" in certificate.complaints[0]
    assert [path.name for path in run.exports.iterdir()] == ["onnx-refused"]
    left = run.exports / "onnx-refused"
    assert sorted(path.name for path in left.iterdir()) == ["certificate.html", "certificate.json"]
    assert json.loads((left / "certificate.json").read_text())["holds"] is False
    assert "Refused" in (left / "certificate.html").read_text()


def test_an_untouched_file_is_not_refused_and_clears_the_refusal(broken):
    run, certificate = broken(lambda model: None)
    assert certificate.holds
    assert [path.name for path in run.exports.iterdir()] == ["onnx"]


def test_the_command_fails_where_a_file_is_refused(exported, kcnn, monkeypatch, tmp_path):
    run = copy_of(exported[0], tmp_path)
    before = (run.exports / "onnx" / "model.onnx").read_bytes()
    monkeypatch.setattr(export_module, "complaints", lambda *args, **kwargs: ["It was made up."])
    code, out, err = kcnn("export", run.path, "--format", "onnx", "--images", 4, "--json")
    assert code == 1
    assert "onnx is refused. It was made up." in err
    assert json.loads(out)["certificates"][0]["complaints"] == ["It was made up."]
    assert (run.exports / "onnx" / "model.onnx").read_bytes() == before  # with its own certificate, which holds
    assert (run.exports / "onnx-refused" / "certificate.json").is_file()
