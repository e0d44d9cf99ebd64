"""The accent colours of a clone, for SVG attributes (style attributes are closed by the content policy)."""

from django import template

from clones.models import Clone
from clones.palette import Palette, palette_for

register = template.Library()


@register.filter
def palette(clone: Clone) -> Palette:
    return palette_for(accent=clone.accent_color)
