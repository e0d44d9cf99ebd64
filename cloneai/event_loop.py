"""Puts Twisted's reactor, and with it the web process, on uvloop. To be imported before Daphne, which keeps a reactor
that is there and else makes one on asyncio's own loop.
"""

from typing import Any

import uvloop
from twisted.internet import asyncioreactor

_asyncioreactor: Any = asyncioreactor  # untyped
_asyncioreactor.install(uvloop.new_event_loop())
