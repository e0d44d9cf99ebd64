"""`ingest` and `reembed` from the command line."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from billing.tests.fake_provider import FakeProvider, Handler
from clones.models import Clone
from knowledge.models import ChunkEmbedding, Document, Status
from knowledge.tests.conftest import MEETINGS, SLEEP, ingest, store
from knowledge.tests.made_documents import make_pdf

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _prices(prices: None) -> None:
    """Both commands embed."""


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_ingest_makes_files_ready_and_says_so(clone: Clone, tmp_path: Path):
    (tmp_path / "sleep.txt").write_text(SLEEP)
    (tmp_path / "meetings.pdf").write_bytes(make_pdf(MEETINGS, "Page two is about rest."))
    out, _ = run("ingest", "ada", str(tmp_path / "sleep.txt"), str(tmp_path / "meetings.pdf"))
    assert set(Document.objects.values_list("status", "uploaded_by")) == {(Status.READY, clone.owner_id)}
    assert "sleep.txt: ready, 1 page, 1 passage" in out
    assert "meetings.pdf: ready, 2 pages" in out


def test_ingest_goes_on_after_a_failure_and_exits_with_the_reason(clone: Clone, tmp_path: Path):
    (tmp_path / "scan.pdf").write_bytes(make_pdf(""))
    (tmp_path / "sleep.txt").write_text(SLEEP)
    out, err = StringIO(), StringIO()
    files = [str(tmp_path / name) for name in ("scan.pdf", "missing.txt", "sleep.txt")]
    with pytest.raises(CommandError, match="2 of 3"):
        call_command("ingest", "ada", *files, stdout=out, stderr=err)
    assert "scan.pdf" in err.getvalue()
    assert "[no_text]" in err.getvalue()
    assert "missing.txt: It cannot be read" in err.getvalue()
    assert "sleep.txt: ready" in out.getvalue()


def test_ingest_of_the_same_file_again_is_no_failure(clone: Clone, tmp_path: Path):
    (tmp_path / "sleep.txt").write_text(SLEEP)
    for _time in range(2):
        out, _ = run("ingest", "ada", str(tmp_path / "sleep.txt"))
        assert "ready" in out
    assert Document.objects.count() == 1


@pytest.mark.parametrize("arguments", [("ingest", "nobody", "x.txt"), ("reembed", "nobody"), ("reembed",)])
def test_wrong_arguments_are_a_sentence(db, arguments: tuple[str, ...]):
    with pytest.raises(CommandError, match=r"\."):
        run(*arguments)


def test_reembed_switches_the_clone_and_drops_the_old_vectors(clone: Clone, provider: FakeProvider, settings):
    ingest(store(clone=clone, text=SLEEP))
    ingest(store(clone=clone, text=MEETINGS, name="b.txt"))
    settings.EMBEDDING_MODEL = "text-embedding-3-small"
    out, _ = run("reembed", "--all")
    assert "ada: 2 vectors by text-embedding-3-small" in out
    clone.refresh_from_db()
    assert clone.embedding_model == "text-embedding-3-small"
    assert set(ChunkEmbedding.objects.values_list("model", "is_live")) == {("text-embedding-3-small", True)}
    assert "ada: nothing to do" in run("reembed", "ada")[0]


def test_reembed_that_fails_leaves_the_old_vectors_live(clone: Clone, provider: FakeProvider, settings):
    ingest(store(clone=clone, text=SLEEP))

    def refuse(handler: Handler, body: dict) -> None:
        handler.send_json({"error": {"message": "no"}}, status=400)

    provider.replies = [refuse]
    settings.EMBEDDING_MODEL = "text-embedding-3-small"
    with pytest.raises(CommandError, match="1 of 1"):
        run("reembed", "ada")
    assert set(ChunkEmbedding.objects.values_list("model", "is_live")) == {("text-embedding-3-large", True)}


def test_reembed_offline_by_another_model_says_which_one_there_is(clone: Clone, settings):
    settings.AI_OFFLINE = True
    settings.EMBEDDING_MODEL = settings.LOCAL_EMBEDDING_MODEL
    with pytest.raises(CommandError, match=r"not available in offline mode; local-wordllama-256 is\."):
        run("reembed", "ada", "--model", "text-embedding-3-small")


def test_reembed_by_the_local_model_needs_offline_mode(clone: Clone, provider: FakeProvider):
    with pytest.raises(CommandError, match="only available in offline mode"):
        run("reembed", "ada", "--model", "local-wordllama-256")
