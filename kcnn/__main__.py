"""`python -m kcnn` is `kcnn`."""

from kcnn.cli import main

if __name__ == "__main__":
    main()
