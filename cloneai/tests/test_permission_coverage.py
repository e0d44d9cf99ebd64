"""Nothing is without a rule: routes, methods, operations, sockets, admins and their actions all stand in the rows."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.test import Client, RequestFactory
from django.urls import get_resolver
from django.urls.resolvers import URLPattern, URLResolver

from chat.routing import websocket_urlpatterns
from cloneai.accounts.models import User
from cloneai.api import api
from cloneai.tests.permissions.rows import ADMINS, API, ROWS, SOCKETS, AdminRules, expand
from cloneai.tests.permissions.walk import Undo, read_payload, send
from cloneai.tests.permissions.world import (
    ADMIN,
    EXPERT,
    HOUSES,
    MARKERS,
    MEMBER,
    OTHER_EXPERT,
    REVIEWER,
    STAFF,
    World,
    build_world,
    find_leaks,
    mirror,
)

OPERATION = re.compile(r"^api/(?!$|openapi\.json$|docs$)")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.EXPORTS_ROOT = tmp_path / "exports"


@pytest.fixture
def world(db: None) -> World:
    return build_world()


def walk_routes(patterns: list[Any], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from walk_routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route


def list_operations() -> set[tuple[str, str]]:
    """Method and route of each Ninja operation, also of those that the OpenAPI document does not show."""
    return {
        (method, re.sub(r"\{\w+:", "{", f"api{prefix}{path}"))
        for prefix, router in api._routers
        for path, view in router.path_operations.items()
        for operation in view.operations
        for method in operation.methods
    }


def test_every_route_has_a_row_and_every_row_a_route():
    listed = {row.route for row in ROWS} | {
        row.route for label, rules in ADMINS.items() for row in expand(label, rules)
    }
    routes = {route for route in walk_routes(get_resolver().url_patterns) if not OPERATION.match(route)}
    assert routes - listed == set(), "These routes need rows in permissions/rows.py."
    assert {route for route in listed if not OPERATION.match(route)} - routes == set()


def test_every_operation_has_a_row_and_every_row_an_operation():
    listed = {(row.method, row.route) for row in API if OPERATION.match(row.route)}
    assert list_operations() - listed == set(), "These operations need rows in permissions/rows.py."
    assert listed - list_operations() == set()


def test_every_socket_route_and_every_admin_has_rules():
    assert {str(pattern.pattern) for pattern in websocket_urlpatterns} == SOCKETS
    assert {model._meta.label_lower for model in django_admin.site._registry} == set(ADMINS)


def test_every_admin_action_has_a_rule(world: World, rf: RequestFactory):
    """Also those of superusers; what a page offers beyond the rules' actions needs a rule."""
    request = rf.get("/admin/")
    request.user = world.people[ADMIN]
    for model, page in django_admin.site._registry.items():
        rules = ADMINS[model._meta.label_lower]
        assert set(page.get_actions(request)) == set(rules.actions), model._meta.label_lower
        # unfold's own kinds of action are routes, which the walk over routes sees


def test_methods_without_a_row_are_refused(world: World):
    """Pages only: for the most powerful person and the owner, every other method is a 405."""
    listed = {(row.method, row.route): row for row in ROWS if row.zone in ("page", "public", "v1")}
    own = {
        row.route: row for row in listed.values() if not row.route.startswith(("accounts/", "admin/", "api/"))
    }
    accepted = []
    for route, row in own.items():
        for method in METHODS:
            if (method, route) in listed or route == "v1/":
                continue
            for clients in (world.browsers, world.programs):
                asked = type(row)(route=route, method=method, kind=row.kind, zone=row.zone)
                with Undo():
                    status = send(asked, client=clients[MEMBER], world=world, house="a").status_code
                if status not in (401, 404, 405) and not (status == 302 and clients is world.programs):
                    accepted.append((method, route, status))
    assert accepted == []


def own_rows(rules: AdminRules, actor: str) -> list[str]:
    return [house for house in HOUSES if mirror(actor, house) in rules.views]


@pytest.mark.parametrize("label", [label for label, rules in ADMINS.items() if rules.actions])
def test_actions_reach_no_further_than_the_list(label: str, world: World):
    """Each action, by all staff, on the rows of both houses: whoever is not offered it changes nothing."""
    rules = ADMINS[label]
    both = [world.key(rules.kind, house) for house in HOUSES]
    address = f"/admin/{label.replace('.', '/')}/"
    for name, offered_to in rules.actions.items():
        for actor in STAFF:
            with Undo():
                before = world.fingerprint()
                form = {"action": name, "_selected_action": both, "post": "yes"}
                response = world.browsers[actor].post(address, form)
                after = world.fingerprint()
            if actor not in rules.sees:
                assert response.status_code == 403, (name, actor)
            assert find_leaks(actor=actor, payload=read_payload(response), besides=rules.shows) == []
            may_change = own_rows(rules, actor) if actor in offered_to else []
            changed = [house for house in HOUSES if before[house] != after[house]]
            assert set(changed) <= set(may_change), (name, actor)


@pytest.mark.parametrize("label", ADMINS)
def test_search_and_filters_find_nothing_foreign(label: str, world: World):
    """By every marker, and by every filter of the list with the keys of both houses: 0 foreign rows or counts."""
    rules = ADMINS[label]
    address = f"/admin/{label.replace('.', '/')}/"
    clones = [world.key("clone_pk", house) for house in HOUSES]
    guests = [world.key("guest", house) for house in HOUSES]
    both = {world.key(rules.kind, house) for house in HOUSES}
    queries = [{"q": text} for text in MARKERS.values()]
    queries += [{"clone": key} for key in clones] + [{"clone__id__exact": key} for key in clones]
    queries += [{"user__id__exact": key} for key in guests] + [{"clone__name__contains": "mark"}]
    queries += [{"owner__email__contains": "mark"}, {"session__user__email__contains": "mark"}]
    for actor in STAFF:
        allowed = {world.key(rules.kind, house) for house in own_rows(rules, actor)}
        for query in queries:
            response = world.browsers[actor].get(address, query)
            if actor not in rules.sees:
                assert response.status_code == 403
                break
            assert response.status_code in (200, 302, 400), (
                actor,
                query,
            )  # Django refuses filters not listed
            if response.status_code != 200:
                continue
            found = response.context["cl"]
            assert {str(row.pk) for row in found.result_list} & both <= allowed, (actor, query)
            if actor != ADMIN:  # the two houses are all there is
                assert found.result_count <= len(allowed), (actor, query)
                assert (found.full_result_count or 0) <= len(allowed), (actor, query)


def test_autocomplete_suggests_nothing_foreign(world: World):
    """For every relation of every model, whether or not a form of ours asks for it."""
    suggested = set()
    for actor in STAFF:
        for model in django_admin.site._registry:
            label = {"app_label": model._meta.app_label, "model_name": model._meta.model_name}
            for relation in (*model._meta.fields, *model._meta.many_to_many):
                if not relation.is_relation:
                    continue
                query = {**label, "field_name": relation.name, "term": "mark"}
                response = world.browsers[actor].get("/admin/autocomplete/", query)
                payload = read_payload(response)
                assert response.status_code in (200, 403), (actor, query)
                assert find_leaks(actor=actor, payload=payload) == [], (actor, query)
                suggested |= {text for text in MARKERS.values() if text in payload}
    assert suggested, "nothing was suggested at all, so that nothing was tried"


def test_foreign_keys_in_a_form_are_not_choices(world: World):
    """An expert who posts another's clone or owner into a form of their own gets an error, and nothing moves."""
    client = world.browsers["expert"]
    before = world.fingerprint()
    foreign = world.key("clone_pk", "b")
    upload = client.post("/admin/knowledge/document/add/", {"clone": foreign, "title": "x"})
    assert "Select a valid choice" in upload.content.decode()
    document = f"/admin/knowledge/document/{world.key('document', 'a')}/change/"
    client.post(document, {"title": "Mine", "clone": foreign})
    owner = User.objects.get(email__startswith="markexpertaddressbzq").pk
    own = f"/admin/clones/clone/{world.key('clone_pk', 'a')}/change/"
    client.post(own, {"name": "Mine", "slug": "house-a", "owner": owner})
    after = world.fingerprint()
    assert after["b"] == before["b"]
    page = client.get(own).content.decode()
    assert "markexpertaddressbzq" not in page
    from clones.models import Clone
    from knowledge.models import Document

    assert Clone.objects.get(slug="house-a").owner == world.people["expert"]
    assert str(Document.objects.get(pk=world.key("document", "a")).clone_id) == world.key("clone_pk", "a")


# What Django's admin takes from the address besides filters: pop-ups, related fields, an error mark, sorting, facets.
ODD_QUERIES = [
    {"_popup": "1"},
    {"_popup": "1", "_to_field": "id"},
    {"_to_field": "id"},
    {"e": "1"},
    {"o": "-1.2.3"},
    {"o": "9999"},
    {"p": "2"},
    {"all": ""},
    {"_facets": "True"},
    {"q": "mark", "_facets": "True"},
    {"q": '"mark'},
    {"q": "mark\x01"},
    {"_changelist_filters": "clone=1"},
]


@pytest.mark.parametrize("label", [label for label, rules in ADMINS.items() if EXPERT in rules.sees])
def test_odd_addresses_of_lists_show_nothing_foreign(label: str, world: World):
    """Pop-ups, related fields, error marks, sorting, facets, and filters through every relation, two steps far."""
    rules = ADMINS[label]
    address = f"/admin/{label.replace('.', '/')}/"
    keys = [world.key(kind, "b") for kind in ("clone_pk", "guest")]
    queries = ODD_QUERIES + [{path: key} for path in find_relations(rules) for key in keys]
    for query in queries:
        response = world.browsers[EXPERT].get(address, query)
        assert response.status_code in (200, 302, 400, 404), query
        assert find_leaks(actor=EXPERT, payload=read_payload(response), besides=rules.shows) == [], query
        if response.status_code == 200 and (found := (response.context or {}).get("cl")):
            assert found.result_count <= len(own_rows(rules, EXPERT)), query


def find_relations(rules: AdminRules) -> list[str]:
    """Lookups such as `clone`, `clone__id__exact` and `session__user`, as somebody could type them."""
    model = next(m for m in django_admin.site._registry if ADMINS[m._meta.label_lower] is rules)
    paths = []
    for relation in model._meta.get_fields():
        if relation.is_relation and relation.related_model is not None and relation.name:
            paths.append(f"{relation.name}__id__exact")
            paths += [
                f"{relation.name}__{further.name}"
                for further in relation.related_model._meta.get_fields()
                if further.is_relation and further.concrete
            ]
    return paths


def test_deleting_names_and_counts_nothing_foreign(world: World):
    """The question before a deletion, of one and of several: foreign rows are neither listed nor counted."""
    for label, rules in ADMINS.items():
        base = f"/admin/{label.replace('.', '/')}/"
        both = [world.key(rules.kind, house) for house in HOUSES]
        for actor in (EXPERT, REVIEWER):
            client = world.browsers[actor]
            pages = [client.get(f"{base}{key}/delete/") for key in both]
            pages.append(client.post(base, {"action": "delete_selected", "_selected_action": both}))
            for page in pages:
                payload = read_payload(page)
                assert find_leaks(actor=actor, payload=payload, besides=rules.shows) == [], (label, actor)
                if page.context and "model_count" in page.context:
                    counts = {str(name): number for name, number in page.context["model_count"]}
                    assert max(counts.values(), default=0) <= 2, (
                        label,
                        actor,
                        counts,
                    )  # a house has two messages


def test_a_clone_with_others_conversations_tells_only_their_number(world: World):
    """An expert who deletes a clone learns how much goes along, not whose it is."""
    page = world.browsers[EXPERT].get(f"/admin/clones/clone/{world.key('clone_pk', 'a')}/delete/")
    assert page.status_code == 200
    assert find_leaks(actor=EXPERT, payload=read_payload(page)) == []


def test_exports_hold_nothing_foreign(world: World):
    """The reports' files, by every grouping, filtered by the keys of both houses."""
    for actor in (EXPERT, OTHER_EXPERT):
        for page in ("report", "performance"):
            for group in ("user", "clone"):
                for house in HOUSES:
                    query = {
                        "group_by": group, "format": "csv", "clone": world.key("clone_pk", house),
                        "user": world.key("guest", house),
                    }  # fmt: skip
                    response = world.browsers[actor].get(f"/admin/billing/costrecord/{page}/", query)
                    assert response.status_code in (200, 400, 404)
                    assert find_leaks(actor=actor, payload=read_payload(response)) == [], (actor, page, query)
        for group in ("user", "clone"):
            items = world.programs[actor].get("/api/billing/costs", {"group_by": group}).json()["items"]
            assert len(items) == 1


def test_logged_out_browser_and_revoked_key_get_nothing(world: World, client: Client):
    browser, program = world.browsers[MEMBER], world.programs[MEMBER]
    assert program.get("/api/chat/sessions").json()["count"] == 1
    world.people[MEMBER].api_keys.update(revoked_at="2026-01-01T00:00Z")
    assert program.get("/api/chat/sessions").status_code == 401
    browser.logout()
    assert browser.get("/chat/").status_code == 302
