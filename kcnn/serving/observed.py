"""Around everything: each response is counted, and tells browsers what they may do with it."""

import logging
import time

log = logging.getLogger(__name__)

SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
)
POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
CACHE = (b"cache-control", b"no-store")


class Observed:
    """ASGI middleware that adds headers and counts.

    Args:
        app: What it wraps.
        service: Its `metrics` count; while it is `stopping` each connection is closed behind its response.
    """

    def __init__(self, app, service):
        self._app = app
        self._service = service

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), None

        async def observed(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": self._headers(message.get("headers", ()))}
            await send(message)

        try:
            await self._app(scope, receive, observed)
        except Exception:
            log.exception("A request failed.")
            if status is None:  # else it was answered already, and the connection is as good as ever
                raise
        finally:
            route = getattr(scope.get("route"), "path", None)
            self._service.metrics.request(route, scope["method"], status or 500, time.perf_counter() - begin)

    def _headers(self, given):
        names = {name.lower() for name, _ in given}
        close = ((b"connection", b"close"),) if self._service.stopping else ()
        return [*given, *(pair for pair in (*SECURITY, POLICY, CACHE, *close) if pair[0] not in names)]
