"""The life of one process, led inside this one: it dies, is cancelled, or stands still at a suspension that is named by its number.

Every task that a life starts is stepped through here, so each await at which one of them really waits is seen: nobody lists them. A life
that is over takes no further step, not even its `finally` blocks, as a process that got SIGKILL. `bury` ends what is left of it, when its
effects are cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import types
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from enum import Enum
from typing import Any, TypeVar, cast

T = TypeVar("T")

_LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("life", default=None)
_MOST_THROWS = 100
"""Awaits of one coroutine in the handlers that it passes on its way out."""


class Buried(BaseException):
    """Ends what a dead process left behind."""


class _State(Enum):
    RUNS = "runs"
    STANDS_STILL = "stands still"
    IS_OVER = "is over"
    IS_BURIED = "is buried"


class Life:
    """`suspensions`: of all tasks, since `begin`; `own_suspensions`: of the task that `begin` started."""

    def __init__(self) -> None:
        self.suspensions = 0
        self.own_suspensions = 0
        self.outside: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.seen: list[tuple[int, int]] = []
        """What `outside` said at each suspension."""
        self.place = ""
        """Where the strike hit: the innermost of our own functions that waits."""
        self.struck: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._state = _State.RUNS
        self._counts = False
        self._strike: tuple[str, int] | None = None
        self._steps: list[_Steps[Any]] = []
        self._held: list[asyncio.Future[None]] = []
        self._context = contextvars.copy_context()
        self._context.run(_LIFE.set, self)
        self._own: _Steps[Any] | None = None

    @property
    def is_over(self) -> bool:
        return self._state in (_State.IS_OVER, _State.IS_BURIED)

    @property
    def is_still(self) -> bool:
        return self._state is _State.STANDS_STILL

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """As a task of this life; nothing is counted yet."""
        return asyncio.get_running_loop().create_task(coroutine, context=self._context)

    def begin(self, coroutine: Coroutine[Any, Any, T], strike: tuple[str, int] | None = None) -> asyncio.Task[T]:
        """The task whose life this is about. `strike`: die, cancel, cancel for good, or stand still, and at which suspension."""
        task = self.start(coroutine)
        self._own = next(each for each in reversed(self._steps) if each.inner is coroutine)
        self._counts, self._strike = True, strike
        return task

    def spare(self) -> None:
        """What it does from now on is not what is struck."""
        self._counts = False

    def go_on(self) -> None:
        """After it stood still."""
        self._state = _State.RUNS
        held, self._held = self._held, []
        for future in held:
            if not future.done():
                future.set_result(None)

    def end(self) -> None:
        """No task takes a step any more."""
        self._state = _State.IS_OVER

    async def bury(self) -> None:
        self._state = _State.IS_BURIED
        for steps in self._steps:
            self._context.run(steps.exhaust)
        tasks = {steps.task for steps in self._steps if steps.task is not None and not steps.task.done()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._steps.clear()

    # --- what its tasks ask ------------------------------------------------------------------------------------------

    def adopt(self, steps: _Steps[Any]) -> None:
        self._steps.append(steps)

    def suspended(self, steps: _Steps[Any]) -> None:
        if not self._counts:
            return
        self.suspensions += 1
        self.own_suspensions += steps is self._own
        self.seen.append(self.outside())
        if self._strike is None:
            return
        what, nth = self._strike
        mine = what.startswith("cancel")
        if mine and steps is not self._own:
            return
        count = self.own_suspensions if mine else self.suspensions
        if count < nth or (count > nth and what != "cancel for good"):
            return
        if not self.struck.done():
            self.place = steps.place()
            self.struck.set_result(None)
        if mine:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        else:
            self._state = _State.IS_OVER if what == "die" else _State.STANDS_STILL

    @property
    def state(self) -> _State:
        return self._state

    def hold(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.append(future)
        future._asyncio_future_blocking = True  # What `await` would say to the task.
        return future


class _Steps(Coroutine[Any, Any, T]):
    """A coroutine between its task and itself."""

    def __init__(self, life: Life, inner: Coroutine[Any, Any, T]) -> None:
        self.inner = inner
        self.task: asyncio.Task[T] | None = None
        self._life = life
        self._kept: BaseException | None = None

    def send(self, value: Any) -> Any:
        if self._life.state is _State.IS_BURIED:
            self.exhaust()
            raise asyncio.CancelledError
        if self._life.state is not _State.RUNS:
            return self._life.hold()
        kept, self._kept = self._kept, None
        waited_for = self.inner.send(value) if kept is None else self.inner.throw(kept)
        self._life.suspended(self)
        return waited_for

    def throw(self, kind: Any, error: object = None, trace: types.TracebackType | None = None, /) -> Any:
        raised = error if isinstance(error, BaseException) else kind if isinstance(kind, BaseException) else kind()
        if self._life.state is _State.IS_BURIED:
            self.exhaust()
            raise raised
        if self._life.state is not _State.RUNS:
            self._kept = raised
            return self._life.hold()
        waited_for = self.inner.throw(raised)
        self._life.suspended(self)
        return waited_for

    def close(self) -> None:
        self.exhaust()

    def __await__(self) -> Generator[Any, Any, T]:
        raise TypeError("only a task steps this")

    def exhaust(self) -> None:
        if not inspect.iscoroutine(self.inner):
            self.inner.close()  # The end of an asynchronous generator, which the loop makes a task of: it waits for nothing.
            return
        if inspect.getcoroutinestate(self.inner) == inspect.CORO_CREATED:
            self.inner.close()
        for _ in range(_MOST_THROWS):
            if inspect.getcoroutinestate(self.inner) == inspect.CORO_CLOSED:
                return
            with contextlib.suppress(BaseException):  # Whatever it ends with, it ends.
                self.inner.throw(Buried())
        raise AssertionError(f"{self.inner} cannot be ended")

    def place(self) -> str:
        found, waits = "", cast("Any", self.inner)
        while waits is not None:
            frame = getattr(waits, "cr_frame", None) or getattr(waits, "ag_frame", None) or getattr(waits, "gi_frame", None)
            if frame is not None and "s3o_proxy" in frame.f_code.co_filename:
                found = f"{frame.f_code.co_filename.rpartition('s3o_proxy/')[2]}:{frame.f_lineno} {frame.f_code.co_name}"
            waits = getattr(waits, "cr_await", None) or getattr(waits, "ag_await", None) or getattr(waits, "gi_yieldfrom", None)
        return found or str(getattr(self.inner, "__qualname__", self.inner))


@contextmanager
def lives_are_stepped() -> Generator[None]:
    """While this lasts, lives may be led on the running loop."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(_make_task)
    try:
        yield
    finally:
        loop.set_task_factory(None)


def _make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Any, /, *, context: contextvars.Context | None = None, **named: Any
) -> asyncio.Task[Any]:
    life = _LIFE.get() if context is None else context.get(_LIFE)
    if life is None:
        return asyncio.Task(coroutine, loop=loop, context=context, **named)
    steps: _Steps[Any] = _Steps(life, coroutine)
    steps.task = asyncio.Task(steps, loop=loop, context=context, **named)
    life.adopt(steps)
    return steps.task
