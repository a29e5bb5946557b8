"""What the routes call: images in, answers out, within the limits."""

import asyncio
import base64
import contextlib
import io
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from kcnn.data.decode import cores
from kcnn.errors import ImageError, KcnnError
from kcnn.explain.pictures import overlay, veil
from kcnn.registry import did_you_mean
from kcnn.serving.batcher import Batcher
from kcnn.serving.metrics import Metrics
from kcnn.serving.received import pixels_of
from kcnn.serving.refused import Refused
from kcnn.serving.region import seen

EXPLAINING = 16  # heatmaps that may wait; one takes as long as some predictions


@dataclass(frozen=True)
class Served:
    """What is served.

    Attributes:
        name: Of the run or file.
        runtime: What computes, in words.
        opened: What `kcnn.opened.open_model` returned.
        answerer: An `Answerer` of it.
        calibrated: Whether probabilities are at the run's temperature.
        explainer: An `Explainer`, or None.
        no_explainer: Why there is none, in a sentence.
        shared: Whether explaining uses the same model, and has to take turns with answering.
    """

    name: str
    runtime: str
    opened: object
    answerer: object
    calibrated: bool = False
    explainer: object = None
    no_explainer: str | None = None
    shared: bool = True


class Service:
    """Answers requests about one model.

    Args:
        served: The `Served`.
        limits: The `Limits`.
        most: Images in a batch.
        window: Seconds that the first of a batch waits for others.
    """

    def __init__(self, served, limits, *, most, window):
        self.served = served
        self.limits = limits
        self.metrics = Metrics()
        self.stopping = False
        self.warm = asyncio.Event()
        self.failure = None
        self.connections = lambda: math.inf  # that are open; the server knows better
        self._asking = 0  # requests with images
        self._decoding = ThreadPoolExecutor(cores(), "decoding")
        self._model = ThreadPoolExecutor(1, "model")
        self._second = self._model if served.shared else ThreadPoolExecutor(1, "explaining")
        self._answers = Batcher(
            served.answerer,
            self._model,
            most=most,
            window=window,
            waiting=limits.waiting,
            alone=lambda: self._asking >= self.connections(),
            told=self.metrics.batch,
        )
        self._maps = Batcher(served.explainer, self._second, most=1, window=0, waiting=EXPLAINING)
        self.metrics.model.info({"name": served.name, "runtime": served.runtime})
        self.metrics.waiting.set_function(lambda: self._answers.taken)
        self.metrics.ready.set_function(lambda: self.ready)

    # ------------------------------------------------------------ life

    @contextlib.asynccontextmanager
    async def running(self, _app):
        """Hold what works in the background; the model warms up meanwhile."""
        tasks = [asyncio.create_task(work) for work in (self._answers.run(), self._maps.run(), self._warm_up())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for pool in (self._decoding, self._model, self._second):
                pool.shutdown(cancel_futures=True)

    @property
    def ready(self):
        """Whether a request is answered at full speed."""
        return self.warm.is_set() and not self.failure and not self.stopping

    async def _warm_up(self):
        try:
            await asyncio.get_running_loop().run_in_executor(self._model, self.served.answerer.warm_up)
        except Exception as error:  # whoever started the service raises it
            self.failure = error
        self.warm.set()

    # ------------------------------------------------------------ answers

    async def predict(self, received, top):
        """Return an answer for each `Received` image: plain values, in their order.

        Raises:
            Refused: The server is busy, or none of the images can be read.
        """
        with self._asked(), self._answers.places(len(received)):
            async with self._timely():
                found = await asyncio.gather(*(self._predict_one(one, top) for one in received))
        if all("error" in one for one in found):
            raise Refused(422, "image", " ".join(one["error"] for one in found))
        return found

    async def explain(self, received, class_name, method, *, picture=False):
        """Return the heatmap of one `Received` image, as plain values, or as the bytes of a PNG with the image below.

        Raises:
            Refused: The server is busy, cannot explain, knows no such class, or cannot read the image.
        """
        if self.served.explainer is None:
            raise Refused(501, "explain", self.served.no_explainer)
        wanted = None if class_name is None else self._class_number(class_name)
        with self._asked(), self._maps.places(1):
            async with self._timely():
                with self._answers.places(1):  # while no question is asked, they make batches wait for one
                    try:
                        pixels, size = await self._read(received)
                    except ImageError as error:
                        raise Refused(422, "image", _sentence(received, error)) from error
                    probabilities = await self._answers.ask(pixels)
                predicted = int(np.argmax(probabilities))
                number = predicted if wanted is None else wanted
                try:
                    heat = await self._maps.ask((pixels, number, method))
                except KcnnError as error:
                    raise Refused(501, "explain", f"This model cannot be explained. {error}") from error
                if picture:
                    return await self._in_thread(_png, overlay, pixels, heat)
                png = await self._in_thread(_png, veil, heat)
        names = self.served.opened.class_names
        return {
            "image": received.name,
            "method": method,
            "label": names[number],
            "probability": float(probabilities[number]),
            "predicted": names[predicted],
            "heatmap": "data:image/png;base64," + base64.b64encode(png).decode(),
            "region": seen(size, self.served.opened.image_shape, self.served.opened.resize),
        }

    async def _predict_one(self, one, top):
        try:
            pixels, _ = await self._read(one)
        except ImageError as error:
            return {"image": one.name, "error": _sentence(one, error)}
        probabilities = await self._answers.ask(pixels)
        order = np.argsort(-probabilities, kind="stable")[:top]
        names = self.served.opened.class_names
        best = [{"label": names[k], "probability": float(probabilities[k])} for k in order]
        return {"image": one.name, **best[0], "top": best}

    async def _read(self, one):
        opened = self.served.opened
        try:
            found = await self._in_thread(pixels_of, one, opened.image_shape, opened.resize, self.limits.pixels)
        except ImageError:
            self.metrics.images.labels("unreadable").inc()
            raise
        self.metrics.images.labels("read").inc()
        return found

    @contextlib.contextmanager
    def _asked(self):
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1

    def _in_thread(self, function, *arguments):
        return asyncio.get_running_loop().run_in_executor(self._decoding, function, *arguments)

    def _class_number(self, name):
        names = self.served.opened.class_names
        if name not in names:
            raise Refused(400, "form", f"The model knows no class {name!r}.{did_you_mean(name, names)}")
        return names.index(name)

    @contextlib.asynccontextmanager
    async def _timely(self):
        try:
            async with asyncio.timeout(self.limits.seconds):
                yield
        except TimeoutError as error:
            words = f"The answer was not ready within {self.limits.seconds:g} s."
            raise Refused(503, "late", words, {"Retry-After": "5"}) from error


def _sentence(one, error):
    return f"Cannot read {one.name}: {error}."


def _png(draw, *arguments):
    file = io.BytesIO()
    draw(*arguments).save(file, "PNG")
    return file.getvalue()
