"""The side of an export that has Keras: answers as the trained model does, and writes files."""

import os

import numpy as np

from kcnn import backend
from kcnn.errors import KcnnError
from kcnn.formats.metadata import Metadata
from kcnn.registry import FORMATS
from kcnn.workflows._child import Requests
from kcnn.workflows._speed_of_answers import time_answers

BATCH = 64


def serve():
    """Answer the requests of `kcnn.workflows.export`, the first of which names the run.

    {"run"} opens it and answers what the metadata of its files will hold.
    {"images", "out"} are the paths of a .npy of uint8 images and of the .npz for the answers to them: `logits` and
    `probabilities` of model.keras, and `calibrated`, those at the temperature.
    {"time", "batch", "seconds"} answers the seconds of each call with so many of the images in a .npy.
    {"write", "path", "metadata", "quantize", "calibration"} writes a format.
    """
    requests = Requests()
    with requests.errors_answered():
        # On the processor, as each runtime: a GPU's sums would differ, and none of its speed is to be compared.
        backend.select(os.environ["KERAS_BACKEND"], "cpu")
        trained = _Trained(next(requests)["run"])
        requests.answer(trained.facts())
        for request in requests:
            requests.answer(trained.do(request))


class _Trained:
    """A run's model."""

    def __init__(self, path):
        from kcnn.classifier import Classifier
        from kcnn.explain.network import TakenApart
        from kcnn.run import Run

        self.classifier = Classifier.open(path)
        self.network = TakenApart(self.classifier.model).logits_model
        self.temperature = Run.open(path).known_temperature()[0] or 1.0

    def facts(self):
        return {
            "class_names": self.classifier.class_names,
            "image_shape": self.classifier.image_shape,
            "resize": self.classifier.resize,
            "temperature": self.temperature,
        }

    def do(self, request):
        if "write" in request:
            return self.write(**request)
        if "time" in request:
            images = np.load(request["time"], mmap_mode="r")
            return {
                "seconds": time_answers(self.classifier.probabilities, images, request["batch"], request["seconds"])
            }
        return self.answer(**request)

    def answer(self, images, out):
        from kcnn.metrics.calibration import softmax

        images = np.load(images, mmap_mode="r")
        batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        logits = [self.network.predict_on_batch(batch.astype("float32")) for batch in batches]
        found = np.concatenate([self.classifier.probabilities(batch) for batch in batches])
        logits = np.concatenate(list(map(np.asarray, logits)))
        calibrated = found if self.temperature == 1 else softmax(logits, self.temperature)
        np.savez(out, logits=logits, probabilities=found, calibrated=calibrated)
        return {}

    def write(self, write, path, metadata, quantize, calibration):
        from kcnn.formats._folded import folded

        images = np.load(calibration) if calibration else None
        metadata = Metadata.from_json(metadata, path)
        try:
            FORMATS.get(write).write(folded(self.network), path, metadata, quantize=quantize, calibration=images)
        except KcnnError:
            raise
        except Exception as error:  # each converter has its own
            import traceback

            traceback.print_exc()  # into the log of this process
            lines = str(error).strip().splitlines() or ["it gives no reason"]
            raise KcnnError(f"this network cannot be written as {write}: {type(error).__name__}: {lines[0]}") from error
        return {}


if __name__ == "__main__":
    serve()
