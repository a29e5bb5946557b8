"""The process around the application: its socket, its patience with clients, and its end."""

import asyncio
import contextlib
import errno
import signal
import socket
import threading

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from kcnn.errors import UsageError

HEAD_SECONDS = 10  # for the head of a request, or for what a client still sends of one that was refused
IDLE_SECONDS = 60  # between two requests of a connection
GRACE = 0.25  # seconds in which requests on open connections are still taken after a signal to stop


def bind(host, port):
    """Return a socket that is bound to an address, and does not listen yet.

    Raises:
        UsageError: The port is taken, or the address is not one of this machine.
    """
    found = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except (OSError, UnicodeError) as error:  # the latter of a name that cannot be one of a host
        if found:
            found.close()
        raise UsageError(f"Cannot listen on {host}:{port}: {_reason(error)}") from error
    return found


def _reason(error):
    reasons = {
        errno.EADDRINUSE: "the port is taken. Choose another --port, or 0 for a free one.",
        errno.EACCES: "ports below 1024 are for the administrator. Choose another --port.",
        errno.EADDRNOTAVAIL: "this machine has no such address.",
    }
    if isinstance(error, UnicodeError):
        return "that is no name of a host."
    return reasons.get(error.errno, f"{(error.strerror or str(error)).lower()}.")


def address_of(bound):
    """Return the URL of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Patient(H11Protocol):
    """HTTP/1.1 with an end to patience: a request whose head does not come, or an answer that is not read.

    uvicorn has no such bounds: a client that sends a byte a minute, or reads none, would hold its connection for ever.
    """

    _timer = None
    _unread = None

    def connection_made(self, transport):
        super().connection_made(transport)
        self._watch()

    def data_received(self, data):
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc):
        self._stop()
        self._has_read()
        super().connection_lost(exc)

    def pause_writing(self):
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(IDLE_SECONDS, self.transport.abort)

    def resume_writing(self):
        self._has_read()
        super().resume_writing()

    def _has_read(self):
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _watch(self):
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()  # the application has its own bounds
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop(self):
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self):
        if not self.transport.is_closing():
            self.transport.close()


class Server(uvicorn.Server):
    """A server that answers what it accepted before it ends, and then ends as if nothing had been wrong.

    Args:
        app: The ASGI application.
        service: Its `Service`, which is told when the end begins.
        access_log: Whether to log each request.
        listening: Called once connections are accepted.
        ready: Called once the model is warm.
    """

    def __init__(self, app, service, *, access_log, listening, ready):
        config = uvicorn.Config(
            app,
            http=Patient,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=access_log,
            server_header=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=round(2 * service.limits.seconds) + 1,
        )
        super().__init__(config)
        service.connections = lambda: len(self.server_state.connections)
        self._service = service
        self._listening = listening
        self._ready = ready

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self._listening()
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self):
        await self._service.warm.wait()
        if self._service.failure:
            self.should_exit = True
        else:
            self._ready()

    async def shutdown(self, sockets=None):
        self._service.stopping = True
        for server in self.servers:
            server.close()
        # Who has a connection open may have sent a request just now. It is answered, and told that this was the last.
        await asyncio.sleep(GRACE)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self):
        """Stop at SIGTERM and Ctrl-C, which are no errors: uvicorn would raise the signal again at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kept = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in kept.items():
                signal.signal(one, handler)


def run(app, service, bound, *, access_log=False, listening=lambda: None, ready=lambda: None):
    """Serve on a bound socket until a signal stops it.

    Raises:
        Exception: Whatever went wrong while the model warmed up.
    """
    server = Server(app, service, access_log=access_log, listening=listening, ready=ready)
    server.run([bound])
    if service.failure:
        raise service.failure
