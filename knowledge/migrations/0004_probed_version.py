from django.db import migrations, models
from django.db.models import F


def mark_proven(apps, schema_editor):
    """What was asked already need not be asked again."""
    documents = apps.get_model("knowledge", "Document").objects.filter(probe_count__gt=0)
    documents.update(probed_version=F("live_version"))


class Migration(migrations.Migration):
    dependencies = [("knowledge", "0003_proofs_and_audits")]

    operations = [
        migrations.AddField(
            model_name="document",
            name="probed_version",
            field=models.PositiveIntegerField(editable=False, null=True),
        ),
        migrations.RunPython(mark_proven, migrations.RunPython.noop),
    ]
