"""Everything that a page can show, put into a running installation for the pages to be looked at."""

from dataclasses import dataclass

from cloneai.tests.browser.conftest import Product

CODE = """
import json
from django.utils import timezone
from chat.models import ChatSession, Citation, GapQuestion, KnowledgeGap, Memory, Message, SessionSummary
from cloneai.accounts.models import ApiKey, User
from clones.models import Clone
from knowledge.models import Chunk

member, expert = (User.objects.get(email=f"{name}@example.com") for name in ("member", "expert"))
mara = Clone.objects.get(slug="mara")
Clone.objects.create(
    owner=expert, slug="bare", name="Bo", visibility="public", accent_color="#ffe14d", headline="a clone of few words"
)
chunks = list(Chunk.objects.filter(document__clone=mara).select_related("document")[:3])

TEXT = '''Hold a one-on-one **every week** [1], and keep it *short* [2].

## How to begin

1. Ask what matters.
   - Listen.
2. Write it down in `notes.md`.

> The agenda belongs to them [3].

| When | What | How long |
|:-----|:----:|---------:|
| Monday | One-on-one | 30 min |

```python
def meet(person: str) -> None: ...
```

More at [the book's page](https://example.org/book).'''


def say(session, question, text, **fields):
    asked = Message.objects.create(session=session, role="user", content=question, created_at=timezone.now())
    answer = Message.objects.create(
        session=session, role="assistant", content=text, reply_to=asked, finished_at=timezone.now(),
        created_at=timezone.now(), **fields,
    )
    if text:
        for number, chunk in enumerate(chunks, 1):
            Citation.objects.create(
                message=answer, number=number, chunk=chunk, document=chunk.document,
                document_version=chunk.document.version, title=chunk.document.title, page=chunk.page_start,
                quote=chunk.content, start_char=chunk.start_char, end_char=chunk.end_char, similarity_score=0.5,
                focus_start=chunk.start_char, focus_end=chunk.start_char + 40,
            )
    return asked, answer


open_ = ChatSession.objects.create(clone=mara, user=member, title="One-on-ones that people look forward to")
_, rated = say(open_, "How often should I hold one-on-ones?", TEXT, rating=-1, rating_comment="No page number.")
say(open_, "And for how long?", "About thirty minutes", status="interrupted")
asked, last = say(open_, "Can I skip one?", "", status="failed", error_message="Connection error. Please try again.")
gap = KnowledgeGap.objects.create(clone=mara)
GapQuestion.objects.create(gap=gap, message=last, asked_by=last.session.user, question=asked.content)
ended = ChatSession.objects.create(clone=mara, user=member, title="Giving feedback", ended_at=timezone.now())
_, cited = say(ended, "How do I give feedback?", TEXT)
SessionSummary.objects.create(
    session=ended, status="ready", finished_at=timezone.now(), summary_text="It was about feedback.",
    structured_data={
        "main_topics": ["Feedback", "One-on-ones"], "key_insights": ["Short and early helps."],
        "action_items": [{"description": "Ask Kim what would help.", "priority": "high", "estimated_effort": "small",
                          "message_number": 2, "message_id": str(cited.pk)}],
        "progress_made": ["A plan for Monday."], "next_steps": ["Try it once."],
        "overall_assessment": "A good start.",
    },
)
for kind, state, text in (
    ("user_goals", "candidate", "Wants to lead a team by spring."),
    ("user_preferences", "confirmed", "Likes short answers with one example."),
    ("context_to_remember", "superseded", "Finds feedback hard to give."),
):
    Memory.objects.create(
        user=member, clone=mara, message=asked, kind=kind, state=state, text=text, quote=text, confidence=0.8,
        fingerprint=text,
    )
empty = ChatSession.objects.create(clone=mara, user=member)
print(json.dumps({
    "open": str(open_.pk), "ended": str(ended.pk), "empty": str(empty.pk), "asked": str(asked.pk),
    "source": str(cited.citations.get(number=1).pk), "mara": str(mara.pk),
    "document": str(chunks[0].document.pk), "summary": str(ended.summaries.get().pk),
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A page, and who sees it; nobody is signed in for an empty `person`."""

    name: str
    path: str
    person: str = ""


def furnish(product: Product) -> list[Place]:
    """Adds conversations, a summary and a second clone; lists every page of the product."""
    made = product.run_code(CODE)
    for_all = {
        "gallery": "/",
        "gallery-no-match": "/?q=xyzzy",
        "profile": "/c/mara/",
        "profile-bare": "/c/bare/",
        "login": "/accounts/login/",
        "signup": "/accounts/signup/",
        "password-reset": "/accounts/password/reset/",
        "not-found": "/no-such-page/",
    }
    for_member = {
        "sessions": "/chat/",
        "sessions-no-match": "/chat/?q=xyzzy",
        "conversation": f"/chat/{made['open']}/",
        "conversation-empty": f"/chat/{made['empty']}/",
        "conversation-ended": f"/chat/{made['ended']}/",
        "edit": f"/chat/messages/{made['asked']}/edit/",
        "summary": f"/chat/{made['ended']}/summary/",
        "summary-none": f"/chat/{made['empty']}/summary/",
        "source": f"/sources/{made['source']}/",
        "memory": "/account/memory/",
        "data": "/account/data/",
        "api-keys": "/account/api-keys/",
        "email": "/accounts/email/",
        "password": "/accounts/password/change/",
        "second-factor": "/accounts/2fa/",
        "logout": "/accounts/logout/",
    }
    for_expert = {
        "admin-expert": "/admin/",
        "admin-documents": "/admin/knowledge/document/",
        "admin-upload": "/admin/knowledge/document/add/",
        "admin-document": f"/admin/knowledge/document/{made['document']}/change/",
        "admin-clone": f"/admin/clones/clone/{made['mara']}/change/",
        "admin-gaps": "/admin/chat/knowledgegap/",
    }
    for_reviewer = {
        "admin-reviewer": "/admin/",
        "admin-transcripts": "/admin/chat/chatsession/",
        "admin-transcript": f"/admin/chat/chatsession/{made['ended']}/change/",
        "admin-summaries": "/admin/chat/sessionsummary/",
        "admin-summary": f"/admin/chat/sessionsummary/{made['summary']}/change/",
    }
    groups = {"": for_all, "member": for_member, "expert": for_expert, "reviewer": for_reviewer}
    return [
        Place(name=name, path=path, person=person)
        for person, places in groups.items()
        for name, path in places.items()
    ]
