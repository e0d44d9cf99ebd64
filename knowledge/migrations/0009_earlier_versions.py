"""What a document was before a newer version of it began."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('knowledge', '0008_documents_of_concern'),
    ]

    operations = [
        migrations.AddField(
            model_name='document',
            name='earlier',
            field=models.JSONField(editable=False, null=True),
        ),
    ]
