"""Batches, with time and work made up: who is answered, with whom, and by what."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kcnn.serving.batcher import Batcher
from kcnn.serving.refused import Refused


def gathered(scenario, work, **options):
    """Run a scenario, `async (batcher) -> result`, and return its result and the batches that came to be."""
    batches = []

    def counted(items):
        batches.append(list(items))
        return work(items)

    async def main():
        options.setdefault("most", 4)
        options.setdefault("window", 0.02)
        options.setdefault("waiting", 1000)
        with ThreadPoolExecutor(1) as thread:
            batcher = Batcher(counted, thread, **options)
            task = asyncio.create_task(batcher.run())
            try:
                return await scenario(batcher)
            finally:
                task.cancel()

    return asyncio.run(asyncio.wait_for(main(), 30)), batches


def squares(items):
    return [item**2 for item in items]


def test_each_gets_its_own_answer_in_batches():
    async def scenario(batcher):
        return await asyncio.gather(*map(batcher.ask, range(100)))

    answers, batches = gathered(scenario, squares)
    assert answers == squares(range(100))
    assert [len(batch) for batch in batches] == [4] * 25


def test_order_of_arrival_is_order_of_answering():
    async def scenario(batcher):
        return await asyncio.gather(*map(batcher.ask, range(10)))

    _, batches = gathered(scenario, squares)
    assert [item for batch in batches for item in batch] == list(range(10))


def test_one_alone_waits_for_the_window_and_no_longer():
    async def scenario(batcher):
        begin = asyncio.get_running_loop().time()
        await batcher.ask(3)
        return asyncio.get_running_loop().time() - begin

    seconds, batches = gathered(scenario, squares, window=0.1)
    assert batches == [[3]]
    assert 0.1 <= seconds < 1


def test_who_is_alone_does_not_wait():
    async def scenario(batcher):
        with batcher.places(1):
            await batcher.ask(3)
        with batcher.places(2):  # another one is being decoded
            first = asyncio.create_task(batcher.ask(4))
            await asyncio.sleep(0.1)
            assert not first.done()
            return [await batcher.ask(5), await first]

    answers, batches = gathered(scenario, squares, window=60, alone=lambda: True)
    assert (answers, batches) == ([25, 16], [[3], [4, 5]])


def test_those_within_a_window_go_together():
    async def later(batcher, item):
        await asyncio.sleep(0.02 * item)
        return await batcher.ask(item)

    async def scenario(batcher):
        return await asyncio.gather(*(later(batcher, item) for item in range(3)))

    answers, batches = gathered(scenario, squares, window=1, most=3)
    assert (answers, batches) == ([0, 1, 4], [[0, 1, 2]])  # and a full one does not wait for the end of the window


def test_while_the_model_works_the_next_batch_gathers_without_waiting():
    busy = threading.Event()

    def work(items):
        busy.wait(10)
        return squares(items)

    async def scenario(batcher):
        first = asyncio.create_task(batcher.ask(0))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batcher.ask(item)) for item in (1, 2)]
        await asyncio.sleep(0.05)
        busy.set()
        return await asyncio.gather(first, *others)

    answers, batches = gathered(scenario, work, window=0)
    assert (answers, batches) == ([0, 1, 4], [[0], [1, 2]])


def test_one_that_fails_fails_alone():
    def work(items):
        if 2 in items:
            raise ValueError("two")
        return squares(items)

    async def scenario(batcher):
        return await asyncio.gather(*map(batcher.ask, range(4)), return_exceptions=True)

    answers, batches = gathered(scenario, work)
    assert [answers[i] for i in (0, 1, 3)] == [0, 1, 9]
    assert isinstance(answers[2], ValueError)
    assert batches == [[0, 1, 2, 3], [0], [1], [2], [3]]


def test_who_has_gone_is_not_worked_for():
    async def scenario(batcher):
        tasks = [asyncio.create_task(batcher.ask(item)) for item in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers, batches = gathered(scenario, squares, window=0.1)
    assert (answers[0], answers[2]) == (0, 4)
    assert batches == [[0, 2]]


def test_places_are_bounded_and_given_back():
    async def scenario(batcher):
        with batcher.places(2), batcher.places(1):
            with pytest.raises(Refused) as refused, batcher.places(1):
                pass
            assert batcher.taken == 3
        assert batcher.taken == 0
        return refused.value

    refused, _ = gathered(scenario, squares, waiting=3)
    assert (refused.status_code, refused.reason) == (503, "busy")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
