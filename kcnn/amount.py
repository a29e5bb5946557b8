"""Numbers in as few characters as a person needs."""


def amount(number):
    """Return a count with three digits and K, M, G or T."""
    for unit in ("", "K", "M", "G", "T"):
        if number < 999.5 or unit == "T":
            break
        number /= 1000
    if not unit:
        return f"{number:.0f}"
    digits = 2 if number < 9.995 else 1 if number < 99.95 else 0
    return f"{number:.{digits}f}{unit}"


def size(number):
    """Return a number of bytes with three digits and KiB, MiB or GiB."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if number < 999.5 or unit == "GiB":
            break
        number /= 1024
    return f"{number:.3g} {unit}" if number < 999.5 else f"{number:,.0f} {unit}"


def percent(share, digits=0):
    """Return a share in per cent; 0 and 100 stand for none and all alone, what comes near is "<0.1%" or ">99.9%"."""
    share = round(share, 12)  # an interval may end at 1 but for the last bit
    text, least = f"{share:.{digits}%}", 10.0**-digits
    if share > 0 and float(text[:-1]) == 0:
        return f"<{least:.{digits}f}%"
    if share < 1 and float(text[:-1]) == 100:
        return f">{100 - least:.{digits}f}%"
    return text


def times(shape):
    """Return the sizes of an array as in 224x224x3."""
    return "x".join(map(str, shape))
