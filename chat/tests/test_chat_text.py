"""What lists show of a message."""

import pytest

from chat.templatetags.chat_text import preview


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**Meet** weekly [3].", "Meet weekly."),
        ("# Rules\n\n- One\n- Two", "Rules One Two"),
        ("> quoted\n> again", "quoted again"),
        ("there is an x > 0 with 3 < 5", "there is an x > 0 with 3 < 5"),
    ],
)
def test_preview_leaves_out_marks_and_keeps_what_was_said(text: str, shown: str):
    assert preview(text) == shown
