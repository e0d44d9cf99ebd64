"""Requests whose person is known."""

from django.http import HttpRequest

from cloneai.accounts.models import User


class MemberRequest(HttpRequest):
    """Behind a login: `user` is never anonymous. For annotations only."""

    user: User
