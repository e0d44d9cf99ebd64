"""What the admin's frame shows: the sidebar of a role, the label of offline mode, our style sheet."""

from typing import Any

from django.conf import settings
from django.templatetags.static import static
from django.urls import reverse

from cloneai.accounts.admin_access import StaffRequest

Link = tuple[str, str, str]

# Title, name of the address, Material symbol.
OVERVIEW: tuple[Link, ...] = (("Overview", "index", "dashboard"),)
CLONES: tuple[Link, ...] = (
    ("Clones", "clones_clone_changelist", "person"),
    ("Documents", "knowledge_document_changelist", "description"),
    ("Upload", "knowledge_document_add", "upload"),
    ("Knowledge gaps", "chat_knowledgegap_changelist", "help"),
    ("Evaluation", "chat_evaluationquestion_changelist", "fact_check"),
)
CONVERSATIONS: tuple[Link, ...] = (("Conversations", "chat_chatsession_changelist", "forum"),)
SUMMARIES: tuple[Link, ...] = (
    ("Summaries", "chat_sessionsummary_changelist", "summarize"),
    ("Insights", "chat_insights", "insights"),
)
COSTS: tuple[Link, ...] = (
    ("Cost report", "billing_report", "payments"),
    ("Performance", "billing_performance", "speed"),
    ("Single calls", "billing_costrecord_changelist", "receipt_long"),
)
ADMINISTRATION: tuple[Link, ...] = (
    ("People", "accounts_user_changelist", "group"),
    ("E-mail addresses", "account_emailaddress_changelist", "mail"),
    ("Second factors", "mfa_authenticator_changelist", "phonelink_lock"),
    ("API keys", "accounts_apikey_changelist", "key"),
    ("Prices", "billing_modelprice_changelist", "sell"),
    ("Audit log", "accounts_auditentry_changelist", "history"),
    ("Waiting jobs", "django_q_ormq_changelist", "pending_actions"),
    ("Finished jobs", "django_q_success_changelist", "task_alt"),
    ("Failed jobs", "django_q_failure_changelist", "error"),
    ("Schedules", "django_q_schedule_changelist", "schedule"),
)


def build_sidebar(request: StaffRequest) -> list[dict[str, Any]]:
    """Groups of links for this person; pages they may not open are not there."""
    user = request.user
    conversations = CONVERSATIONS + SUMMARIES if user.is_reviewer else SUMMARIES
    groups = [
        _group("", OVERVIEW),
        _group("Clones", CLONES if user.is_expert else ()),
        _group("Conversations", conversations if user.is_expert or user.is_reviewer else ()),
        _group("Money", COSTS if user.is_expert or user.is_reviewer else ()),
        _group("Administration", ADMINISTRATION if user.is_superuser else ()),
    ]
    items = [item for group in groups for item in group["items"]]
    current = max(
        (item["link"] for item in items if request.path.startswith(item["link"])), key=len, default=""
    )
    for item in items:
        item["active"] = item["link"] == current
    return [group for group in groups if group["items"]]


def label_environment(request: StaffRequest) -> list[str] | None:
    """Shown in the header of every page while no provider is configured."""
    return ["Offline mode", "warning"] if settings.AI_OFFLINE else None


def find_style_sheet(request: StaffRequest) -> str:
    return static("admin_extra/admin.css")


def find_favicon(request: StaffRequest) -> str:
    return static("favicon.svg")


def _group(title: str, links: tuple[Link, ...]) -> dict[str, Any]:
    items = [{"title": name, "link": reverse(f"admin:{url}"), "icon": icon} for name, url, icon in links]
    return {"title": title, "separator": bool(title), "items": items}
