import pytest

from cloneai.accounts.models import User
from clones.models import Clone

pytestmark = pytest.mark.django_db


def test_rows_of_all_clones_are_asked_for_without_a_condition(clone: Clone, admin: User):
    rows = Clone.objects.editable_by(admin).rows_of(Clone.objects.order_by("pk"), path="pk")
    assert "WHERE" not in str(rows.query)
    assert list(rows) == [clone]


def test_rows_of_some_clones_are_theirs_alone(clone: Clone, expert: User, other_expert: User, member: User):
    other = Clone.objects.create(owner=other_expert, name="Other", slug="other")
    rows = Clone.objects.order_by("pk")
    assert list(Clone.objects.editable_by(expert).rows_of(rows, path="pk")) == [clone]
    assert list(Clone.objects.editable_by(other_expert).rows_of(rows, path="pk")) == [other]
    assert not Clone.objects.editable_by(member).rows_of(rows, path="pk").exists()
