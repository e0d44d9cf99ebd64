from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("chat", "0002_citation_focus")]
    operations = [
        migrations.AddField(
            model_name="sessionsummary",
            name="started_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
