"""What each conversation cost, from an index alone; built while the old version goes on working."""

import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ('billing', '0003_lists_at_scale'),
        ('chat', '0009_lists_at_scale'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='costrecord',
            index=models.Index(fields=['session'], include=('cost_usd',), name='cost_by_session'),
        ),
        migrations.AlterField(  # the other index goes, now that this one can take its place
            model_name='costrecord',
            name='session',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='cost_records', to='chat.chatsession'),
        ),
    ]
