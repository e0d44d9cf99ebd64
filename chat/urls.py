from django.urls import path

from chat import downloads, memory_views, summary_views, turn_views, views

app_name = "chat"
urlpatterns = [
    path("c/<slug:slug>/chat/", turn_views.start, name="start"),
    path("chat/", views.sessions, name="sessions"),
    path("chat/<uuid:session_id>/", turn_views.conversation, name="conversation"),
    path("chat/<uuid:session_id>/end/", views.end, name="end"),
    path("chat/<uuid:session_id>/rename/", views.rename, name="rename"),
    path("chat/<uuid:session_id>/delete/", views.delete, name="delete"),
    path("chat/<uuid:session_id>/summary/", summary_views.summary, name="summary"),
    path("chat/<uuid:session_id>/summary/download/", summary_views.download, name="summary-download"),
    path("chat/summaries/<uuid:summary_id>/items/<int:number>/", summary_views.tick_item, name="tick"),
    path("chat/<uuid:session_id>/remember/", memory_views.remember_session, name="remember"),
    path("account/memory/", memory_views.memory, name="memory"),
    path("account/memory/switch/", memory_views.switch, name="memory-switch"),
    path("account/memory/forget/", memory_views.forget_all, name="memory-forget"),
    path("account/memory/<uuid:memory_id>/", memory_views.change, name="memory-change"),
    path("chat/messages/<uuid:message_id>/edit/", turn_views.edit, name="edit"),
    path("chat/messages/<uuid:message_id>/stop/", turn_views.stop, name="stop"),
    path("chat/messages/<uuid:message_id>/regenerate/", turn_views.regenerate, name="regenerate"),
    path("chat/messages/<uuid:message_id>/feedback/", views.feedback, name="feedback"),
    path("sources/<uuid:citation_id>/", views.source, name="source"),
    path("sources/<uuid:citation_id>/file/", downloads.download, name="download"),
]
