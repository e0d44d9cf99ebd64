"""The web process: HTTP by Django, WebSockets by Channels. Only this process pools database connections.

Refuses to start when the settings are unsafe outside DEBUG; see `cloneai.startup`.
"""

import os
from threading import Thread

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloneai.settings")
os.environ.setdefault("DATABASE_POOL", "1")

from django.core.asgi import get_asgi_application

http_application = get_asgi_application()

# What follows needs the apps that the line above has loaded.
from channels.auth import AuthMiddleware
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.sessions import CookieMiddleware, SessionMiddleware

from billing.metering import load_client
from chat.routing import websocket_urlpatterns
from chat.socket_limits import TOO_MANY, LimitedSockets
from chat.streaming import interrupt_running_answers
from cloneai import daphne_requests
from cloneai.edge import LimitedBodies, RecordedRequests
from cloneai.origins import AllowedOriginValidator
from cloneai.shutdown import run_before_shutdown
from cloneai.slow_clients import cut_floods, drop_slow_clients
from cloneai.startup import refuse_unsafe_start, start_sentry

refuse_unsafe_start()
start_sentry()
run_before_shutdown(interrupt_running_answers)
drop_slow_clients()
cut_floods(code=TOO_MANY)
Thread(target=load_client, name="load-client", daemon=True).start()  # the first pages need not wait for it
daphne_requests.install()
known_people = SessionMiddleware(AuthMiddleware(URLRouter(websocket_urlpatterns)))
application = RecordedRequests(
    ProtocolTypeRouter(
        {
            "http": LimitedBodies(http_application),
            "websocket": AllowedOriginValidator(CookieMiddleware(LimitedSockets(known_people))),
        }
    )
)
