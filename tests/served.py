"""`kcnn serve` in a process of its own."""

import json
import os
import subprocess
import sys
import time

import httpx


class Child:
    """A server that was started, and is ready.

    Attributes:
        process: Its process; `stderr` goes to a file that `errors` reads.
        document: What it said with --json.
        address: Its URL.
    """

    def __init__(self, run, *options, folder, **environment):
        self._log = folder / "stderr.txt"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kcnn", "serve", str(run), "--port", "0", "--json", *options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **environment},
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()  # which nobody calls whose `with` did not begin
            raise

    def _wait_until_ready(self):
        lines = iter(self.process.stdout.readline, "")
        text = ""
        for line in lines:
            text += line
            if line == "}\n":
                break
        assert text, self.errors
        self.document = json.loads(text)
        self.address = self.document["address"]
        deadline = time.monotonic() + 120
        while httpx.get(f"{self.address}/readyz").status_code != 200:
            assert time.monotonic() < deadline, self.errors
            time.sleep(0.05)

    @property
    def errors(self):
        """What it wrote to stderr so far."""
        return self._log.read_text()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
