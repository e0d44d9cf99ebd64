"""The least that a WebSocket of Channels can be, to compare the memory of ours with."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloneai.settings")

from django.core.asgi import get_asgi_application

http_application = get_asgi_application()

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter

import cloneai.asgi  # noqa: F401  (what the web process has loaded, so that only the sockets differ)


class BareConsumer(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        await self.channel_layer.group_add("bare", self.channel_name)


application = ProtocolTypeRouter({"http": http_application, "websocket": BareConsumer.as_asgi()})
