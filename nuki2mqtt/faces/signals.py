"""Signals while a verb waits for the end of what it has sent: they end the waiting, and the exit status stays true."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from nuki2mqtt.faces.outcome import Ending


class Signals:
    """SIGINT, SIGTERM and SIGHUP end the waiting, but not the process: it says its exit status itself.

    A second one does not wait for the farewell to the broker. What the shell ignores stays ignored (`nohup`).
    """

    def __init__(self, ending: Ending) -> None:
        self._ending = ending
        self._before: dict[signal.Signals, Any] = {}
        self._cancel: Callable[[], object] | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other one may
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                before = signal.getsignal(number)
                if before in {signal.SIG_DFL, signal.default_int_handler}:
                    self._before[number] = before
                    signal.signal(number, self._take)
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        for number, before in self._before.items():
            # Nothing is left to wait for: the process ends now, and with the status of the command.
            signal.signal(number, signal.SIG_IGN if self._ending.was_sent else before)

    def cancel(self, task: "asyncio.Task[Any] | None") -> None:
        """Cancel this task, the running one, when the first signal comes."""
        if task is not None:
            loop = asyncio.get_running_loop()
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
            if self._ending.signal is not None:
                self._cancel()

    def _take(self, number: int, _: FrameType | None) -> None:
        if self._ending.signal is not None:
            os._exit(self._ending.exit_status)
        self._ending.signal = number
        if self._cancel is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._cancel()
