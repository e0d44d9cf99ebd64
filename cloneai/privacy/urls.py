from django.urls import path

from cloneai.privacy import views

app_name = "privacy"
urlpatterns = [
    path("", views.data, name="data"),
    path("archive/", views.prepare, name="prepare"),
    path("archive/<uuid:export_id>/", views.download, name="download"),
    path("erase/", views.erase, name="erase"),
    path("erased/", views.erased, name="erased"),
]
