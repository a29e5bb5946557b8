"""Requests that come together are answered together, by one thread that owns the model."""

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from kcnn.serving.refused import busy


@dataclass(frozen=True)
class Question:
    """One item that waits for its answer, and since when."""

    item: Any
    answer: asyncio.Future
    since: float


class Batcher:
    """Gathers what is asked for one by one, and answers it in batches.

    The first of a batch waits `window` seconds for others at most, and not at all where nobody else is there; while
    the model works they gather by themselves.
    All of it but `work` happens in the event loop, so nothing is locked.

    Args:
        work: Called in `thread` with a list of items; returns a list of answers in the same order.
        thread: An executor with one thread.
        most: Items in a batch; 1 answers each by itself.
        window: Seconds.
        waiting: Places for what is accepted and not answered yet.
        alone: Returns whether all who could ask have asked; called while a batch gathers.
        told: Called as `(items, seconds)` after each batch.
    """

    def __init__(self, work, thread, *, most, window, waiting, alone=lambda: False, told=None):
        self.most = most
        self.window = window
        self.waiting = waiting
        self.taken = 0
        self._work = work
        self._thread = thread
        self._alone = alone
        self._told = told
        self._questions = deque()
        self._changed = asyncio.Event()
        self._pace = 0.0  # seconds an item, a moving mean

    @contextlib.contextmanager
    def places(self, count):
        """Hold places for so many items; raise `Refused` where fewer are free."""
        if self.taken + count > self.waiting:
            raise busy(self._pace * self.taken)
        self.taken += count
        try:
            yield
        finally:
            self.taken -= count

    async def ask(self, item):
        """Return the answer to an item."""
        loop = asyncio.get_running_loop()
        question = Question(item, loop.create_future(), loop.time())
        self._questions.append(question)
        self._changed.set()
        return await question.answer

    async def run(self):
        """Answer until cancelled."""
        while True:
            while not self._questions:
                await self._change()
            await self._gather()
            count = min(len(self._questions), self.most)
            batch = [self._questions.popleft() for _ in range(count)]
            # Nobody waits any more for what is done already: its request took too long.
            await self._answer([one for one in batch if not one.answer.done()])

    async def _change(self):
        self._changed.clear()
        await self._changed.wait()

    async def _gather(self):
        deadline = self._questions[0].since + self.window
        with contextlib.suppress(TimeoutError):
            while not self._enough() and asyncio.get_running_loop().time() < deadline:
                async with asyncio.timeout_at(deadline):
                    await self._change()

    def _enough(self):
        # Places that are held by no question are of images that are being decoded.
        return len(self._questions) >= self.most or (self.taken <= len(self._questions) and self._alone())

    async def _answer(self, batch):
        if not batch:
            return
        begin = time.perf_counter()
        try:
            loop = asyncio.get_running_loop()
            answers = await loop.run_in_executor(self._thread, self._work, [one.item for one in batch])
        except Exception as error:
            if len(batch) == 1:
                _settle(batch[0].answer, error=error)
            else:  # one of them spoils the others
                for one in batch:
                    await self._answer([one])
            return
        self._note(len(batch), time.perf_counter() - begin)
        for one, answer in zip(batch, answers, strict=True):
            _settle(one.answer, answer)

    def _note(self, count, seconds):
        self._pace += 0.1 * (seconds / count - self._pace)
        if self._told:
            self._told(count, seconds)


def _settle(future, result=None, error=None):
    if not future.done():
        if error:
            future.set_exception(error)
        else:
            future.set_result(result)
