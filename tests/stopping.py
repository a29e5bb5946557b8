"""What stops a prediction after some batches."""


def stopping(count, error=KeyboardInterrupt):
    """Return what a watch does that stops the work after so many batches."""
    seen = []

    def watch(predictions):
        seen.append(predictions)
        if len(seen) == count:
            raise error

    return watch
