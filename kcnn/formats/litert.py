"""LiteRT, which was TensorFlow Lite: one file for phones, small boards and processors."""

import tempfile
import zipfile
from pathlib import Path

import numpy as np

from kcnn.backend import stderr_silenced
from kcnn.data.decode import cores
from kcnn.formats.metadata import INPUT, KEY, OUTPUTS, Metadata

SIGNATURE = "serving_default"
PLACE = f"{KEY}.json"  # of the metadata in the archive at the end of the file
LABELS = "labels.txt"


class LiteRT:
    """A .tflite file, answered by the LiteRT interpreter."""

    FILE = "model.tflite"
    SUFFIX = ".tflite"
    WRITTEN_ON = "tensorflow"
    RUNTIME = ("ai_edge_litert",)
    WRITING = ()
    QUANTIZATIONS = {"int8": (), "float16": ()}

    def __init__(self, path):
        from ai_edge_litert.interpreter import Interpreter

        self.metadata = Metadata.from_json(_text(path), path)
        with stderr_silenced():  # it says that it found its own kernels
            self._interpreter = Interpreter(str(path), num_threads=cores())
            self._run = self._interpreter.get_signature_runner(SIGNATURE)
            self.answer(np.zeros((1, *self.metadata.image_shape), "uint8"))  # when it does so

    def answer(self, pixels):
        found = self._run(**{INPUT: pixels})
        return tuple(found[name] for name in OUTPUTS)

    @staticmethod
    def write(network, path, metadata, *, quantize=None, calibration=None):
        import tensorflow as tf

        from kcnn.formats.savedmodel import save

        with tempfile.TemporaryDirectory(prefix="kcnn-litert-") as folder:
            save(network, folder, metadata, encoded=False)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
            if quantize:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if quantize == "float16":
                converter.target_spec.supported_types = [tf.float16]
            content = _to_int8(converter, calibration) if quantize == "int8" else converter.convert()
        Path(path).write_bytes(content)
        # Where LiteRT looks for files that belong to a model: an archive behind it, which `unzip` opens.
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(PLACE, metadata.as_json())
            archive.writestr(LABELS, "".join(f"{name}\n" for name in metadata.class_names))


def _text(path):
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(PLACE)
    except (OSError, KeyError, zipfile.BadZipFile):
        return None


def _to_int8(converter, calibration):
    import tensorflow as tf

    def images():
        for image in calibration:
            yield {INPUT: image[None]}

    converter.representative_dataset = images
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=["SOFTMAX"])
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=images, debug_options=options
    )
    return debugger.get_nondebug_quantized_model()
