"""One index finds a clone's live vectors by all that a search asks of them, in place of two; the unique one finds those
of a passage. Built and dropped while searches and uploads go on, and without checking every row's keys once more, as
Django's own statements for a field without an index would.
"""

import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


def without_index(*, field: str, to: str, related_name: str, index: str) -> migrations.SeparateDatabaseAndState:
    return migrations.SeparateDatabaseAndState(
        database_operations=[
            migrations.RunSQL(
                sql=f'DROP INDEX CONCURRENTLY IF EXISTS "{index}"',
                reverse_sql=f'CREATE INDEX CONCURRENTLY "{index}" ON knowledge_chunkembedding ("{field}_id")',
            )
        ],
        state_operations=[
            migrations.AlterField(
                model_name="chunkembedding",
                name=field,
                field=models.ForeignKey(
                    db_index=False,
                    on_delete=django.db.models.deletion.CASCADE,
                    related_name=related_name,
                    to=to,
                ),
            )
        ],
    )


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("knowledge", "0005_words_by_clone")]

    operations = [
        AddIndexConcurrently(
            model_name="chunkembedding",
            index=models.Index(
                fields=["clone", "model", "dimensions", "is_live"], name="embedding_by_clone"
            ),
        ),
        RemoveIndexConcurrently(model_name="chunkembedding", name="embedding_live_by_clone"),
        without_index(
            field="clone",
            to="clones.clone",
            related_name="+",
            index="knowledge_chunkembedding_clone_id_f424da87",
        ),
        without_index(
            field="chunk",
            to="knowledge.chunk",
            related_name="embeddings",
            index="knowledge_chunkembedding_chunk_id_9ece30ed",
        ),
    ]
