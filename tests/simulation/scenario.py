"""One schedule of a run: one to three controllers, Pods, a person at the store, and then an end without faults.

Some schedules have a past: the run as it was two days ago, with the same or with other parameters. Then garbage is
collected while the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jobs.errors import I2PError, exit_code_of
from jobs.runtime.stopping import Stopped
from jobs.runtime.task import run_task
from jobs.runtime.task_description import TaskDescription
from jobs.shards.address import open_store
from jobs.shards.records import record_name
from jobs.shards.store import Store
from pipeline.control.controller import Controller
from pipeline.control.decisions import Finish
from pipeline.executors.kubernetes.executor import Caller, KubernetesExecutor
from pipeline.maintenance.garbage import Ages, find_garbage, remove_garbage
from pipeline.maintenance.live_runs import LiveNote, live_configs, remove_old_notes
from pipeline.maintenance.repair import clear_damage
from pipeline.planning.plan import StagePlan, make_plan
from tests.simulation import graph, patches
from tests.simulation.choices import Choices
from tests.simulation.cluster import Cluster
from tests.simulation.cluster import Rules as ClusterRules
from tests.simulation.graph import BY_NAME, OTHER_RUN, RUN, STORE, Config
from tests.simulation.invariants import ENDS, RAW, Watcher, check_clean, check_end
from tests.simulation.memory import MemoryStore
from tests.simulation.s3 import Bucket, Client, Rules
from tests.simulation.world import CALL_SECONDS, Actor, World

DAMAGES = (  # some more often, because they show only at some moments
    "delete",
    "delete",
    "garbage",
    "garbage",
    "garbage",
    "garbage",
    "cut",
    "flip",
    "record",
    "manifest",
    "spoilt manifest",
    "redo",
)

_CALLS = 12_000  # more than any schedule needs
_LAST_TRIES = 3  # runs after the faults are over
_DAY = 86_400.0
_DIES_ONCE_IN = 150  # calls
_IN_THE_TEXT = 1544  # a byte of a shard's first text, behind the headers of it and of the JSON, and the JSON
_IN_THE_VECTOR = 2572  # the same of what embed adds, which comes after the text


@dataclass(frozen=True)
class Plan:
    """What may happen in a schedule."""

    damages: tuple[str, ...] = DAMAGES
    most_damages: int = 2
    reproducible: bool | None = None  # None: both are tried
    collects: bool = False  # whether garbage is collected in every schedule, not only where chance has it
    past: str | None = None  # the tags that the run had one after the other; None: by chance
    past_calls: tuple[int, ...] = (900,)  # how far it got with each; 900 are enough to finish
    loses_records: bool | None = None  # whether what was not published two days ago has lost its records since
    returns: bool | None = None  # whether somebody goes on with the tag y while garbage is collected for x
    rules: Rules = field(default_factory=Rules)
    cluster: ClusterRules = field(default_factory=ClusterRules)
    ages: Ages = field(default_factory=Ages)


@dataclass(frozen=True)
class Outcome:
    """What came of a schedule."""

    seed: int
    violations: tuple[tuple[str, str], ...]  # name of the invariant, and what was wrong
    made: tuple[int, ...]  # the choices
    calls: int
    trace: tuple[tuple[float, str, str], ...]  # time, actor, call


class SimulatedController(Controller):
    """The real one, which leaves the names that it counts on where the simulation sees them."""

    counts_on: list[str]

    def _plan(self) -> list[StagePlan]:
        plans = super()._plan()
        self.counts_on[:] = [f"{plan.spec.name}/{name}" for plan in plans for name in plan.names]
        return plans


class Executor(KubernetesExecutor):
    """The real one, whose watch is a sleep."""

    def __init__(self, *arguments: Any, world: World) -> None:
        super().__init__(*arguments)
        self._world = world

    def wait(self) -> None:
        self._world.sleep(5.0)

    def close(self) -> None:
        pass


class Schedule:
    """The parts of one schedule and how they go together."""

    def __init__(self, seed: int, plan: Plan, script: Sequence[int] | None = None) -> None:
        self.seed, self.plan = seed, plan
        self.choices = choices = Choices(seed, script)
        self.world = World(choices)
        self.bucket = Bucket(self.world, replace(plan.rules))
        self.cluster = Cluster(self.world, self._work, plan.cluster)
        self.watcher = Watcher(self.world, self.bucket)
        patches.enter(self.world, Client(self.bucket))
        graph.salt, graph.linger = self._salt, self._linger
        memory = MemoryStore(self.bucket).at("runs")
        self.root: Store = open_store(STORE) if choices.below(4) == 1 else memory  # by way of the client of S3
        patches.serve(self.root)
        self.run = self.root.at(RUN)
        self.reproducible = plan.reproducible if plan.reproducible is not None else not choices.below(2)
        self.config = Config(num_units=1 + choices.below(3), parallelism=1 + choices.below(2))
        self.world.after_turn = self.cluster.reconcile

    def outcome(self) -> Outcome:
        """Run it to its end."""
        collects = self.plan.past is not None or self.choices.below(4) == 1 or self.plan.collects
        try:
            if collects:
                self._past(self.plan.past)
            self._disturbed(collects=collects)
            self._quiet(collects=collects)
        finally:
            self.world.end()
        world = self.world
        return Outcome(self.seed, tuple(world.violations), tuple(self.choices.made), world.calls, tuple(world.trace))

    def _past(self, tags: str | None) -> None:
        """Two days ago the run was begun, and perhaps finished, with these parameters or with others, or with both."""
        self.world.faults = tags is None
        for tag in tags or self.choices.one_of(["yx", "y", "x", "xy"]):
            config = replace(self.config, tag=tag, num_units=self.choices.one_of([self.config.num_units, 1, 2]))
            if tags is None and self.choices.below(4) == 1:  # another run made it, from which this one may take over
                config = replace(config, run=OTHER_RUN)
            calls = self.choices.one_of([900, 300, 100]) if tags is None else self.choices.one_of(self.plan.past_calls)
            controller, until = self._controller(config), self.world.calls + calls
            while not controller.done and self.world.calls < until:
                self.world.turn()
            self.world.kill(controller)
        self._end_all()
        self.world.now += 2 * _DAY
        self.world.faults = True
        loses = self.choices.below(4) == 1 if self.plan.loses_records is None else self.plan.loses_records
        for key in [key for key in self.bucket.objects if "/commits/" in key] if loses else ():
            if key.partition("/commits/")[0] + "/manifest.json" not in self.bucket.objects:
                self.watcher.disturbed.add(key)
                self.bucket.remove(key)

    def _end_all(self) -> None:
        """Nobody is left of what was begun, zombies neither."""
        self.cluster.jobs.clear()
        for actor in self.world.actors:
            self.world.kill(actor)
        while self.world.actors:
            self.world.turn()

    def _disturbed(self, *, collects: bool) -> None:
        world, choices = self.world, self.choices
        controllers = [self._controller() for _ in range(choices.one_of([1, 2, 1, 3]))]
        returns = collects and choices.below(2) == 1 if self.plan.returns is None else self.plan.returns
        if returns:  # somebody goes on with what the run was before
            controllers.append(self._controller(replace(self.config, tag="y")))
        others = [world.start("operator", self._operate)] if self.plan.damages else []
        others += [self._collector() for _ in range(1 + choices.below(2))] if collects else []
        for one in [*controllers, *others] if collects else ():
            self._delay(one)
        budget = world.calls + 100 + choices.below(500)
        while world.calls < budget and any(not one.done for one in controllers):
            world.turn()
            for number, one in enumerate(controllers):
                if one.done and one.dead and world.calls < budget:
                    controllers[number] = self._controller()
        world.faults = False
        for one in [*controllers, *others]:
            self._check_raw(one)
            world.kill(one)

    def _delay(self, actor: Actor) -> None:
        """Let it begin when others have made some calls: to look for garbage twice takes a few hundred."""
        actor.wakes = self.world.now + CALL_SECONDS * self.choices.below(400)

    def _quiet(self, *, collects: bool) -> None:
        """No faults any more: what was begun ends, a last controller finishes the run, and what it holds is right."""
        said: list[str] = []
        for _ in range(_LAST_TRIES):
            finish = self._value_of(self._controller(), said)
            if isinstance(finish, Finish) and finish.exit_code == 0 and not self._hidden():
                break
            self._acting_as("repair", lambda: list(clear_damage(self.run, self.config)))  # type: ignore[arg-type]
            finish = self._value_of(self._controller(repair=True), said)
            if isinstance(finish, Finish) and finish.exit_code == 0:
                break
        else:
            self.world.violate(ENDS, "; ".join(said))
            return
        self._acting_as("check", lambda: check_end(self.world, self.run))
        if collects and not self.world.violations:
            self._end_all()
            self.world.now += 40 * _DAY
            for _ in range(2):
                self._acting_as("collector", lambda: self._collect(self.config))
            self._acting_as("check", lambda: check_end(self.world, self.run))
            check_clean(self.world, self.bucket)

    def _hidden(self) -> bool:
        """Whether there was a damage that only reading everything finds for certain."""
        kinds = ("flip", "garbage")
        return any(what.startswith(kinds) for _, actor, what in self.world.trace if actor == "operator")

    def _value_of(self, actor: Actor, said: list[str]) -> Any:
        until = self.world.calls + _CALLS
        while not actor.done and self.world.calls < until:
            self.world.turn()
        self._check_raw(actor)
        if not actor.done:
            said.append(f"no end after {_CALLS} calls")
            self.world.kill(actor)
        else:
            said.append(str(actor.value if actor.error is None else actor.error))
        return actor.value

    def _controller(self, config: Config | None = None, *, repair: bool = False) -> Actor:
        config = config or self.config
        counts_on: list[str] = []

        def control() -> Finish:
            number = len(self.world.trace)
            run = self.root.at(config.run)
            executor = Executor(self.cluster, run, config, Caller(f"call-{number}"), world=self.world)
            note = LiveNote(run, config)  # type: ignore[arg-type]
            controller = SimulatedController(run, config, executor, renew=note.renew, repair=repair)  # type: ignore[arg-type]
            controller.counts_on = counts_on
            controller._past = {"collect": 1.0}  # only for people, and costs a third of all calls
            try:
                return controller.run()
            finally:
                note.withdraw()

        actor = self.world.start("controller", control, dies_once_in=_DIES_ONCE_IN)
        self.watcher.counting[actor] = counts_on
        return actor

    def _collector(self) -> Actor:
        tags = ["x", "y"] if self.plan.returns is None else ["x"]
        config = replace(self.config, tag=self.choices.one_of(tags))

        def collect() -> None:
            for _ in range(1 + self.choices.below(3)):
                try:
                    self._collect(config)
                except I2PError as error:
                    self.world.trace.append((self.world.now, "collector", f"ends: {error}"))
                self.world.sleep(5.0)

        return self.world.start("collector", collect, dies_once_in=100)

    def _collect(self, config: Config) -> None:
        """What `i2p gc --delete` does."""
        ages = self.plan.ages

        def configs() -> Iterator[Any]:
            yield config
            yield from live_configs(self.run, younger_than_seconds=ages.unreached)

        for spec in config.specs:
            found = find_garbage(spec, lambda _: self.run, configs, ages, self.world.now)
            list(remove_garbage(spec, lambda _: self.run, configs, ages, found))
        remove_old_notes(self.run, older_than_seconds=ages.unreached)

    def _work(self, task: TaskDescription, index: int, attempt: str) -> int:
        try:
            run_task(BY_NAME[task.stage], task, index=index, attempt=attempt)
        except (I2PError, Stopped) as error:
            return exit_code_of(error)
        return 0

    def _salt(self, task: Any) -> str:
        return "" if self.reproducible else f" {self.choices.below(4)}"

    def _linger(self) -> None:
        if self.choices.below(4) == 1:
            self.world.sleep(CALL_SECONDS * self.choices.below(400))

    def _operate(self) -> None:
        for _ in range(1 + self.choices.below(self.plan.most_damages)):
            for _ in range(self.choices.below(250)):
                self.world.call("waits")
            how = self.choices.one_of(self.plan.damages)
            self._redo() if how == "redo" else self._damage(how)

    def _redo(self) -> None:
        try:
            plans = make_plan(self.run, self.config)  # type: ignore[arg-type]
            made = [(plan, unit) for plan in plans for unit in plan.units or () if unit.outcome]
            if made:
                plan, unit = self.choices.one_of(made)
                name = record_name(unit.unit, unit.fingerprint)
                self.world.trace.append((self.world.now, "operator", f"redo {plan.spec.name}/{name}"))
                self.watcher.disturbed.add(f"runs/run/{plan.spec.name}/{name}")
                self.run.at(plan.spec.name).delete(name)
        except I2PError:
            pass

    def _damage(self, how: str) -> None:
        folder = {"record": "/commits/", "garbage": "/commits/"}.get(how, "/shards/")
        folder = "/manifest.json" if "manifest" in how else folder
        keys = [key for key in sorted(self.bucket.objects) if folder in key]
        if not keys:
            return
        key = self.choices.one_of(keys)
        self.world.trace.append((self.world.now, "operator", f"{how} {key}"))
        self.watcher.disturbed.add(key)
        body = self.bucket.objects[key].body
        position = min(_IN_THE_VECTOR if "/embed/" in key else _IN_THE_TEXT, len(body) - 1)
        if how == "cut":
            self.bucket.put(key, body[:512])
        elif how == "flip":
            self.bucket.put(key, body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :])
        elif how in ("garbage", "spoilt manifest"):
            self.bucket.put(key, b"{")
        else:
            self.bucket.remove(key)

    def _acting_as(self, name: str, function: Callable[[], Any]) -> Any:
        actor = self.world.start(name, function)
        while not actor.done:
            self.world.turn()
        if actor.error is not None:
            self.world.violate(RAW if not isinstance(actor.error, I2PError) else ENDS, f"{name}: {actor.error!r}")
        return actor.value

    def _check_raw(self, actor: Actor) -> None:
        if actor.error is not None and not isinstance(actor.error, I2PError):
            self.world.violate(RAW, f"{actor.name}: {actor.error!r}")


def simulate(seed: int, plan: Plan | None = None, script: Sequence[int] | None = None) -> Outcome:
    """One schedule; to be called inside `patches.simulated()`."""
    return Schedule(seed, plan or Plan(), script).outcome()
