"""The admin's pages that need every app; Django looks for them here."""

from cloneai.privacy.admin import PersonalDataAdmin

__all__ = ["PersonalDataAdmin"]
