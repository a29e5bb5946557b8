"""How many numbers of an image a network holds at a time, beside its weights."""


def kept(calls):
    """Return how many numbers all calls put out together: what training keeps of an image for the gradients.

    A framework may keep less (it fuses or recomputes) or more (masks, copies in another layout).
    """
    return sum(value.size for call in calls for value in call.outputs)


def peak(calls):
    """Return the most numbers that are needed at one time to answer for an image, each let go after its last use."""
    last = {id(value): place for place, call in enumerate(calls) for value in (*call.inputs, *call.outputs)}
    held = most = 0
    for place, call in enumerate(calls):
        held += sum(value.size for value in call.outputs)
        most = max(most, held)
        done = {id(value): value for value in (*call.inputs, *call.outputs) if last[id(value)] == place}
        held -= sum(value.size for value in done.values())
    return most
