"""Work for a client ends when the client goes."""

import asyncio

from starlette.requests import ClientDisconnect


async def while_connected(request, work):
    """Return what `work` returns, an awaitable, which is cancelled where the client has gone before.

    Args:
        request: A Starlette request whose body has been read.
        work: What it asked for.

    Raises:
        ClientDisconnect: Nobody waits for the answer any more.
    """
    work, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientDisconnect
    finally:
        work.cancel()
        gone.cancel()


async def _gone(request):
    while (await request.receive())["type"] != "http.disconnect":
        pass
