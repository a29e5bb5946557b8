"""What a server counts, for Prometheus. No label has a value that a stranger could choose."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OTHER = "other"


class Metrics:
    """The counters of one server."""

    def __init__(self):
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

        def make(kind, name, text, labels=(), **options):
            return kind(f"kcnn_{name}", text, labels, registry=self._registry, **options)

        self._requests = make(Counter, "requests", "Requests, by what became of them.", ("route", "method", "status"))
        self._seconds = make(
            Histogram,
            "request_seconds",
            "From the head of a request to the end of its answer.",
            ("route",),
            buckets=SECONDS,
        )
        self._batch = make(Histogram, "batch_images", "Images that were answered at one time.", buckets=SIZES)
        self._batch_seconds = make(Histogram, "batch_seconds", "Time of the model for a batch.", buckets=SECONDS)
        self.images = make(Counter, "images", "Images, by what became of them.", ("outcome",))
        self.rejected = make(Counter, "rejected", "Requests that were turned away, by reason.", ("reason",))
        self.waiting = make(Gauge, "waiting_images", "Images that were accepted and are not answered yet.")
        self.ready = make(Gauge, "ready", "1 while requests are answered at full speed.")
        self.model = make(Info, "model", "What answers.")

    def request(self, route, method, status, seconds):
        """Count a request; `route` is the path of a route, or None where there is no such."""
        route = route or OTHER
        self._requests.labels(route, method if method in METHODS else OTHER, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, images, seconds):
        """Count a batch."""
        self._batch.observe(images)
        self._batch_seconds.observe(seconds)

    def text(self, accept):
        """Return the page for a scraper that accepts so much, and its type."""
        try:
            encode, kind = choose_encoder(accept)
        except (TypeError, ValueError):  # at a version that is no number
            encode, kind = choose_encoder("")
        return encode(self._registry), kind
