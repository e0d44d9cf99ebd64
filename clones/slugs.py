"""Addresses for clones that are given none."""

from django.utils.text import slugify

from clones.models import Clone


def find_free_slug(*, name: str) -> str:
    """A slug of the name that no clone has yet; one query."""
    base = slugify(name)[:70] or "clone"
    taken = set(Clone.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    slug, number = base, 2
    while slug in taken:
        slug, number = f"{base}-{number}", number + 1
    return slug
