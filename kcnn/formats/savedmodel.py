"""SavedModel: what TensorFlow Serving and everything around TensorFlow reads."""

import tempfile
from pathlib import Path

from kcnn.formats.metadata import INPUT, KEY, OUTPUTS, Metadata

TAG = "serve"
SIGNATURE = "serving_default"
BYTES_SIGNATURE = "serving_bytes"
BYTES_INPUT = "image_bytes"
ASSET = f"{KEY}.json"
LABELS = "labels.txt"


class SavedModel:
    """A SavedModel folder, answered by TensorFlow."""

    FILE = "1"  # TensorFlow Serving takes the folder above, and this for the number of a version
    SUFFIX = ""
    WRITTEN_ON = "tensorflow"
    RUNTIME = ("tensorflow",)
    WRITING = ()
    QUANTIZATIONS = {}

    def __init__(self, path):
        from kcnn.backend import import_tensorflow_quietly

        text = Path(path) / "assets" / ASSET
        self.metadata = Metadata.from_json(text.read_text(encoding="utf-8") if text.is_file() else None, path)
        import_tensorflow_quietly()
        import tensorflow as tf

        self._tf = tf
        self._loaded = tf.saved_model.load(str(path), tags=[TAG])  # which its functions need
        self._functions = self._loaded.signatures

    def answer(self, pixels):
        found = self._functions[SIGNATURE](**{INPUT: self._tf.constant(pixels)})
        return tuple(found[name].numpy() for name in OUTPUTS)

    def answer_encoded(self, contents):
        """Return what `answer` does, for encoded images, a list of bytes."""
        found = self._functions[BYTES_SIGNATURE](**{BYTES_INPUT: self._tf.constant(contents)})
        return tuple(found[name].numpy() for name in OUTPUTS)

    def decode(self, contents):
        """Return the uint8 pixels (B, H, W, C) that the graph makes of encoded images, a list of bytes."""
        return self._loaded.decode(self._tf.constant(contents)).numpy()

    @staticmethod
    def write(network, path, metadata, *, quantize=None, calibration=None):
        save(network, path, metadata)


def save(network, path, metadata, *, encoded=True):
    """Write a SavedModel, with a signature for encoded images where `encoded`."""
    import tensorflow as tf

    from kcnn.formats._decode_graph import decoding
    from kcnn.formats._graph import answering

    answer = answering(network, metadata.temperature)
    module = tf.Module()
    module.weights = [variable.value for variable in network.variables]
    pixels = tf.TensorSpec((None, *metadata.image_shape), tf.uint8, name=INPUT)
    module.answer = tf.function(answer, input_signature=[pixels])
    signatures = {SIGNATURE: module.answer}
    if encoded:
        contents = tf.TensorSpec((None,), tf.string, name=BYTES_INPUT)
        module.decode = tf.function(decoding(metadata.image_shape, metadata.resize), input_signature=[contents])

        @tf.function(input_signature=[contents])
        def answer_encoded(image_bytes):
            return answer(module.decode(image_bytes))

        signatures[BYTES_SIGNATURE] = module.answer_encoded = answer_encoded
    with tempfile.TemporaryDirectory(prefix="kcnn-assets-") as folder:
        module.assets = []
        texts = {ASSET: metadata.as_json(), LABELS: "".join(f"{name}\n" for name in metadata.class_names)}
        for name, text in texts.items():
            file = Path(folder) / name
            file.write_text(text, encoding="utf-8")
            module.assets.append(tf.saved_model.Asset(str(file)))
        tf.saved_model.save(module, str(path), signatures=signatures)
