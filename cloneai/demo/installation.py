"""Puts the demo in place: three accounts, Mara's clone, and her documents through the real pipeline. Idempotent."""

import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.files import File
from django.db import transaction

from cloneai.accounts.models import EXPERTS, REVIEWERS, User
from cloneai.demo.persona import MARA
from clones.models import Clone, Visibility
from knowledge.ingestion import ingest_document
from knowledge.models import Document, Status
from knowledge.uploads import UploadRefused, create_document, retry_document

DOCUMENTS = Path(__file__).parent / "documents"
TITLES = {
    "the-first-ninety-days-of-leading.pdf": "The first ninety days of leading",
    "feedback-and-hard-conversations-workbook.docx": "Workbook: feedback and hard conversations",
    "letters-to-new-leads.txt": "Letters to new leads",
}


@dataclass(frozen=True, slots=True)
class DemoAccount:
    email: str
    name: str
    group: str | None


ACCOUNTS = (
    DemoAccount("expert@example.com", "Mara Lindqvist", EXPERTS),
    DemoAccount("reviewer@example.com", "Robin Reviewer", REVIEWERS),
    DemoAccount("member@example.com", "Mika Member", None),
)


def demo_password_path() -> Path:
    return Path(settings.VAR_DIR) / "demo-password"


@transaction.atomic
def ensure_accounts() -> str:
    """Creates what is missing and returns the password of the three accounts, kept in `var/demo-password`."""
    path = demo_password_path()
    password = path.read_text().strip() if path.exists() else ""
    is_new_password = not password
    if is_new_password:
        password = secrets.token_urlsafe(9)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(password + "\n")
    for account in ACCOUNTS:
        user = User.objects.filter(email=account.email).first()
        if user is None:
            user = User.objects.create_user(
                email=account.email, password=password, name=account.name, is_staff=account.group is not None
            )
        elif is_new_password:
            user.set_password(password)
            user.save(update_fields=["password"])
        if account.group is not None:
            user.groups.add(Group.objects.get(name=account.group))
        EmailAddress.objects.get_or_create(
            user=user, email=account.email, defaults={"verified": True, "primary": True}
        )
    return password


def ensure_clone() -> Clone:
    """Mara's clone; one that is there already is left as its owner has changed it."""
    fields = asdict(MARA)
    slug = fields.pop("slug")
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
    clone, _created = Clone.objects.get_or_create(
        slug=slug,
        defaults={
            **fields,
            "owner": User.objects.get(email=ACCOUNTS[0].email),
            "visibility": Visibility.PUBLIC,
            "allow_download": True,
        },
    )
    return clone


def load_documents(*, clone: Clone) -> Iterator[Document]:
    """Uploads and ingests what is not ready yet, yielding each document when its processing has ended.

    One that an earlier run left failed or waiting is processed again.
    """
    known = {document.file_name: document for document in clone.documents.all()}
    for name, title in TITLES.items():
        if document := known.get(name):
            if document.status != Status.READY:
                yield _process_again(document)
            continue
        with (DOCUMENTS / name).open("rb") as file:
            try:
                document = create_document(
                    clone=clone,
                    file=File(file, name=name),
                    file_name=name,
                    title=title,
                    uploaded_by=clone.owner,
                )
            except UploadRefused as refusal:
                if refusal.existing is None:
                    raise
                continue
        ingest_document(document_id=document.pk)
        document.refresh_from_db()
        yield document


def _process_again(document: Document) -> Document:
    if document.is_final:
        retry_document(document=document)
    ingest_document(document_id=document.pk)
    document.refresh_from_db()
    return document
