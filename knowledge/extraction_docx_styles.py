"""What a DOCX's style and numbering parts say about a paragraph: its heading level and its list label."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree

MAX_HEADING_LEVEL = 6
_MAX_STYLE_DEPTH = 20
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
          (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip


def local_name(element: etree._Element) -> str:
    """The element's name without its namespace, so that strict and transitional files read the same."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def child(element: etree._Element | None, name: str) -> etree._Element | None:
    """The first child of that local name."""
    if element is None:
        return None
    return next((each for each in element if local_name(each) == name), None)


def children(element: etree._Element, name: str) -> Iterator[etree._Element]:
    """All children of that local name."""
    return (each for each in element if local_name(each) == name)


def attribute(element: etree._Element | None, name: str) -> str | None:
    """The value of the attribute of that local name."""
    if element is None:
        return None
    return next((str(value) for key, value in element.attrib.items() if key.rpartition("}")[2] == name), None)


def value_of(element: etree._Element | None, name: str) -> str | None:
    """The `val` of the first child of that local name: how WordprocessingML writes most properties."""
    return attribute(child(element, name), "val")


def integer(text: str | None) -> int | None:
    """The number that `text` writes, None when it is none."""
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None


@dataclass(slots=True)
class Styles:
    """The paragraph styles by id."""

    elements: dict[str, etree._Element]

    @classmethod
    def from_part(cls, root: etree._Element | None) -> "Styles":
        found = children(root, "style") if root is not None else ()
        return cls({attribute(style, "styleId") or "": style for style in found})

    def chain(self, style_id: str | None) -> Iterator[etree._Element]:
        """The style and those that it is based on, nearest first."""
        for _depth in range(_MAX_STYLE_DEPTH):
            style = self.elements.get(style_id or "")
            if style is None:
                return
            yield style
            style_id = value_of(style, "basedOn")

    def heading_level(self, properties: etree._Element | None) -> int | None:
        """1 to 6 for a heading paragraph, by its own outline level or its style's; None for body text."""
        style_id = value_of(properties, "pStyle")
        levels = [value_of(properties, "outlineLvl")]
        for style in self.chain(style_id):
            name = (value_of(style, "name") or "").lower()
            if name == "title":
                return 1
            levels.append(value_of(child(style, "pPr"), "outlineLvl"))
            if name.startswith("heading ") and name[8:].isdigit():
                levels.append(str(int(name[8:]) - 1))
        level = next((integer(level) for level in levels if level is not None), None)
        return min(level + 1, MAX_HEADING_LEVEL) if level is not None and 0 <= level < 9 else None

    def numbering(self, properties: etree._Element | None) -> tuple[str, int] | None:
        """(numId, level) of a list paragraph, by its own properties or its style's."""
        own = child(properties, "numPr")
        styles = [child(child(style, "pPr"), "numPr") for style in self.chain(value_of(properties, "pStyle"))]
        for numbering in [own, *styles]:
            number_id = value_of(numbering, "numId")
            if number_id is not None:
                level = integer(value_of(numbering, "ilvl")) or 0
                return None if number_id == "0" else (number_id, min(max(level, 0), 8))
        return None


@dataclass(slots=True)
class Numbering:
    """The lists of a document and how far each has been counted."""

    levels: dict[str, dict[int, etree._Element]] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)
    counters: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    @classmethod
    def from_part(cls, root: etree._Element | None) -> "Numbering":
        numbering = cls()
        if root is None:
            return numbering
        for abstract in children(root, "abstractNum"):
            numbering.levels[attribute(abstract, "abstractNumId") or ""] = {
                integer(attribute(level, "ilvl")) or 0: level for level in children(abstract, "lvl")
            }
        for number in children(root, "num"):
            numbering.lists[attribute(number, "numId") or ""] = value_of(number, "abstractNumId") or ""
        return numbering

    def next_label(self, *, number_id: str, level: int) -> str:
        """Count one more item of a list and return its label: "-" for a bullet, else like "2." or "1.3"."""
        abstract_id = self.lists.get(number_id, "")
        definitions = self.levels.get(abstract_id, {})
        counters = self.counters[abstract_id]
        for deeper in [each for each in counters if each > level]:
            del counters[deeper]
        for each in range(level):
            counters.setdefault(each, _first_number(definitions.get(each)))
        counters[level] = counters.get(level, _first_number(definitions.get(level)) - 1) + 1
        definition = definitions.get(level)
        if definition is None or value_of(definition, "numFmt") in ("bullet", "none", None):
            return "-"
        label = value_of(definition, "lvlText") or f"%{level + 1}."
        for each in range(level + 1):
            number_format = value_of(definitions.get(each), "numFmt") or "decimal"
            label = label.replace(f"%{each + 1}", _format_number(counters[each], number_format))
        return label.strip() or "-"


def _first_number(definition: etree._Element | None) -> int:
    start = integer(value_of(definition, "start"))
    return 1 if start is None else start


def _format_number(number: int, number_format: str) -> str:
    if number_format in ("lowerLetter", "upperLetter") and number > 0:
        letters = chr(ord("a") + (number - 1) % 26) * min((number - 1) // 26 + 1, 4)
        return letters.upper() if number_format == "upperLetter" else letters
    if number_format in ("lowerRoman", "upperRoman") and 0 < number < 4000:
        roman = ""
        for value, letters in _ROMAN:
            count, number = divmod(number, value)
            roman += letters * count
        return roman.upper() if number_format == "upperRoman" else roman
    return str(number)
