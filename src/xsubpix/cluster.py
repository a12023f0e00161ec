"""A cluster that is waited for: what it has done, and what to say when it is gone."""

from __future__ import annotations

import contextlib
import queue
import time
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .errors import ClusterError, SubpixWarning

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["Arrivals", "cluster_errors_named"]

#: Seconds without any result after which the cluster is asked whether it has workers.
PATIENCE = 10.0
# Seconds after which a client that was closed is noticed.
_LOOK = 0.5


class Arrivals:
    """Futures of a cluster in the order in which they are done.

    Parameters
    ----------
    client : distributed.Client
        Their client.

    Notes
    -----
    A cluster without workers waits for some, for ever: a :class:`SubpixWarning` says so
    after ten seconds, once. A client that is closed never hands on anything more: an
    error.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._done: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._warned = False

    def add(self, future: Future) -> None:
        """Wait for one more."""
        future.add_done_callback(self._done.put)

    def next(self) -> Future:
        """Wait for the next one that is done, failed or cancelled.

        Raises
        ------
        ClusterError
            The client was closed, or its scheduler is gone.
        """
        begun = time.monotonic()
        while True:
            with contextlib.suppress(queue.Empty):
                return self._done.get(timeout=_LOOK)
            if self._client.status in ("closed", "closing"):
                raise ClusterError(f"the connection to {_name(self._client)} was closed.")
            if not self._warned and time.monotonic() - begun > PATIENCE:
                self._warn_without_workers()
                begun = time.monotonic()

    def clear(self) -> None:
        """Forget what is done and was not asked for."""
        while not self._done.empty():
            self._done.get_nowait()

    def _warn_without_workers(self) -> None:
        if self._client.status != "running":  # it tries to connect again, or gives up
            return
        try:
            threads = self._client.nthreads()
        except OSError:
            return
        if threads:
            return
        self._warned = True
        warnings.warn(
            f"{_name(self._client)} has no workers: waiting for some. Start them "
            "(cluster.scale(4), or dask worker ADDRESS), or stop.",
            SubpixWarning,
            stacklevel=2,
        )


@contextlib.contextmanager
def cluster_errors_named(client: Client, goes_on: str = "") -> Iterator[None]:
    """Turn the errors of a cluster that is gone into ours; `goes_on` says what is kept.

    Raises
    ------
    ClusterError
        It was closed or killed, or its workers died.
    """
    from distributed.client import CancelledError, ClosedClientError
    from distributed.comm import CommClosedError
    from distributed.core import RPCClosed
    from distributed.scheduler import KilledWorker, NoValidWorkerError, NoWorkerError

    name = _name(client)
    try:
        yield
    except KilledWorker as error:
        raise ClusterError(
            f"{error.allowed_failures + 1} workers of {name} died in a row of the same work, most "
            f"often for want of memory: give them more, or fewer threads.{goes_on}"
        ) from error
    except (NoValidWorkerError, NoWorkerError) as error:
        raise ClusterError(f"{name} has no workers: start some.{goes_on}") from error
    except (CancelledError, ClosedClientError, CommClosedError, RPCClosed) as error:
        raise ClusterError(f"{name} was closed or lost.{goes_on}") from error
    except ClusterError as error:
        raise ClusterError(f"{error}{goes_on}") from error


def _name(client: Client) -> str:
    scheduler = client.scheduler
    return f"the cluster at {scheduler.address}" if scheduler is not None else "the cluster"
