"""Evaluations: questions from CSV and liked answers, runs, and the command as a gate."""

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from billing.models import CostRecord
from billing.prices import seed_prices
from chat.evaluation import run_evaluation, start_run
from chat.evaluation_questions import ImportRefused, import_questions, take_liked_answers
from chat.models import ChatSession, Citation, EvaluationQuestion, EvaluationRun, Message, Role, RunStatus
from cloneai.accounts.models import User
from clones.models import Clone
from knowledge.models import Document
from knowledge.uploads import delete_document

CSV = (
    "question,expected_quotes,expected_answer,expects_no_answer\n"
    'How long does the pepper soup simmer?,Simmer it for twenty-five minutes,"Twenty-five minutes",\n'
    "How often do I hold a one-on-one?,Hold a one-on-one with every person each week,,\n"
    "Who won the football world cup in 1974?,,,yes\n"
)


@pytest.fixture
def questions(transactional_db: None, material: Document, clone: Clone) -> Clone:
    seed_prices()
    assert import_questions(clone=clone, content=CSV.encode()).added == 3
    return clone


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "first line"),
        (b"frage\nWas?\n", "first line"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "CSV UTF-8"),
        (b"question,expected_answer,expects_no_answer\nWhy?,Because,yes\n", "Line 2"),
        (b"question\n" + b"w" * 1001 + b"\n", "Line 2"),
    ],
)
def test_bad_files_are_refused_whole(clone: Clone, content: bytes, reason: str):
    with pytest.raises(ImportRefused, match=reason):
        import_questions(clone=clone, content=content)
    assert not EvaluationQuestion.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_files_are_read_as_spreadsheets_save_them(clone: Clone, encoding: str, delimiter: str):
    lines = (("question", "expected_answer"), ("Wo ist das Büro?", "In Köln"))
    content = "\r\n".join(delimiter.join(line) for line in lines).encode(encoding)
    assert import_questions(clone=clone, content=content).added == 1
    assert EvaluationQuestion.objects.values_list("question", "expected_answer").get() == lines[1]


@pytest.mark.django_db
def test_the_same_file_again_adds_nothing(clone: Clone):
    import_questions(clone=clone, content=CSV.encode())
    imported = import_questions(clone=clone, content=CSV.encode("utf-8-sig"))
    assert (imported.added, imported.known) == (0, 3)


def test_run_stores_figures_and_the_command_is_a_gate(questions: Clone, material: Document, capsys):
    call_command("evaluate", "ada", label="first")
    run = EvaluationRun.objects.get()
    assert (run.status, run.label, run.figures["questions"]) == (RunStatus.READY, "first", 3)
    assert (run.figures["recall"], run.figures["mrr"], run.figures["right_refusals"]) == (1.0, 1.0, 1.0)
    assert run.figures["unsupported"] == 0.0
    assert not CostRecord.objects.exclude(message=None).exists()  # nothing hangs on a conversation
    call_command("evaluate", "ada", baseline="last")
    delete_document(document=material)
    with pytest.raises(CommandError, match=r"Worse than the baseline\. Recall@5: 1 before, 0 now"):
        call_command("evaluate", "ada", baseline=str(run.pk))
    assert "Recall@5" in capsys.readouterr().out


def test_interrupted_run_goes_on_where_it_stopped(questions: Clone):
    run = start_run(clone=questions, queue=False)
    run_evaluation(run_id=run.pk)
    kept = run.results.get(question_text__startswith="Who won")
    run.results.exclude(pk=kept.pk).delete()
    run_evaluation(run_id=run.pk)
    assert run.results.count() == 3
    assert run.results.filter(pk=kept.pk).exists()


@pytest.mark.django_db
def test_run_without_questions_fails_with_a_reason(clone: Clone):
    run = run_evaluation(run_id=start_run(clone=clone, queue=False).pk)
    assert (run.status, run.error_message) == (
        RunStatus.FAILED,
        "There are no questions yet. Add some first.",
    )
    with pytest.raises(CommandError, match="no finished run"):
        call_command("evaluate", "ada", baseline="last")
    with pytest.raises(CommandError, match="There is no clone"):
        call_command("evaluate", "nobody")


@pytest.mark.django_db
def test_liked_answers_become_questions_with_the_sentences_they_rest_on(clone: Clone, session: ChatSession):
    question = Message.objects.create(session=session, role=Role.USER, content="How long?")
    answer = Message.objects.create(
        session=session, role=Role.ASSISTANT, content="Long [1].", reply_to=question, rating=1
    )
    Citation.objects.create(
        message=answer, number=1, title="Notes", page=1, quote="It rains. It simmers long.", start_char=100,
        end_char=126, focus_start=110, focus_end=126, similarity_score=0.5,
    )  # fmt: skip
    assert take_liked_answers(clone=clone) == 1
    assert take_liked_answers(clone=clone) == 0
    assert EvaluationQuestion.objects.get().quotes == ["It simmers long."]
    session.delete()  # the member's words go with the conversation
    assert not EvaluationQuestion.objects.exists()


def test_admin_shows_two_runs_side_by_side(questions: Clone, expert: User, other_expert: User):
    first, second = (start_run(clone=questions, label=label, queue=False) for label in ("First", "Second"))
    for run in (first, second):
        run_evaluation(run_id=run.pk)
    client = Client()
    client.force_login(expert)
    page = client.get(f"{second.get_absolute_url()}?baseline={first.pk}").content.decode()
    assert "First of" in page
    assert "Recall@5 before" in page
    hub = reverse("admin:chat_evaluation", args=[questions.pk])
    assert "Second of" in client.get(hub).content.decode()
    assert client.post(hub, {"do": "run", "label": "Third"}).status_code == 302
    assert EvaluationRun.objects.get(label="Third").started_by == expert
    stranger = Client()
    stranger.force_login(other_expert)
    assert stranger.get(hub).status_code == 404
    assert stranger.get(second.get_absolute_url()).status_code == 404
