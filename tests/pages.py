"""Pages that kcnn writes, taken apart."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "line", "polyline"}


class Page(HTMLParser):
    """The elements of a page, and whether each is closed in its place."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(path.read_text())
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for found, attributes in self.elements if found == tag]
