"""One BLAS thread for work on tall, narrow arrays, where waiting for a second thread costs more than it gives."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """A context in which BLAS uses one thread; entering it takes about 10 µs."""
    return _controller().limit(limits=1, user_api="blas")
