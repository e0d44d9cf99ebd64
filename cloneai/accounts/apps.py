from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "cloneai.accounts"
    label = "accounts"
    verbose_name = "Accounts"
