"""The word index knows whose passages it holds. Built beside the old one, while searches and uploads go on."""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("knowledge", "0004_probed_version")]

    operations = [
        AddIndexConcurrently(
            model_name="chunk",
            index=GinIndex(
                models.Func(
                    models.F("search_vector"),
                    models.Func(
                        models.F("clone"),
                        template="array_to_tsvector(ARRAY['clone ' || (%(expressions)s)::text])",
                    ),
                    arg_joiner=" || ",
                    template="(%(expressions)s)",
                ),
                condition=models.Q(("is_live", True)),
                name="chunk_words_by_clone",
            ),
        ),
        RemoveIndexConcurrently(model_name="chunk", name="chunk_search_vector"),
    ]
