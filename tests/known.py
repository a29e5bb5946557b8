"""A model whose answers are written into its images, and a server around it in a thread of this process."""

import base64
import contextlib
import io
import threading
import time

import numpy as np
from PIL import Image

from kcnn.serving.answerer import Answerer
from kcnn.serving.app import create_app
from kcnn.serving.limits import Limits
from kcnn.serving.server import Server, address_of, bind
from kcnn.serving.service import Served, Service

POISON = 99  # a label that the model cannot stand


class Known:
    """Answers with the label and the number that `picture` wrote."""

    class_names = ["zero", "one", "two", "<b>three</b>"]
    image_shape = (8, 8, 3)
    resize = "crop"

    def __init__(self, seconds=0.0):
        self.seconds = seconds  # that an answer takes
        self.gate = threading.Event()  # while it is closed, nothing is answered
        self.gate.set()
        self.sizes = []

    def probabilities(self, images):
        assert self.gate.wait(30)
        time.sleep(self.seconds)
        self.sizes.append(len(images))
        labels, high, low = np.moveaxis(images[:, 0, 0].astype("int64"), -1, 0)
        if (labels == POISON).any():
            raise ValueError("poison")
        found = np.zeros((len(images), 4), "float32")
        rows = np.arange(len(images))
        found[rows, labels] = share(high * 256 + low)
        found[rows, (labels + 1) % 4] = 1 - share(high * 256 + low)
        return found


def share(number):
    """The probability of the label of picture `number`, exact in float32."""
    return 0.75 + number / 2**18


def picture(label, number=0):
    """A PNG of 8x8 equal pixels that hold a label and a number of 16 bits."""
    pixels = np.full((8, 8, 3), (label, number >> 8, number & 255), "uint8")
    return encoded(Image.fromarray(pixels))


def encoded(image, form="PNG", **options):
    """The bytes of a Pillow image."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def edges(items):
    """An explainer whose maps are bright at the class's place."""
    maps = np.zeros((len(items), 8, 8), "float32")
    for one, (_, number, _) in zip(maps, items, strict=True):
        one[number, number] = 1
    return maps


def as_json(*images):
    """A body with images in base64."""
    return {"images": [base64.b64encode(image).decode() for image in images]}


def post(client, *images, path="/v1/predict", **options):
    """Send images in a form, named by their place."""
    return client.post(path, files=[("image", (f"{n}.png", image)) for n, image in enumerate(images)], **options)


def until(condition, seconds=60):
    """Wait for what happens in the server's thread."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def serving(model, *, limits=None, most=8, window=0.002, key=None, explainer=None, shut=False):
    """Yield the address of a server and its `Service`; `shut` if the model's gate is closed."""
    why = None if explainer else "There is none."
    answerer = Answerer(model, most=most, padded=False)
    served = Served("known", "NumPy", model, answerer, explainer=explainer, no_explainer=why, shared=False)
    service = Service(served, limits or Limits(), most=most, window=window)
    listening, ready = threading.Event(), threading.Event()
    app = create_app(service, key=key)
    server = Server(app, service, access_log=False, listening=listening.set, ready=ready.set)
    bound = bind("127.0.0.1", 0)
    address = address_of(bound)
    thread = threading.Thread(target=server.run, args=([bound],))
    thread.start()
    try:
        assert listening.wait(30)
        assert shut or ready.wait(60)
        yield address, service
    finally:
        if shut:
            model.gate.set()
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()
