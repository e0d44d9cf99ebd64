from django.db import migrations

from billing.prices import seed_prices


def seed(apps, schema_editor):
    seed_prices(price_model=apps.get_model("billing", "ModelPrice"))


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
