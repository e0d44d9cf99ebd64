"""Superusers answer requests about somebody's data: an archive to hand over, or the erasure with its receipt.

People are erased instead of deleted: a plain deletion would leave logins, archives and names in the admin's history.
"""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from unfold.decorators import action

from cloneai.accounts.admin import PersonAdmin
from cloneai.accounts.admin_access import NOBODY, StaffRequest, record_action
from cloneai.accounts.models import User
from cloneai.privacy.archive import write_archive
from cloneai.privacy.downloads import send_archive
from cloneai.privacy.erasure import ErasureRefused, Receipt, erase_person
from cloneai.privacy.exports import hand_over_path
from cloneai.privacy.forms import AdminEraseForm
from cloneai.privacy.tables import TABLES, name_counts

admin.site.unregister(User)


@admin.register(User)
class PersonalDataAdmin(PersonAdmin):
    deleted_by = NOBODY
    actions = ("export_data", "erase_data")
    actions_detail = ("personal_data",)

    @admin.action(description="Download all data of one person…", permissions=["change"])
    def export_data(self, request: StaffRequest, queryset: QuerySet[User]) -> HttpResponseBase | None:
        return self._open_page(request, queryset)

    @admin.action(description="Erase one person…", permissions=["change"])
    def erase_data(self, request: StaffRequest, queryset: QuerySet[User]) -> HttpResponseBase | None:
        return self._open_page(request, queryset)

    @action(description="Download or erase the data…", url_path="personal-data")
    def personal_data(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Shows what there is; POST `export` downloads it, any other POST erases it when the address is right."""
        staff: Any = request
        person: User = self.find_or_404(staff, object_id)
        form = AdminEraseForm(person=person)
        if request.method == "POST":
            if "export" in request.POST:
                return self._hand_over(staff, person)
            form = AdminEraseForm(request.POST, person=person)
            if person.pk == staff.user.pk:
                messages.error(request, "Your own account is erased on the page My data, with your password.")
            elif form.is_valid():
                return self._erase(staff, person, form)
        counted = ((table, table.rows(person_id=person.pk).count()) for table in TABLES)
        return self.render(
            staff,
            "admin/privacy/person.html",
            title=f"The data of {person.email}",
            person=person,
            form=form,
            counted=[(table, number) for table, number in counted if number],
        )

    def _open_page(self, request: StaffRequest, queryset: QuerySet[User]) -> HttpResponseBase | None:
        people = list(queryset[:2])
        if len(people) != 1:
            self.message_user(request, "Choose one person at a time.", messages.ERROR)
            return None
        return HttpResponseRedirect(reverse("admin:accounts_user_personal_data", args=[people[0].pk]))

    def _hand_over(self, request: StaffRequest, person: User) -> HttpResponseBase:
        """The archive, made now; its file has no name any more while it is sent."""
        path = hand_over_path(person)
        size_bytes = write_archive(person=person, path=path)
        file = path.open("rb")
        path.unlink()
        record_action(actor=request.user, action="person.export", target=person, way="admin")
        return send_archive(file, size_bytes=size_bytes)

    def _erase(self, request: StaffRequest, person: User, form: AdminEraseForm) -> HttpResponseBase:
        with_clones = form.cleaned_data.get("with_clones", False)
        try:
            receipt = erase_person(person=person, actor=request.user, way="admin", with_clones=with_clones)
        except ErasureRefused as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
            return HttpResponseRedirect(reverse("admin:accounts_user_changelist"))
        return self._show_receipt(request, receipt)

    def _show_receipt(self, request: StaffRequest, receipt: Receipt) -> HttpResponseBase:
        return self.render(
            request,
            "admin/privacy/receipt.html",
            title="The person is erased",
            receipt=receipt,
            rows=name_counts(receipt.rows),
        )
