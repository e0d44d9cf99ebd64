"""Questions that were not answered are found by a hash of their words. Those from before are joined by meaning only."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("chat", "0007_evaluation")]

    operations = [
        migrations.AddField(
            model_name="gapquestion",
            name="wording",
            field=models.CharField(
                blank=True,
                default="",
                editable=False,
                help_text="Hash of its words: the same words are found by it.",
                max_length=64,
            ),
            preserve_default=False,
        ),
        migrations.AddIndex(
            model_name="gapquestion",
            index=models.Index(fields=["wording"], name="gap_question_by_wording"),
        ),
    ]
