"""OpenVINO: an .xml with the graph and a .bin with the weights."""

import functools
import sys
import tempfile
from pathlib import Path

from kcnn.formats.metadata import INPUT, KEY, OUTPUTS, Metadata
from kcnn.formats.onnx import Onnx


class OpenVino:
    """An OpenVINO model, an .xml with its .bin beside it, answered by OpenVINO."""

    FILE = "model.xml"
    SUFFIX = ".xml"
    WRITTEN_ON = Onnx.WRITTEN_ON
    RUNTIME = ("openvino",)
    WRITING = (*Onnx.RUNTIME, *Onnx.WRITING)
    QUANTIZATIONS = {"int8": (), "float16": ()}

    def __init__(self, path):
        try:
            model = _core().read_model(path)
            self.metadata = Metadata.from_json(_text(model), path)
            # Left alone OpenVINO computes in 16 bits where the processor can.
            self._model = _core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except RuntimeError as error:  # whose first lines are about OpenVINO's own source
            raise ValueError(str(error).strip().rpartition("\n")[2]) from error

    def answer(self, pixels):
        found = self._model({INPUT: pixels})
        return tuple(found[name] for name in OUTPUTS)

    @staticmethod
    def write(network, path, metadata, *, quantize=None, calibration=None):
        openvino = _openvino()
        with tempfile.TemporaryDirectory(prefix="kcnn-openvino-") as folder:
            onnx = Path(folder) / Onnx.FILE
            # With the scales of int8, which OpenVINO takes as they are.
            onnx_quantize = quantize if quantize == "int8" else None
            Onnx.write(network, onnx, metadata, quantize=onnx_quantize, calibration=calibration)
            model = _core().read_model(onnx)
        model.set_rt_info(metadata.as_json(), [KEY])
        openvino.save_model(model, path, compress_to_fp16=quantize == "float16")


@functools.cache
def _core():
    """Return the one `Core` of this process.

    Its CPU plugin brings a stack for signal handlers, and puts the one before it back when it goes. Of two that go in
    the order in which they came, the second puts back what the first has unmapped, and the next signal that Python
    handles, be it Ctrl-C, is a segmentation fault.
    """
    return _openvino().Core()


def _openvino():
    """Return the package, imported without its telemetry, which would tell a server of each import."""
    sys.modules.setdefault("openvino_telemetry", None)
    import openvino

    return openvino


def _text(model):
    return model.get_rt_info([KEY]).value if model.has_rt_info([KEY]) else None
