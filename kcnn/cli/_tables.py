"""Tables on a terminal, however narrow."""


def keep_numbers(table, first=1):
    """Let no number be cut in the columns of a rich table from `first` on; headers and names give way instead."""
    from rich.cells import cell_len

    for column in table.columns[first:]:
        column.no_wrap = False  # or else its header would be cut
        column.overflow = "fold"
        column.min_width = max((cell_len(str(cell)) for cell in column.cells), default=0)
    return table
