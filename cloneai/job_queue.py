"""django-q2's queue between its processes, made to survive a worker that is killed while it waits for work.

A waiting worker of multiprocessing's queue holds the reader's lock; killed by -9 it takes the lock along, and no job
of that cluster ever runs again. Here workers wait on the pipe without the lock and hold it only while they read.

Each worker also keeps one event loop for all of its jobs.
"""

import time
from queue import Empty
from typing import Any

from django_q.queues import Queue
from django_q.signals import post_spawn

from cloneai.threads import keep_event_loop

WAIT_SECONDS = 1.0
COLLISION_SECONDS = 0.01

_get = Queue.get


def get_without_waiting_lock(self: Queue, block: bool = True, timeout: float | None = None) -> Any:
    """`Queue.get`; the endless wait, which is the workers' way of waiting, holds no lock."""
    if not block or timeout is not None:
        return _get(self, block, timeout)
    while True:
        if not self._poll(WAIT_SECONDS):
            continue
        try:
            return _get(self, False)
        except Empty:  # another worker was quicker
            time.sleep(COLLISION_SECONDS)


def prepare_workers() -> None:
    """Puts the safe `get` in place, and a loop into each worker; called once when Django starts."""
    Queue.get = get_without_waiting_lock
    post_spawn.connect(keep_event_loop)
