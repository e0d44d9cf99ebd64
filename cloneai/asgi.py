"""The web process: HTTP by Django, WebSockets by Channels. Only this process pools database connections."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloneai.settings")
os.environ.setdefault("DATABASE_POOL", "1")

from django.core.asgi import get_asgi_application

http_application = get_asgi_application()

# What follows needs the apps that the line above has loaded.
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter

from chat.routing import websocket_urlpatterns
from cloneai.origins import AllowedOriginValidator

application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": AllowedOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
