"""Indexes for lists and reports over a million rows; built while the old version goes on working."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ('accounts', '0004_daily_limit_not_negative'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='auditentry',
            index=models.Index(fields=['action', '-at'], name='audit_by_action'),
        ),
        AddIndexConcurrently(
            model_name='auditentry',
            index=models.Index(fields=['target', '-at'], name='audit_by_target', opclasses=['varchar_pattern_ops', 'timestamptz_ops']),
        ),
    ]
