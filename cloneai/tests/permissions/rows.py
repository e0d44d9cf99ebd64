"""Who may open what. A route, operation, admin or action without a row here fails the suite: add its row.

A row says for house "a" which actors get in and with which status; everybody else gets the zone's refusal, and so do
all of them for what does not exist. For house "b" the mirrored people get in (`world.MIRROR`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from cloneai.tests.permissions.world import (
    ACTORS,
    ADMIN,
    ANONYMOUS,
    EXPERT,
    INACTIVE,
    MEMBER,
    MIRROR,
    OTHER_EXPERT,
    REVIEWER,
    STAFF,
    STRANGER,
)

LOGIN, NO_KEY, NOT_FOUND, FORBIDDEN = 302, 401, 404, 403
OUTSIDERS = (ANONYMOUS, INACTIVE)
# What those get who are not let in: the first for whoever is not logged in, the second for everybody else.
REFUSALS = {
    "public": (NOT_FOUND, NOT_FOUND),
    "page": (LOGIN, NOT_FOUND),
    "api": (NO_KEY, NOT_FOUND),
    "v1": (NO_KEY, NOT_FOUND),
    "admin": (LOGIN, NOT_FOUND),
}
PEOPLE = tuple(actor for actor in ACTORS if actor not in OUTSIDERS)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method of one route. `{kind}` in `data` becomes the key of that thing in the house."""

    route: str
    method: str = "GET"
    zone: str = "page"
    kind: str = ""
    allow: Mapping[str, int] = field(default_factory=dict)
    refuse: Mapping[str, int] = field(default_factory=dict)  # where an actor's refusal is not the zone's
    data: Mapping[str, Any] = field(default_factory=dict)
    as_json: bool = False
    shows: Collection[str] = ()  # kinds of content that this page may show beyond `world.READERS`
    address: str = ""  # when the route is a pattern that kinds cannot fill

    def expect(self, actor: str) -> int:
        """The status for house "a"."""
        return self.allow.get(actor, self.expect_refusal(actor))

    def expect_refusal(self, actor: str) -> int:
        """The status for what is missing, or not this actor's."""
        if actor in self.refuse:
            return self.refuse[actor]
        if self.zone == "admin" and actor in (MEMBER, STRANGER):
            return LOGIN
        outside, inside = REFUSALS[self.zone]
        return outside if actor in OUTSIDERS else inside


def give(status: int, *actors: str) -> dict[str, int]:
    return dict.fromkeys(actors, status)


EVERYBODY, EVERYONE_IN = give(200, *ACTORS), give(200, *PEOPLE)
GUESTS = (MEMBER, EXPERT, ADMIN)  # who may open the private clone of house "a"
SLUG, SESSION, MESSAGE = "c/<slug:slug>/", "chat/<uuid:session_id>/", "chat/messages/<uuid:message_id>/"

PAGES = [
    Row(route="", zone="public", allow=EVERYBODY),
    Row(route=SLUG, zone="public", kind="clone", allow=give(200, *GUESTS)),
    Row(route=f"{SLUG}accent.css", zone="public", kind="clone", allow=give(200, *GUESTS)),
    Row(route=f"{SLUG}chat/", method="POST", kind="clone", allow=give(302, *GUESTS)),
    Row(route="chat/", allow=EVERYONE_IN),
    Row(route=SESSION, kind="session", allow=give(200, MEMBER)),
    Row(route=SESSION, method="POST", kind="session", allow=give(422, MEMBER), data={"content": " "}),
    Row(route=f"{SESSION}end/", method="POST", kind="session", allow=give(302, MEMBER)),
    Row(
        route=f"{SESSION}rename/", method="POST", kind="session", allow=give(302, MEMBER), data={"title": "N"}
    ),
    Row(route=f"{SESSION}delete/", method="POST", kind="session", allow=give(302, MEMBER)),
    Row(route=f"{SESSION}summary/", kind="session", allow=give(200, MEMBER)),
    Row(
        route=f"{SESSION}summary/",
        method="POST",
        kind="session",
        allow=give(302, MEMBER),
        data={"type": "brief"},
    ),
    Row(route=f"{SESSION}summary/download/", kind="session", allow=give(200, MEMBER)),
    Row(
        route="chat/summaries/<uuid:summary_id>/items/<int:number>/",
        method="POST",
        kind="summary",
        allow=give(302, MEMBER),
        data={"done": "1"},
        address="chat/summaries/<uuid:summary_id>/items/0/",
    ),
    Row(
        route=f"{SESSION}remember/",
        method="POST",
        kind="session",
        allow=give(302, MEMBER),
        data={"memory": "off"},
    ),
    Row(route="account/memory/", allow=EVERYONE_IN),
    Row(
        route="account/memory/<uuid:memory_id>/",
        method="POST",
        kind="memory",
        allow=give(302, MEMBER),
        data={"action": "delete"},
    ),
    Row(
        route="account/memory/switch/",
        method="POST",
        kind="clone",
        allow=give(302, MEMBER),
        data={"clone": "{clone}", "memory": "off"},
        address="account/memory/switch/",
    ),
    Row(
        route="account/memory/forget/",
        method="POST",
        kind="clone",
        allow=give(302, MEMBER),
        data={"clone": "{clone}"},
        address="account/memory/forget/",
    ),
    Row(route=f"{MESSAGE}edit/", kind="question", allow=give(200, MEMBER)),
    Row(
        route=f"{MESSAGE}edit/",
        method="POST",
        kind="question",
        allow=give(422, MEMBER),
        data={"content": " "},
    ),
    Row(route=f"{MESSAGE}stop/", method="POST", kind="answer", allow=give(302, MEMBER)),
    Row(route=f"{MESSAGE}regenerate/", method="POST", kind="answer", allow=give(302, MEMBER)),
    Row(
        route=f"{MESSAGE}feedback/",
        method="POST",
        kind="answer",
        allow=give(302, MEMBER),
        data={"rating": "1"},
    ),
    Row(route="sources/<uuid:citation_id>/", kind="citation", allow=give(200, MEMBER, REVIEWER, ADMIN)),
    Row(route="sources/<uuid:citation_id>/file/", kind="citation"),  # downloads are off in the houses
    Row(route="account/api-keys/", allow=EVERYONE_IN),
    Row(route="account/api-keys/", method="POST", allow=EVERYONE_IN, data={"name": "n", "scopes": ["chat"]}),
    Row(route="account/api-keys/<int:key_id>/revoke/", method="POST", kind="key", allow=give(302, MEMBER)),
    Row(route="account/data/", allow=EVERYONE_IN),
    Row(route="account/data/archive/", method="POST", allow=give(302, *PEOPLE)),
    Row(route="account/data/archive/<uuid:export_id>/", kind="export", allow=give(200, MEMBER)),
    Row(route="account/data/erase/", method="POST", allow=give(422, *PEOPLE), data={"password": "wrong"}),
    Row(route="account/data/erased/", zone="public"),
    Row(route="healthz", zone="public", allow=EVERYBODY),
    Row(route="metrics", zone="public", allow=EVERYBODY),  # to this machine; cloneai/tests/test_metrics.py
    Row(route="readyz", zone="public", allow=EVERYBODY),
]


def operation(path: str, method: str = "GET", **fields: Any) -> Row:
    return Row(route=f"api/{path}", method=method, zone="api", **{"as_json": method != "GET", **fields})


CLONE_API, DOCUMENT_API = "clones/{slug}", "documents/{document_id}"
TALK_API = "chat/sessions/{session_id}"
API = [
    Row(route="api/", zone="public"),
    Row(route="api/openapi.json", zone="public", allow=EVERYBODY),
    Row(route="api/docs", zone="public", allow=EVERYBODY),
    operation("clones", allow=EVERYONE_IN),
    operation("clones", "POST", allow=give(201, EXPERT, OTHER_EXPERT, ADMIN), data={"name": "New", "slug": "new"}),
    operation(CLONE_API, kind="clone", allow=give(200, *GUESTS)),
    operation(CLONE_API, "PATCH", kind="clone", allow=give(200, EXPERT, ADMIN), data={"headline": "New"}),
    operation(CLONE_API, "DELETE", kind="clone", allow=give(204, EXPERT, ADMIN)),
    operation(
        f"{CLONE_API}/documents", "POST", kind="clone", allow=give(202, EXPERT, ADMIN), data={"file": "a.txt"},
        as_json=False,
    ),
    operation(f"{CLONE_API}/documents", kind="clone", allow=give(200, EXPERT, ADMIN)),
    operation(f"{CLONE_API}/search", kind="clone", allow=give(200, EXPERT, ADMIN), data={"q": "soup"}),
    operation(DOCUMENT_API, kind="document", allow=give(200, EXPERT, ADMIN)),
    operation(DOCUMENT_API, "DELETE", kind="document", allow=give(204, EXPERT, ADMIN)),
    operation(f"{DOCUMENT_API}/retry", "POST", kind="document", allow=give(202, EXPERT, ADMIN)),
    operation("chat/sessions", "POST", kind="clone", allow=give(201, *GUESTS), data={"clone": "{clone}"}),
    operation("chat/sessions", allow=EVERYONE_IN),
    operation(TALK_API, kind="session", allow=give(200, MEMBER)),
    operation(TALK_API, "DELETE", kind="session", allow=give(204, MEMBER)),
    operation(f"{TALK_API}/end", "POST", kind="session", allow=give(200, MEMBER)),
    operation(
        "chat/message", "POST", kind="session", allow=give(422, MEMBER),
        data={"session_id": "{session}", "message": " "},
    ),
    operation(
        "chat/messages/{message_id}/feedback", "POST", kind="answer", allow=give(200, MEMBER), data={"rating": 1}
    ),
    operation(f"{TALK_API}/summaries", kind="session", allow=give(200, MEMBER)),
    operation(f"{TALK_API}/summaries", "POST", kind="session", allow=give(202, MEMBER), data={"summary_type": "brief"}),
    operation("memory", allow=EVERYONE_IN),
    operation("memory/{memory_id}", "PATCH", kind="memory", allow=give(200, MEMBER), data={"state": "confirmed"}),
    operation("memory/{memory_id}", "DELETE", kind="memory", allow=give(204, MEMBER)),
    operation("billing/costs", allow=EVERYONE_IN),
    operation("billing/costs", allow=EVERYONE_IN, data={"group_by": "clone"}),
    operation("billing/costs", allow=EVERYONE_IN, data={"group_by": "user"}),
    operation("billing/metrics", allow=give(200, REVIEWER, ADMIN)),
]  # fmt: skip

V1 = [
    Row(route="v1/models", zone="v1", allow=EVERYONE_IN),
    Row(route="v1/models/<str:slug>", zone="v1", kind="clone", allow=give(200, *GUESTS)),
    Row(
        route="v1/chat/completions", method="POST", zone="v1", kind="clone", allow=give(200, *GUESTS), as_json=True,
        data={"model": "{clone}", "messages": [{"role": "user", "content": "Hello!"}]},
    ),
    Row(route="v1/", zone="public", address="v1/nothing"),
]  # fmt: skip

# allauth's own pages: what they show is the visitor's own; here only that they are closed to outsiders, or not.
IN_ONLY = dict.fromkeys(PEOPLE, 200)
SENT_ON = dict.fromkeys(PEOPLE, 302)  # who is logged in already
ACCOUNTS = [
    *(
        Row(route=f"accounts/{path}", zone="public", allow={**EVERYBODY, **SENT_ON})
        for path in ("login/", "signup/")
    ),
    *(
        Row(route=f"accounts/{path}", allow=EVERYONE_IN)
        for path in ("logout/", "email/", "password/change/", "reauthenticate/")
    ),
    *(
        Row(route=f"accounts/{path}", zone="public", allow=EVERYBODY)
        for path in ("inactive/", "confirm-email/", "password/reset/", "password/reset/done/")
    ),
    Row(route="accounts/2fa/", allow=EVERYONE_IN),
    Row(route="accounts/2fa/reauthenticate/", allow={**SENT_ON, **give(200, MEMBER, STRANGER)}),  # they have a factor
    Row(route="accounts/2fa/authenticate/", zone="public", allow=give(302, *ACTORS)),
    Row(route="accounts/2fa/totp/activate/", allow=SENT_ON),  # to confirm who they are
    Row(route="accounts/2fa/totp/deactivate/"),
    Row(route="accounts/2fa/recovery-codes/", allow=give(302, MEMBER, STRANGER)),
    Row(route="accounts/2fa/recovery-codes/generate/", allow=SENT_ON),
    Row(route="accounts/2fa/recovery-codes/download/", allow=give(302, MEMBER, STRANGER)),
    Row(route="accounts/password/set/", allow=SENT_ON),
    Row(route="accounts/password/reset/key/done/", zone="public", allow=EVERYBODY),
    Row(route="accounts/login/code/confirm/", zone="public", allow=give(302, *ACTORS)),
    Row(
        route=r"accounts/^confirm-email/(?P<key>[-:\w]+)/$", zone="public", allow=EVERYBODY,
        address="accounts/confirm-email/wrong/",
    ),
    Row(
        route=r"accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$", zone="public",
        allow=EVERYBODY, address="accounts/password/reset/key/1-wrong/",
    ),
]  # fmt: skip


def admin_page(path: str, method: str = "GET", **fields: Any) -> Row:
    return Row(route=f"admin/{path}", method=method, zone="admin", **fields)


DOCUMENT_PAGE = "knowledge/document/<uuid:document_id>/"
RECEIPT_PAGE = "chat/chatsession/receipt/<uuid:message_id>/"
IN_ADMIN = give(200, *STAFF)
NO_ADMIN = give(403, EXPERT, OTHER_EXPERT, REVIEWER)
ADMIN_PAGES = [
    admin_page("", allow=IN_ADMIN),
    admin_page("search/", allow=IN_ADMIN, data={"s": "mark"}),
    Row(route="admin/r/<path:rest>", zone="public", address="admin/r/4/1/"),
    Row(route="admin/r/<path:content_type_id>/<path:object_id>/", zone="public", address="admin/r/4/1/"),
    admin_page("login/", allow=give(302, *ACTORS) | give(403, MEMBER, STRANGER)),
    admin_page("logout/", "POST", allow=give(302, *STAFF)),
    admin_page("password_change/", allow=give(302, *STAFF)),
    admin_page("password_change/done/", allow=IN_ADMIN),
    admin_page("autocomplete/", refuse=give(403, *STAFF)),
    admin_page("jsi18n/", allow=IN_ADMIN),
    admin_page(
        r"^(?P<app_label>accounts|account|mfa|django_q|clones|billing|knowledge|chat)/$", address="admin/clones/",
        allow=give(200, EXPERT, OTHER_EXPERT, ADMIN),
    ),
    admin_page("(?P<url>.*)$", address="admin/no/such/page/"),
    admin_page("accounts/user/<id>/password/", kind="guest", allow=give(200, ADMIN), refuse=NO_ADMIN),
    admin_page("accounts/user/<path:object_id>/personal-data/", kind="guest", allow=give(200, ADMIN)),
    admin_page("accounts/user/<path:object_id>/personal-data/", "POST", kind="guest", allow=give(200, ADMIN)),
    admin_page("billing/costrecord/report/", allow=IN_ADMIN),
    admin_page("billing/costrecord/report/", allow=IN_ADMIN, data={"group_by": "user"}),
    admin_page("billing/costrecord/report/", allow=IN_ADMIN, data={"group_by": "clone"}),
    admin_page("billing/costrecord/report/", allow=IN_ADMIN, data={"group_by": "user", "format": "csv"}),
    admin_page("billing/costrecord/performance/", allow=IN_ADMIN),
    admin_page("billing/costrecord/performance/", allow=IN_ADMIN, data={"format": "csv"}),
    admin_page("chat/evaluationquestion/clone/<int:clone_id>/", kind="clone_pk", allow=give(200, EXPERT, ADMIN)),
    admin_page(
        "chat/evaluationquestion/clone/<int:clone_id>/", "POST", kind="clone_pk", allow=give(302, EXPERT, ADMIN),
        data={"do": "liked"},
    ),
    admin_page("chat/evaluationquestion/run/<uuid:run_id>/", kind="run", allow=give(200, EXPERT, ADMIN)),
    admin_page(RECEIPT_PAGE, kind="answer", allow=give(200, REVIEWER, ADMIN)),
    *(
        admin_page(f"chat/knowledgegap/<int:gap_id>/{name}/", method, kind="gap", allow=give(status, EXPERT, ADMIN))
        for name, method, status in (
            ("answer", "GET", 405), ("answer", "POST", 422), ("replay", "GET", 405), ("replay", "POST", 302)
        )
    ),
    admin_page("chat/sessionsummary/insights/", allow=IN_ADMIN),
    admin_page("knowledge/document/status/", allow=IN_ADMIN, data={"id": "{document}"}),
    admin_page(f"{DOCUMENT_PAGE}text/", kind="document", allow=give(200, EXPERT, ADMIN)),
    admin_page(f"{DOCUMENT_PAGE}passages/", kind="document", allow=give(200, EXPERT, ADMIN)),
    admin_page(f"{DOCUMENT_PAGE}replace/", kind="document", allow=give(200, EXPERT, ADMIN)),
    admin_page(f"{DOCUMENT_PAGE}replace/", "POST", kind="document", allow=give(200, EXPERT, ADMIN)),
    admin_page(f"{DOCUMENT_PAGE}retry/", "POST", kind="document", allow=give(302, EXPERT, ADMIN)),
    admin_page(f"{DOCUMENT_PAGE}keep/", "POST", kind="document", allow=give(302, EXPERT, ADMIN)),
    admin_page("knowledge/document/check/<int:clone_id>/", kind="clone_pk", allow=give(200, EXPERT, ADMIN)),
    admin_page("knowledge/document/check/<int:clone_id>/", "POST", kind="clone_pk", allow=give(200, EXPERT, ADMIN)),
]  # fmt: skip

ROWS = [*PAGES, *API, *V1, *ACCOUNTS, *ADMIN_PAGES]


@dataclass(frozen=True, kw_only=True)
class AdminRules:
    """Who may do what with one model's rows of house "a"; `actions` names who is offered each action."""

    kind: str
    sees: Collection[str] = (ADMIN,)  # who has the list at all
    views: Collection[str] = (ADMIN,)
    changes: Collection[str] = ()
    adds: Collection[str] = ()
    deletes: Collection[str] = ()
    actions: Mapping[str, Collection[str]] = field(default_factory=dict)
    shows: Collection[str] = ()
    hides: bool = False  # its change page is our own and says 404 where Django would say 403


EXPERTS_OF_ALL = (EXPERT, OTHER_EXPERT, ADMIN)
ONE_EXPERT = (EXPERT, ADMIN)
DELETED = {"delete_selected": (ADMIN,)}
ADMINS = {
    "accounts.apikey": AdminRules(kind="key", actions={"revoke": (ADMIN,)}),
    "accounts.auditentry": AdminRules(kind="audit"),
    "accounts.user": AdminRules(
        kind="guest", changes=(ADMIN,), adds=(ADMIN,),
        actions={"export_data": (ADMIN,), "erase_data": (ADMIN,)},
    ),
    "account.emailaddress": AdminRules(
        kind="address", changes=(ADMIN,), adds=(ADMIN,), deletes=(ADMIN,), actions=DELETED | {"make_verified": (ADMIN,)}
    ),
    "mfa.authenticator": AdminRules(kind="factor", deletes=(ADMIN,), actions=DELETED),
    "django_q.schedule": AdminRules(
        kind="schedule", changes=(ADMIN,), adds=(ADMIN,), deletes=(ADMIN,), actions=DELETED
    ),
    "django_q.success": AdminRules(kind="success", deletes=(ADMIN,), actions=DELETED | {"resubmit_task": (ADMIN,)}),
    "django_q.failure": AdminRules(kind="failure", deletes=(ADMIN,), actions=DELETED | {"resubmit_task": (ADMIN,)}),
    "django_q.ormq": AdminRules(kind="job", changes=(ADMIN,), deletes=(ADMIN,), actions=DELETED),
    "billing.modelprice": AdminRules(
        kind="price", changes=(ADMIN,), adds=(ADMIN,), deletes=(ADMIN,), actions=DELETED
    ),
    "billing.costrecord": AdminRules(kind="cost", sees=STAFF, views=(EXPERT, REVIEWER, ADMIN)),
    "clones.clone": AdminRules(
        kind="clone_pk", sees=EXPERTS_OF_ALL, views=ONE_EXPERT, changes=ONE_EXPERT, adds=EXPERTS_OF_ALL,
        deletes=ONE_EXPERT, actions={"delete_selected": EXPERTS_OF_ALL}, shows=("address",),  # they were invited by it
    ),
    "knowledge.document": AdminRules(
        kind="document", sees=EXPERTS_OF_ALL, views=ONE_EXPERT, changes=ONE_EXPERT, adds=EXPERTS_OF_ALL,
        deletes=ONE_EXPERT, actions={"delete_selected": EXPERTS_OF_ALL, "retry": EXPERTS_OF_ALL},
    ),
    "chat.chatsession": AdminRules(kind="session", sees=(REVIEWER, ADMIN), views=(REVIEWER, ADMIN), hides=True),
    "chat.sessionsummary": AdminRules(
        kind="summary", sees=STAFF, views=(EXPERT, REVIEWER, ADMIN), changes=(REVIEWER, ADMIN),
        actions=dict.fromkeys(("assign_to_me", "mark_done", "mark_in_review", "write_again"), (REVIEWER, ADMIN)),
    ),
    "chat.evaluationquestion": AdminRules(
        kind="evaluation", sees=EXPERTS_OF_ALL, views=ONE_EXPERT, changes=ONE_EXPERT, adds=EXPERTS_OF_ALL,
        deletes=ONE_EXPERT, actions={"delete_selected": EXPERTS_OF_ALL},
    ),
    "chat.knowledgegap": AdminRules(
        kind="gap", sees=EXPERTS_OF_ALL, views=ONE_EXPERT, hides=True,
        actions=dict.fromkeys(("close", "reopen", "join"), EXPERTS_OF_ALL),
    ),
}  # fmt: skip


def expand(label: str, rules: AdminRules) -> list[Row]:
    """The seven addresses that each ModelAdmin has."""
    base = label.replace(".", "/")
    one = f"{base}/<path:object_id>/"
    closed = {} if rules.hides else give(403, *(name for name in STAFF if name not in rules.sees))
    may_delete = {*rules.deletes, *(MIRROR[name] for name in rules.deletes if name in MIRROR)}
    no_delete = give(403, *(name for name in STAFF if name not in may_delete))
    same: dict[str, Any] = {"kind": rules.kind, "shows": rules.shows}
    return [
        admin_page(f"{base}/", allow=give(200, *rules.sees), refuse=give(403, *STAFF)),
        admin_page(f"{base}/add/", allow=give(200, *rules.adds), refuse=give(403, *STAFF)),
        admin_page(f"{one}change/", allow=give(200, *rules.views), refuse=closed, **same),
        admin_page(f"{one}history/", allow=give(200, *rules.views), **same),
        admin_page(f"{one}delete/", allow=give(200, *rules.deletes), refuse=no_delete, **same),
        admin_page(one, allow=give(302, *STAFF), refuse=give(302, *STAFF), **same),
    ]


# Their database work is done in other threads, which see only what is committed.
THREADED = {
    "c/<slug:slug>/chat/", "chat/<uuid:session_id>/", "chat/messages/<uuid:message_id>/stop/",
    "chat/messages/<uuid:message_id>/regenerate/", "chat/messages/<uuid:message_id>/edit/",
    "sources/<uuid:citation_id>/file/", "api/chat/message", "api/clones/{slug}/search",
    "v1/models", "v1/models/<str:slug>", "v1/chat/completions", "v1/",
}  # fmt: skip
SOCKETS = {"ws/chat/<uuid:session_id>/", ""}  # chat/tests/test_socket_permissions.py; the second is refused
