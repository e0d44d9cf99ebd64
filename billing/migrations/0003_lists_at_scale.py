"""Indexes for lists and reports over a million rows; built while the old version goes on working."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('billing', '0002_rollup_and_alerts'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='costrecord',
            index=models.Index(condition=models.Q(('outcome', 'success'), _negated=True), fields=['outcome', 'created_at'], name='cost_not_success'),
        ),
        AddIndexConcurrently(
            model_name='reservation',
            index=models.Index(fields=['user_key'], name='reservation_by_user'),
        ),
    ]
