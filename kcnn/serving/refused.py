"""A request that is not answered, with the reason: for whoever asked, and for the metrics."""

from starlette.exceptions import HTTPException


class Refused(HTTPException):
    """A request that is turned away.

    Args:
        status: Of HTTP.
        reason: One word, the label of the metric; of a fixed set.
        message: A sentence for whoever asked.
        headers: More headers of the response.
    """

    def __init__(self, status, reason, message, headers=None):
        super().__init__(status, message, headers)
        self.reason = reason


def busy(seconds):
    """Return the refusal of a server that has enough to do for so many seconds."""
    wait = str(min(max(round(seconds + 0.5), 1), 60))
    return Refused(503, "busy", f"The server is busy. Try again in {wait} s.", {"Retry-After": wait})
