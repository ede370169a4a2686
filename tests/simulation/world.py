"""Actors that take turns at every call they make, in virtual time: one process, no threads, and always the same again.

An actor is a greenlet that runs the project's own code. Each call to the store or the cluster is a place where another
actor may go on instead, where time passes, and where the actor may die: then nothing more of it happens, not even what
stands in its `finally`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from tests.simulation.choices import Choices

BEGIN = 1_800_000_000.0  # Unix time
CALL_SECONDS = 0.02
_GOES_ON = 3  # an actor goes on twice in so many times


class Actor:
    """One process: a controller, a worker, an operator."""

    def __init__(self, name: str, function: Callable[[], Any], parent: greenlet, *, one_in: int) -> None:
        self.name = name
        self.one_in = one_in  # calls at which it dies; 0: never
        self.wakes = 0.0
        self.dead = False  # killed: nothing that it does counts any more
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.signal: BaseException | None = None  # raised in it at its next call
        self.lines: list[str] = []  # of its log
        self.greenlet = greenlet(lambda: self._run(function), parent=parent)

    def _run(self, function: Callable[[], Any]) -> None:
        try:
            self.value = function()
        except GreenletExit:
            self.dead = True
        except BaseException as error:
            self.error = error
        self.done = True


class World:
    """The clock, the actors and the order in which they act."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.now = BEGIN
        self.actors: list[Actor] = []
        self.faults = True
        self.trace: list[tuple[float, str, str]] = []
        self.violations: list[tuple[str, str]] = []  # name of the invariant, and what is wrong
        self.calls = 0
        self.after_turn: Callable[[], None] = lambda: None
        self._main = getcurrent()
        self._number = 0
        self._acting: Actor | None = None
        self._over = False

    def start(self, name: str, function: Callable[[], Any], *, dies_once_in: int = 0) -> Actor:
        """Add an actor, which acts when it is chosen."""
        self._number += 1
        actor = Actor(f"{name}#{self._number}", function, self._main, one_in=dies_once_in)
        self.actors.append(actor)
        return actor

    @property
    def acting(self) -> Actor | None:
        """The actor whose code runs now; None where it is the simulation's own."""
        return self._acting

    def call(self, what: str) -> None:
        """An actor is about to do something that others see: let others act, let it die."""
        actor = self._acting
        if actor is None:
            return
        if actor.dead or self._over:
            raise GreenletExit
        self.calls += 1
        self.now += CALL_SECONDS
        self.trace.append((self.now, actor.name, what))
        if self.choices.below(_GOES_ON):
            self._main.switch()
        self._answer(actor)
        if self.faults and actor.one_in and self.choices.happens(actor.one_in):
            self.trace.append((self.now, actor.name, "dies"))
            actor.dead = True
            raise GreenletExit

    def sleep(self, seconds: float) -> None:
        """An actor does nothing for so long."""
        actor = self._acting
        if actor is None:
            self.now += seconds
            return
        actor.wakes = self.now + seconds
        self._main.switch()
        self._answer(actor)

    def _answer(self, actor: Actor) -> None:
        """What was done to an actor while others acted."""
        if actor.dead or self._over:
            raise GreenletExit
        if actor.signal is not None:
            raised, actor.signal = actor.signal, None
            raise raised

    def turn(self) -> bool:
        """Let one actor go on until its next call; False when there is none."""
        if not self.actors:
            return False
        ready = [actor for actor in self.actors if actor.wakes <= self.now]
        if not ready:
            self.now = min(actor.wakes for actor in self.actors)
            ready = [actor for actor in self.actors if actor.wakes <= self.now]
        actor = ready[self.choices.below(len(ready))]
        self._resume(actor)
        self.after_turn()
        return True

    def kill(self, actor: Actor) -> None:
        """End an actor where it is; it is gone at its next turn, of which nothing counts."""
        actor.dead, actor.wakes = True, 0.0

    def end(self) -> None:
        """End all actors; nothing they do counts any more."""
        self._over = True
        for actor in list(self.actors):
            for _ in range(100):
                if actor.done:
                    break
                actor.dead = True
                self._resume(actor)

    def violate(self, invariant: str, what: str) -> None:
        """Note that something holds no more."""
        if not self._over:
            self.violations.append((invariant, what))

    def _resume(self, actor: Actor) -> None:
        before, self._acting = self._acting, actor
        actor.greenlet.switch()
        self._acting = before
        if actor.done:
            self.actors.remove(actor)
