"""The side of an export that has no Keras: an exported file in its own runtime."""

import os

import numpy as np

from kcnn.formats.exported import Exported
from kcnn.workflows._child import Requests
from kcnn.workflows._speed_of_answers import time_answers


def serve():
    """Answer the requests about an exported file, the first of which names it.

    {"path"} opens it.
    {"images", "counts", "out"}: a .npy of uint8 images; {size of a batch: how many images to answer in such batches,
    in their order and from the first again where there are fewer}; the .npz for `logits_SIZE` and `probabilities_SIZE`.
    {"encoded", "out"}: paths of encoded images, and the .npz for what the file itself makes of them: `pixels`,
    `probabilities`, and `of_pixels`, its probabilities of these pixels.
    {"time", "batch", "seconds"} answers the seconds of each call with so many of the images in a .npy.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    requests = Requests()
    with requests.errors_answered():
        exported = Exported.open(next(requests)["path"])
        requests.answer({})
        for request in requests:
            requests.answer(_do(exported.model, request))


def _do(model, request):
    if "encoded" in request:
        contents = [_read(path) for path in request["encoded"]]
        pixels = model.decode(contents)
        answers = {"probabilities": model.answer_encoded(contents)[1], "of_pixels": model.answer(pixels)[1]}
        np.savez(request["out"], pixels=pixels, **answers)
        return {}
    if "time" in request:
        images = np.load(request["time"], mmap_mode="r")
        return {"seconds": time_answers(model.answer, images, request["batch"], request["seconds"])}
    images = np.load(request["images"], mmap_mode="r")
    found = {}
    for batch, count in request["counts"].items():
        found[f"logits_{batch}"], found[f"probabilities_{batch}"] = _answered(model, images, int(batch), count)
    np.savez(request["out"], **found)
    return {}


def _answered(model, images, batch, count):
    positions = np.arange(count) % len(images)
    parts = [positions[start : start + batch] for start in range(0, count, batch)]
    answers = [model.answer(np.ascontiguousarray(images[part])) for part in parts]
    return tuple(np.concatenate(each) for each in zip(*answers, strict=True))


def _read(path):
    with open(path, "rb") as file:
        return file.read()


if __name__ == "__main__":
    serve()
