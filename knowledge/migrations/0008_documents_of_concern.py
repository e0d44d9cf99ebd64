"""An index of the few documents that somebody should look at; built while the old version goes on working."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('knowledge', '0007_lists_at_scale'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='document',
            index=models.Index(condition=models.Q(('status', 'failed'), models.Q(('probe_note', ''), _negated=True), ('similar_document__isnull', False), models.Q(('warnings', []), _negated=True), _connector='OR'), fields=['-created_at'], name='document_of_concern'),
        ),
    ]
