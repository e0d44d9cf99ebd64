"""The admin's first page: figures and clones by role."""

from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse

from chat.models import (
    ChatSession,
    GapQuestion,
    KnowledgeGap,
    Message,
    ReviewState,
    Role,
    SessionSummary,
    SummaryStatus,
)
from cloneai.accounts.models import User
from clones.models import Clone
from knowledge.models import Document, Status


def store(clone: Clone, status: Status, number: int) -> None:
    Document.objects.create(
        clone=clone,
        title=f"Document {number}",
        file=ContentFile(b"x", name="x"),
        sha256=f"{number:064d}",
        status=status,
        error_message="broken" if status == Status.FAILED else "",
        chunk_count=1,
        live_version=1 if status == Status.READY else None,
    )


def open_dashboard(client: Client, person: User):
    client.force_login(person)
    response = client.get(reverse("admin:index"))
    assert response.status_code == 200
    return response


def figures(client: Client, person: User) -> dict[str, str]:
    return {figure.label: figure.value for figure in open_dashboard(client, person).context["figures"]}


def test_expert_sees_own_clones_with_the_states_of_their_documents(
    client: Client, expert: User, clone: Clone, other_clone: Clone, settings, tmp_path
):
    settings.MEDIA_ROOT = tmp_path
    states = [Status.READY, Status.READY, Status.FAILED, Status.QUEUED, Status.EMBEDDING, Status.CLEANING]
    for number, status in enumerate(states):
        store(clone, status, number)
    response = open_dashboard(client, expert)
    found = [
        (row.name, row.ready_total, row.failed_total, row.working_total) for row in response.context["clones"]
    ]
    assert found == [("Ada Berg", 2, 1, 3)]
    assert other_clone.name not in response.content.decode()


def test_clone_without_documents_counts_none_in_work(client: Client, expert: User, clone: Clone):
    row = open_dashboard(client, expert).context["clones"][0]
    assert (row.ready_total, row.failed_total, row.working_total) == (0, 0, 0)


def test_expert_without_a_clone_is_led_to_the_first_one(client: Client, expert: User):
    assert reverse("admin:clones_clone_add") in open_dashboard(client, expert).content.decode()


def test_reviewer_sees_the_day_and_what_waits(client: Client, reviewer: User, clone: Clone, member: User):
    session = ChatSession.objects.create(clone=clone, user=member)
    SessionSummary.objects.create(session=session, status=SummaryStatus.READY)
    SessionSummary.objects.create(session=session, status=SummaryStatus.READY, review_state=ReviewState.DONE)
    SessionSummary.objects.create(session=session, status=SummaryStatus.QUEUED)
    assert figures(client, reviewer) == {
        "Conversations begun today": "1",
        "Summaries to review": "1",
        "Spent today (UTC)": "$0.0000",
    }


def test_figures_lead_to_the_rows_that_they_count(client: Client, admin: User, clone: Clone, member: User):
    session = ChatSession.objects.create(clone=clone, user=member)
    SessionSummary.objects.create(session=session, status=SummaryStatus.READY)
    SessionSummary.objects.create(session=session, status=SummaryStatus.FAILED, error_message="busy")
    for closed_at in (None, session.created_at):
        message = Message.objects.create(session=session, role=Role.USER, content="?")
        gap = KnowledgeGap.objects.create(clone=clone, closed_at=closed_at)
        GapQuestion.objects.create(gap=gap, message=message, question="?")
    shown = {figure.label: figure for figure in open_dashboard(client, admin).context["figures"]}
    for label in ("Summaries to review", "Open knowledge gaps"):
        assert shown[label].value == "1"
        assert len(client.get(shown[label].url).context["cl"].result_list) == 1


def test_dashboard_does_not_query_once_a_clone(
    client: Client, admin: User, expert: User, django_assert_max_num_queries
):
    Clone.objects.bulk_create(
        Clone(owner=expert, name=f"C{number}", slug=f"c{number}") for number in range(20)
    )
    client.force_login(admin)
    with django_assert_max_num_queries(12):
        assert client.get(reverse("admin:index")).status_code == 200
