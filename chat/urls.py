from django.urls import path

from chat import downloads, turn_views, views

app_name = "chat"
urlpatterns = [
    path("c/<slug:slug>/chat/", turn_views.start, name="start"),
    path("chat/", views.sessions, name="sessions"),
    path("chat/<uuid:session_id>/", turn_views.conversation, name="conversation"),
    path("chat/<uuid:session_id>/end/", views.end, name="end"),
    path("chat/<uuid:session_id>/rename/", views.rename, name="rename"),
    path("chat/<uuid:session_id>/delete/", views.delete, name="delete"),
    path("chat/<uuid:session_id>/summary/", views.summary, name="summary"),
    path("chat/messages/<uuid:message_id>/edit/", turn_views.edit, name="edit"),
    path("chat/messages/<uuid:message_id>/stop/", turn_views.stop, name="stop"),
    path("chat/messages/<uuid:message_id>/regenerate/", turn_views.regenerate, name="regenerate"),
    path("chat/messages/<uuid:message_id>/feedback/", views.feedback, name="feedback"),
    path("sources/<uuid:citation_id>/", views.source, name="source"),
    path("sources/<uuid:citation_id>/file/", downloads.download, name="download"),
]
