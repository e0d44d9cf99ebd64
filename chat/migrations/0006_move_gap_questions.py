"""A gap had one question; now it has as many as were asked. Conversations from before are settled: no flood of jobs."""

from django.db import migrations
from django.db.models import F


def move_questions(apps, schema_editor):
    question_model = apps.get_model("chat", "GapQuestion")
    gaps = apps.get_model("chat", "KnowledgeGap").objects.select_related("message__session")
    question_model.objects.bulk_create(
        (
            question_model(
                gap=gap,
                message=gap.message,
                asked_by_id=gap.message.session.user_id,
                question=gap.question,
                query=gap.message.query_used,
                created_at=gap.created_at,
            )
            for gap in gaps.iterator(chunk_size=500)
        ),
        batch_size=500,
    )
    apps.get_model("chat", "ChatSession").objects.update(settled_at=F("last_activity_at"))


class Migration(migrations.Migration):
    dependencies = [("chat", "0005_memory_gaps_review")]

    operations = [
        migrations.RunPython(move_questions, migrations.RunPython.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.RemoveField(model_name="knowledgegap", name="message"),
        migrations.RemoveField(model_name="knowledgegap", name="question"),
    ]
