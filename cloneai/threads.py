"""Database work from async code: `await run_in_thread(function, ...)`.

Django's own `sync_to_async` shares one thread for the whole process, so twenty sockets would wait for each
other. Here each call has a thread from a pool no larger than the connection pool. Group the queries of a step
into one function: it holds one connection while it runs and none afterwards.

The other way round, jobs enter async code by `run_async`.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection, connections

P = ParamSpec("P")
T = TypeVar("T")

_executor = ThreadPoolExecutor(max_workers=settings.DATABASE_POOL_SIZE, thread_name_prefix="database")


def release_connection() -> None:
    """Gives this thread's connection back before it waits for something else; not within a transaction."""
    if not connection.in_atomic_block:
        connection.close()


def _call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return function(*args, **kwargs)
    finally:
        connections.close_all()  # this thread's only; a pooled connection goes back to its pool


# Made once: asgiref looks a function over whenever it wraps one, which costs as much as a small query.
_call_in_thread = sync_to_async(_call, thread_sensitive=False, executor=_executor)


async def run_in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls the function in a database thread and gives its connection back before it returns.

    The caller's context variables are visible there. A cancelled caller stops waiting; the function goes on.
    """
    result: T = await _call_in_thread(function, args, kwargs)
    return result


class _KeptLoop:
    """The event loop of a worker process, and with it the provider's client and its open connections."""

    runner: asyncio.Runner | None = None


def keep_event_loop(**_signal: Any) -> None:
    """For worker processes, whose jobs come one after the other: `run_async` has one loop for all of them."""
    _KeptLoop.runner = asyncio.Runner()


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, but on the loop that the process keeps, if it keeps one."""
    runner = _KeptLoop.runner
    if runner is None or threading.current_thread() is not threading.main_thread():
        return asyncio.run(main)
    try:
        return runner.run(_with_its_tasks(main))
    except Exception:
        raise
    except BaseException:  # it broke out of the loop (a job's time is over): what still runs there must end
        _KeptLoop.runner = None
        runner.close()
        raise


async def _with_its_tasks(main: Coroutine[Any, Any, T]) -> T:
    """Ends what the coroutine began and left, as the end of a loop would."""
    try:
        return await main
    finally:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
