"""ONNX: for ONNX Runtime, and for all that reads this format."""

import tempfile
import warnings
from pathlib import Path

import numpy as np

from kcnn.formats.metadata import INPUT, OUTPUTS, Metadata

OPSET = 18
CALIBRATION_BATCH = 32
LEAST_WEIGHTS = 64  # in an array, below which 16 bits save nothing


class Onnx:
    """An ONNX file, answered by ONNX Runtime."""

    FILE = "model.onnx"
    SUFFIX = ".onnx"
    WRITTEN_ON = "torch"
    RUNTIME = ("onnxruntime",)
    WRITING = ("onnx", "onnxscript")
    QUANTIZATIONS = {"int8": (), "float16": ()}

    def __init__(self, path):
        self._session = _session(path)
        self.metadata = Metadata.from_texts(self._session.get_modelmeta().custom_metadata_map, path)

    def answer(self, pixels):
        return tuple(self._session.run(list(OUTPUTS), {INPUT: pixels}))

    @staticmethod
    def write(network, path, metadata, *, quantize=None, calibration=None):
        import onnx

        with tempfile.TemporaryDirectory(prefix="kcnn-onnx-") as folder:
            plain = Path(folder) / "plain.onnx"
            simple = Path(folder) / "simple.onnx"
            _convert(network, metadata, plain)
            # What any machine may do beforehand: constants folded, norms within convolutions, swaps of axes undone.
            _session(plain, simplified=simple)
            if quantize == "int8":
                simple = _to_int8(simple, calibration, Path(folder) / "int8.onnx")
            model = onnx.load(simple)
        if quantize == "float16":
            _weights_to_float16(model)
        _tidy(model)
        model.doc_string = f"{metadata.run}, exported by kcnn {metadata.version}"
        onnx.helper.set_model_props(model, metadata.as_texts())
        onnx.checker.check_model(model)
        onnx.save(model, path)


def _session(path, simplified=None):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    if simplified:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(simplified)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _convert(network, metadata, path):
    import torch

    from kcnn.formats.torch import program

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        converted = torch.onnx.export(
            program(network, metadata),
            dynamo=True,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            verbose=False,
        )
        converted.save(str(path))


def _tidy(model):
    """Give the batch its name, and leave out the names of operators that are not used."""
    used = {node.domain for node in model.graph.node}
    for index in reversed(range(len(model.opset_import))):
        if model.opset_import[index].domain not in used:
            del model.opset_import[index]
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _to_int8(path, calibration, target):
    """Quantise weights per channel and activations, with scales from the calibration images; return the new file.

    Weights take 7 of the 8 bits: where a processor has no VNNI, two products of 8 bits overflow the 16 in which they
    are added, and the file would answer otherwise there than where it was certified.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Images(CalibrationDataReader):
        def __init__(self):
            starts = range(0, len(calibration), CALIBRATION_BATCH)
            self.batches = iter([calibration[start : start + CALIBRATION_BATCH] for start in starts])

        def get_next(self):
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    quantize_static(
        str(path),
        str(target),
        Images(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        nodes_to_exclude=_ends(path),
    )
    return target


def _ends(path):
    """Return the names of the nodes that stay as they are: before the first convolution, and the softmax."""
    import onnx

    nodes = onnx.load(path).graph.node
    first = next((index for index, node in enumerate(nodes) if node.op_type in ("Conv", "MatMul", "Gemm")), 0)
    return [node.name for node in nodes[:first]] + [node.name for node in nodes if node.op_type == "Softmax"]


def _weights_to_float16(model):
    """Keep large weights in 16 bits, each behind a cast to 32, which a runtime folds when it opens the file."""
    import onnx
    from onnx import TensorProto, numpy_helper

    casts = []
    for index, weight in enumerate(model.graph.initializer):
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < LEAST_WEIGHTS:
            continue
        name = weight.name
        values = numpy_helper.to_array(weight).astype("float16")
        model.graph.initializer[index].CopyFrom(numpy_helper.from_array(values, f"{name}_float16"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}_float16"], [name], f"{name}_cast", to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
