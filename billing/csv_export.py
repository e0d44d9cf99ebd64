"""Tables as CSV files that a spreadsheet opens without running anything in them."""

import csv
from collections.abc import Iterable, Sequence

from django.http import HttpResponse

# A spreadsheet takes a cell that begins with one of these for a formula, also after blanks.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def build_csv(*, file_name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> HttpResponse:
    """A download. Texts are made harmless; numbers are written as they are, all digits included."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{file_name}"'
    response["Cache-Control"] = "no-store"
    response.write("\ufeff")  # without it Excel takes the file for Latin-1
    writer = csv.writer(response)
    writer.writerow(header)
    writer.writerows([disarm(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return response


def disarm(text: str) -> str:
    """The text, led by an apostrophe if a spreadsheet would compute it."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text
