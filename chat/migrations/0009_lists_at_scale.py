"""Indexes for lists and reports over a million rows; built while the old version goes on working."""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ('chat', '0008_gap_wording'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='chatsession',
            index=models.Index(fields=['-last_activity_at'], name='session_by_activity'),
        ),
        AddIndexConcurrently(
            model_name='chatsession',
            index=models.Index(fields=['created_at'], name='session_by_begin'),
        ),
        AddIndexConcurrently(
            model_name='citation',
            index=models.Index(condition=models.Q(('is_cited', True), ('is_supported', False)), fields=['message'], name='citation_unsupported'),
        ),
        AddIndexConcurrently(
            model_name='message',
            index=models.Index(fields=['created_at'], name='message_by_moment'),
        ),
        AddIndexConcurrently(
            model_name='message',
            index=models.Index(condition=models.Q(('is_distress', True)), fields=['session'], name='message_distress'),
        ),
        AddIndexConcurrently(
            model_name='message',
            index=models.Index(condition=models.Q(('rating__isnull', False)), fields=['session', 'rating'], name='message_rated'),
        ),
        AddIndexConcurrently(
            model_name='message',
            index=models.Index(condition=models.Q(('retrieval_quality__status__in', ['poor', 'no_context'])), fields=['session'], name='message_poor'),
        ),
        AddIndexConcurrently(
            model_name='message',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.search.SearchVector('content', config='simple'), condition=models.Q(('status', 'streaming'), _negated=True), name='message_words'),
        ),
        AddIndexConcurrently(
            model_name='sessionsummary',
            index=models.Index(fields=['-created_at'], name='summary_by_moment'),
        ),
        AddIndexConcurrently(
            model_name='sessionsummary',
            index=models.Index(fields=['review_state', 'status', 'assignee'], name='summary_by_review'),
        ),
    ]
