from django.urls import path, re_path

from chat.consumers import ChatConsumer
from chat.socket_guard import UnknownSocket

websocket_urlpatterns = [
    path("ws/chat/<uuid:session_id>/", ChatConsumer.as_asgi()),
    re_path(r"", UnknownSocket.as_asgi()),
]
