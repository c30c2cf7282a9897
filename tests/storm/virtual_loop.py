"""An event loop whose time jumps: it never waits, and goes to the next timer as soon as nothing else is to be done.

Whatever runs on it (`asyncio.sleep`, `asyncio.timeout`, queues, task groups) lives in virtual time. What would go
to a thread is done on the loop after `thread_s`, so that nothing depends on the machine.
"""

import asyncio
import contextvars
import selectors
from collections.abc import Callable
from typing import Any

MOST_TURNS = 100_000  # of the loop at one moment of the virtual time
SMALLEST_S = 2.0**-20  # a timer that is nearer is reached in one step, whatever floating point says


class _Jump(selectors.SelectSelector):
    """Waits for nothing: the time to wait is the time to jump over."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns_at_once = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen any more: everybody waits, and no timer is set")
        self._turns_at_once += 1
        if timeout > 0:
            self.now += max(timeout, SMALLEST_S)
            self._turns_at_once = 0
        elif self._turns_at_once > MOST_TURNS:
            raise RuntimeError(f"something spins: {MOST_TURNS} turns, and time does not go on")
        return []


class _Hold:
    """What stands still: a handle that is due while it does gives its turn away, and gets it at the end."""

    def __init__(self, is_held: Callable[[contextvars.Context], bool]) -> None:
        self._is_held = is_held
        self._is_on = True
        self._due: list[tuple[Any, Any, Any]] = []

    def seize(self, handle: Any) -> None:
        """Let this one wait, if it is concerned."""
        if not handle._cancelled and self._is_held(handle._context):
            handle._callback, handle._args = self._turn, (handle, handle._callback, handle._args)

    def release(self) -> list[Any]:
        """Those whose turn it was, as they were before."""
        self._is_on = False
        due = [one for one in self._due if not one[0]._cancelled]
        for handle, callback, args in due:
            handle._callback, handle._args = callback, args
        return [handle for handle, _, _ in due]

    def _turn(self, handle: Any, callback: Callable[..., Any], args: Any) -> None:
        if self._is_on:
            self._due.append((handle, callback, args))
        else:
            callback(*args)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time is seconds since the loop was made."""

    def __init__(self, thread_s: Callable[[], float] = lambda: 0.001) -> None:
        self._jump = _Jump()
        self._thread_s = thread_s
        self._holds: list[_Hold] = []
        super().__init__(self._jump)

    def time(self) -> float:
        """The virtual time."""
        return self._jump.now

    def hold(self, is_held: Callable[[contextvars.Context], bool]) -> Callable[[], None]:
        """From now on nothing runs in such a context; gives what lets all of it run that was due, in order."""
        hold = _Hold(is_held)
        self._holds.append(hold)
        for handle in (*self._ready, *self._scheduled):  # type: ignore[attr-defined]
            hold.seize(handle)

        def release() -> None:
            if hold in self._holds:
                self._holds.remove(hold)
                self._ready.extend(hold.release())  # type: ignore[attr-defined]

        return release

    def _call_soon(self, *args: Any) -> Any:
        handle = super()._call_soon(*args)  # type: ignore[misc]
        for hold in self._holds:
            hold.seize(handle)
        return handle

    def call_at(self, *args: Any, **named: Any) -> asyncio.TimerHandle:  # type: ignore[override]
        """As everywhere, but for a context that stands still."""
        timer = super().call_at(*args, **named)
        for hold in self._holds:
            hold.seize(timer)
        return timer

    def run_in_executor(  # type: ignore[override]
        self,
        executor: Any,  # noqa: ARG002
        func: Callable[..., Any],
        *args: Any,
    ) -> "asyncio.Future[Any]":
        """Do it on the loop, a little later; a caller who is cancelled in between does not keep it from being done."""
        future: asyncio.Future[Any] = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001 - handed on to whoever waits
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.call_later(self._thread_s(), work)
        return future
