"""What the web process does between SIGTERM and its end."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any


def run_before_shutdown(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Daphne waits for `work` between SIGTERM and its end. Under another server, or none, nothing happens."""
    if "twisted.internet.reactor" not in sys.modules:
        return
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    def begin() -> Deferred[None]:
        return Deferred.fromFuture(asyncio.ensure_future(work()))

    reactor.addSystemEventTrigger("before", "shutdown", begin)  # type: ignore[arg-type]
