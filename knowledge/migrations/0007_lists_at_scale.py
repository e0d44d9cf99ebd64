"""Indexes for lists and scans over many documents; built while the old version goes on working."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('knowledge', '0006_vectors_by_clone'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='document',
            index=models.Index(fields=['-created_at'], name='document_by_moment'),
        ),
        AddIndexConcurrently(
            model_name='document',
            index=models.Index(condition=models.Q(('status', 'ready'), models.Q(('probed_version', None), ('probed_version__lt', models.F('live_version')), _connector='OR')), fields=['ready_at'], name='document_unproven'),
        ),
    ]
