"""What the job cluster calls by dotted path; `cloneai.reference_data` says how often."""

from billing import alerts, ledger, rollup


def settle_abandoned() -> int:
    """Every minute: settles the calls whose process died, at most 13 minutes later; returns how many."""
    return ledger.settle_abandoned()


def warn_about_limits() -> int:
    """Every minute: warns staff about accounts that reach their limit, and mails what was not mailed yet."""
    count = alerts.check_limits()
    alerts.send_mails()
    return count


def roll_up_closed_days() -> int:
    """Every hour, for reports over long periods; returns how many days were summed up."""
    return rollup.roll_up_closed_days()
