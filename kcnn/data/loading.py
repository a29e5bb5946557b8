"""From the recipe's [data] to a Dataset: list, divide, check, decode, measure."""

from collections.abc import Callable, Sequence

import numpy as np
import PIL

from kcnn.data.dataset import Dataset, Split
from kcnn.data.decode import decode_many, peek
from kcnn.data.fingerprint import fingerprint
from kcnn.data.kept import keep
from kcnn.data.leaks import check_leaks, find_copies_once
from kcnn.data.listing import Listing, Source, natural_key, quoted
from kcnn.data.notes import identity, noted
from kcnn.data.split import hold_out, take
from kcnn.data.statistics import lowest, measure
from kcnn.data.stream import StreamedImages
from kcnn.errors import DataError, DataNotFoundError, ImageError, RecipeError

SPLITS = ("train", "validation", "test")
HEADERS = 256  # images whose headers decide size and channels
LARGEST_NATIVE_SIDE = 128  # pixels; larger images are resized unless the recipe says otherwise
DEFAULT_SIZE = (64, 64)

Progress = Callable[[int, int | None, str], None]


def load_source(
    source: Source,
    config,
    seed: int,
    *,
    splits: Sequence[str] = ("train", "validation"),
    class_names: Sequence[str] | None = None,
    undivided: bool = False,
    sizes: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Do the work of `kcnn.data.load` on a source that is listed already."""
    listings = _divided(source, config, seed, splits, undivided, progress)
    names = _class_names(source, listings, splits, class_names)
    image_shape = _image_shape(listings, splits, config)
    wanted = _wanted(listings, config, seed, splits)
    kept = keep(wanted, image_shape, config.resize, progress=progress)
    decoded, skipped = _decode(wanted, names, image_shape, config, kept, sizes, progress)
    mean, std = _statistics(decoded.get("train"), image_shape, config)
    return Dataset(
        train=decoded.get("train"),
        validation=decoded.get("validation"),
        test=decoded.get("test"),
        class_names=names,
        image_shape=image_shape,
        mean=mean,
        std=std,
        skipped=[*source.skipped, *skipped],
        fingerprint=fingerprint(wanted, progress, kept and kept.digests_of()),
    )


def divided(
    source: Source, config, seed: int, *, splits: Sequence[str] = ("train", "validation"), progress=None
) -> dict[str, Listing]:
    """Return {split: listing} of what `load_source` would decode, which reads no image but to find copies."""
    return _wanted(_divided(source, config, seed, splits, False, progress), config, seed, splits)


def _divided(source, config, seed, splits, undivided, progress):
    """Return {split: listing} of all that the source has, with what is held out of the training images."""
    unknown = [split for split in splits if split not in SPLITS]
    if unknown:
        raise ValueError(f"`splits` must be of {', '.join(SPLITS)}. Received: {splits}")
    given = {split: source.splits[split] for split in SPLITS if split in source.splits}
    if undivided and set(given) == {"train"}:
        given = {splits[0]: given["train"]}
    shares = _shares(given, config, seed, splits)
    copies = find_copies_once(given, "train" if shares else None, progress)
    check_leaks(given, copies)
    listings = _divide(given, shares, copies, progress)
    if "train" in splits and "train" not in listings:
        raise DataNotFoundError(f"There are no training images, only those for {' and '.join(listings)}.")
    return listings


def _wanted(listings, config, seed, splits):
    """Return the listings of `splits`, of the training images as many as `data.limit` allows."""
    wanted = {split: listings[split] for split in SPLITS if split in splits and split in listings}
    if "train" in wanted and config.limit is not None:
        train = wanted["train"]
        wanted["train"] = train.take(take(train.names, train.labels, config.limit, seed))
    return wanted


def _shares(given, config, seed, splits):
    """Return {split: (fraction, seed, how many of a class stay)} of what is held out from the training images."""
    # The test set is the same for every seed; validation is not divided off where nobody asks for it.
    both = "validation" not in given and config.validation > 0
    asked = {"test": (config.test, 0, 1 + both)}
    if "train" in splits or "validation" in splits:
        asked["validation"] = (config.validation, seed, 1)
    return {split: asked[split] for split in asked if "train" in given and split not in given and asked[split][0]}


def _divide(given, shares, copies, progress):
    """Return the listings with `shares` of the training images held out; copies of one image stay together."""
    listings = dict(given)
    names = given["train"].names if shares else []
    same_as = {names[index]: names[group[0][1]] for group in copies for _, index in group[1:]} if shares else {}
    for split, (fraction, split_seed, leave) in shares.items():
        train = listings["train"]
        held = hold_out(
            *(train.names, train.labels, fraction, split_seed, split), leave=leave, same_as=same_as, progress=progress
        )
        listings[split] = train.take(np.flatnonzero(held))
        listings["train"] = train.take(np.flatnonzero(~held))
    return {split: listings[split] for split in SPLITS if split in listings and len(listings[split])}


def _class_names(source, listings, splits, known):
    """Return the classes in their order, after checking that each wanted label is one of them."""
    if known is not None:
        labels = {label for split in splits if split in listings for label in listings[split].labels}
        unknown = sorted(labels - set(known), key=natural_key)
        if unknown:
            raise DataError(
                f"The data holds labels that the model does not know: {quoted(unknown)}. It knows: {', '.join(known)}."
            )
        return list(known)
    first = next(iter(listings))
    trained = set(listings[first].labels)
    for split, listing in listings.items():
        unknown = sorted(set(listing.labels) - trained, key=natural_key)
        if unknown:
            raise DataError(f"The {split} images have classes that the {first} images lack: {quoted(unknown)}.")
    if len(trained) < 2:
        raise DataNotFoundError(
            f"A classifier needs at least two classes. Received one: {quoted(trained)}, from "
            f"{listings[first].location(0)}. Each class is a folder of its own: PATH/<class>/<image>."
        )
    return source.class_names or sorted(trained, key=natural_key)


def _image_shape(listings, splits, config):
    """Return (height, width, channels): what the recipe says, else what a sample of headers agrees on."""
    if config.image_size is not None and config.channels is not None:
        return *config.image_size, config.channels
    wanted = next((split for split in ("train", *splits) if split in listings), None)
    listing = listings.get(wanted, Listing([], [], []))
    headers = [header for header in _headers(listing.take(lowest(listing.names, HEADERS))) if header]
    sizes = {(height, width) for height, width, _ in headers}
    common = next(iter(sizes)) if len(sizes) == 1 else DEFAULT_SIZE
    size = config.image_size or (common if max(common) <= LARGEST_NATIVE_SIDE else DEFAULT_SIZE)
    channels = config.channels or (1 if headers and all(grey for *_, grey in headers) else 3)
    return *size, channels


def _headers(listing):
    """Return [height, width, is it grey] of each image, or None where it cannot be read, which decoding will report.

    They are noted, since an archive need not be unpacked for them.
    """

    def find():
        found, whole = [], True
        for item in listing.contents:
            try:
                found.append(peek(item))
            except ImageError as error:
                found.append(None)
                whole = whole and not getattr(error.__cause__, "errno", None)  # of the system, not of the image
        return found, whole

    if isinstance(listing.contents, np.ndarray):
        return find()[0]
    return noted(("headers", PIL.__version__), zip(listing.names, map(identity, listing.contents), strict=True), find)


def _decode(listings, class_names, image_shape, config, kept, sizes, progress):
    """Return the splits, in memory, from the cache or streamed, and the images that were skipped."""
    images = sum(len(listing) for listing in listings.values())
    in_memory = images * np.prod(image_shape, dtype="int64") <= config.memory_limit * 2**30
    index_of = {name: index for index, name in enumerate(class_names)}
    decoded, bad_ones, bad_of = {}, [], {}
    for split, listing in listings.items():
        report = progress and (
            lambda done, listing=listing, split=split: progress(done, len(listing), f"{split} images")
        )
        decoded[split], bad = _decode_split(
            split, listing, index_of, image_shape, config.resize, in_memory, kept, sizes, report
        )
        bad_ones += [(listing.location(index), reason) for index, reason in bad]
        bad_of[split] = {listing.labels[index]: (listing.location(index), reason) for index, reason in bad}
    if bad_ones and config.on_bad_image != "skip":
        first = "".join(f"\n  - {name}: {reason}" for name, reason in bad_ones[:3])
        more = f"\n  - and {len(bad_ones) - 3:,} more" if len(bad_ones) > 3 else ""
        raise ImageError(
            f"{len(bad_ones):,} of {images:,} images cannot be used:{first}{more}\n"
            'Repair or remove them, or leave them out with data.on_bad_image = "skip".'
        )
    for split, listing in listings.items():
        lost = sorted(set(listing.labels) - {class_names[label] for label in decoded[split].labels}, key=natural_key)
        if lost:
            name, reason = bad_of[split][lost[0]]
            raise ImageError(
                f"No {split} image of the classes {quoted(lost)} can be read; for instance {name}: {reason}."
            )
    return decoded, bad_ones


def _decode_split(split, listing, index_of, image_shape, resize, in_memory, kept, sizes, report):
    pixels, whole = None, listing
    if kept:
        bad = kept.bad_of(split)
    elif isinstance(listing.contents, np.ndarray) and listing.contents.shape[1:] == image_shape:
        pixels, bad = listing.contents, []
    else:
        # Where nothing is kept in memory this pass lets a damaged image stop the run now, not in its third hour.
        pixels = np.empty((len(listing), *image_shape), "uint8") if in_memory else None
        bad = decode_many(listing.contents, image_shape, resize, out=pixels, progress=report)
    good = np.arange(len(listing))
    if bad:
        good = np.setdiff1d(good, [index for index, _ in bad])
        listing = listing.take(good)
        pixels = None if pixels is None else _moved_together(pixels, good)
    if kept:
        try:
            pixels = kept.images(split, good, in_memory)
        except (OSError, ValueError):  # the cache was cleared meanwhile
            return _decode_split(split, whole, index_of, image_shape, resize, in_memory, None, sizes, report)
    elif pixels is None:
        pixels = StreamedImages(listing, image_shape, resize)
    labels = np.array([index_of[label] for label in listing.labels], dtype="int32")
    return Split(pixels, labels, listing.names, _sizes(listing) if sizes else None), bad


def _sizes(listing):
    """Return int32 (N, 2), height and width of each image."""
    headers = _headers(listing)
    if None in headers:
        raise ImageError(f"Cannot read {listing.location(headers.index(None))} a second time, for its size.")
    return np.array([header[:2] for header in headers], dtype="int32")


def _moved_together(pixels, rows):
    """Return the rows, which ascend, in the place of the first ones: a copy would need the memory twice."""
    for position, row in enumerate(rows):
        pixels[position] = pixels[row]
    return pixels[: len(rows)]


def _statistics(train, image_shape, config):
    given = {"mean": config.mean, "std": config.std}
    for name, values in given.items():
        if values is not None and len(values) != image_shape[2]:
            raise RecipeError(
                f"data.{name} must have one number for each of the {image_shape[2]} channels. Received: {values}"
            )
    measured = (None, None)
    if train is not None and None in given.values():
        measured = measure(train)
    return tuple(
        measured[index] if values is None else tuple(float(value) for value in values)
        for index, values in enumerate(given.values())
    )
