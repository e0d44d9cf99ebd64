"""The clones' public pages: gallery, profile, and the stylesheet of one clone's accent."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from clones.forms import GallerySearchForm
from clones.models import Clone
from clones.palette import Palette, palette_for

CLONES_PER_PAGE = 24
MAX_QUESTION_CHARS = 1000
ACCENT_MAX_AGE_SECONDS = 7 * 24 * 3600


@require_safe
def gallery(request: HttpRequest) -> HttpResponse:
    """Every clone that is listed for this person, narrowed by `?q=`."""
    form = GallerySearchForm(request.GET)
    query = form.cleaned_data["q"].strip() if form.is_valid() else ""
    clones = Clone.objects.listed_for(request.user)
    page = Paginator(clones.search(query), CLONES_PER_PAGE).get_page(request.GET.get("page"))
    is_empty_house = not page.paginator.count and not (query and clones.exists())
    context = {"form": form, "query": query, "page": page, "is_empty_house": is_empty_house}
    return render(request, "clones/gallery.html", context)


@require_safe
def profile(request: HttpRequest, slug: str) -> HttpResponse:
    """The clone's page; `?q=` is a question that was chosen before signing in, ready to be asked."""
    clone = get_object_or_404(Clone.objects.visible_to(request.user), slug=slug)
    is_editable = Clone.objects.editable_by(request.user).filter(pk=clone.pk).exists()
    question = request.GET.get("q", "").strip()[:MAX_QUESTION_CHARS]
    context = {"clone": clone, "is_editable": is_editable, "question": question}
    return render(request, "clones/profile.html", context)


@require_safe
@cache_control(private=True, max_age=ACCENT_MAX_AGE_SECONDS)
def accent(request: HttpRequest, slug: str) -> HttpResponse:
    """The clone's accent as custom properties. Pages add `?v=` so that a new colour shows at once."""
    clone = get_object_or_404(Clone.objects.visible_to(request.user), slug=slug)
    light = _as_rule(palette_for(accent=clone.accent_color))
    dark = _as_rule(palette_for(accent=clone.accent_color, is_dark=True))
    css = f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"
    return HttpResponse(css, content_type="text/css; charset=utf-8")


def _as_rule(palette: Palette) -> str:
    return (
        f":root {{ --accent: {palette.fill}; --on-accent: {palette.on_fill}; "
        f"--accent-text: {palette.text}; --accent-soft: {palette.soft}; }}"
    )
