from django.urls import path

from clones import views

app_name = "clones"
urlpatterns = [
    path("", views.gallery, name="gallery"),
    path("c/<slug:slug>/", views.profile, name="profile"),
    path("c/<slug:slug>/accent.css", views.accent, name="accent"),
]
