"""One schedule of inference on cron: firings beside each other claim what comes in and predict it, and any may die."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

from jobs.errors import I2PError
from jobs.shards.address import open_store
from jobs.shards.dataset import publish_manifest
from jobs.shards.records import MANIFEST, Manifest
from pipeline.configuration.run_config import RunConfig, check_config
from pipeline.scheduled import batches as batches_
from pipeline.scheduled.claims import Claim, read_chain
from tests.simulation import patches
from tests.simulation.choices import Choices
from tests.simulation.invariants import CLAIMED, ENDS, RAW
from tests.simulation.s3 import Bucket, Client, Rules
from tests.simulation.scenario import Outcome, Plan
from tests.simulation.world import Actor, World

_CALLS = 6_000
_NAMES = ("a.png", "b.jpg", "deep/a.png", "c.webp", "deep/d.png", "e.png", "f.png", "g.png")
_NIGHT = datetime(2026, 11, 22, 3, tzinfo=UTC)


@cache
def _config() -> RunConfig:
    return check_config(
        {
            "run": "nightly",
            "store": "s3://simulated/runs",
            "inputs": {"evaluate": "trained"},
            "stages": ["infer"],
            "infer": {"images": "s3://simulated/incoming"},
        }
    )


class Firings:
    """The parts of one schedule."""

    def __init__(self, seed: int, rules: Rules, script: Sequence[int] | None = None) -> None:
        self.seed = seed
        self.choices = Choices(seed, script)
        self.world = World(self.choices)
        self.bucket = Bucket(self.world, replace(rules))
        patches.enter(self.world, Client(self.bucket))
        self.root = open_store("s3://simulated/runs")
        self.store = self.root.at("nightly")
        self.came: list[str] = []

    def outcome(self) -> Outcome:
        """Run it to its end."""
        world, choices = self.world, self.choices
        try:
            world.start("uploader", self._upload)
            firings = [self._firing(number) for number in range(2 + choices.below(3))]
            budget = 50 + choices.below(500)
            while world.calls < budget and any(not one.done for one in firings):
                world.turn()
                for number, one in enumerate(firings):
                    if one.done and one.dead and world.calls < budget:  # its Job starts another Pod
                        firings[number] = self._firing(number)
            world.faults = False
            for one in firings:
                self._check_raw(one)
                if choices.below(2):
                    world.kill(one)
            self._quiet()
        finally:
            world.end()
        return Outcome(self.seed, tuple(world.violations), tuple(choices.made), world.calls, tuple(world.trace))

    def _quiet(self) -> None:
        for number in range(20, 24):  # names of one id wait for each other
            last, until = self._firing(number), self.world.calls + _CALLS
            while self.world.actors and self.world.calls < until:
                self.world.turn()
            self._check_raw(last)
            if not last.done or last.error:
                self.world.violate(ENDS, f"a firing without faults: {last.error or 'no end'}")
                return
        chain = read_chain(self.store)
        claimed = Counter(name for claim in chain.claims for name in claim.names)
        if claimed != Counter(self.came):
            self.world.violate(CLAIMED, f"came {sorted(self.came)}, claimed {sorted(claimed.elements())}")
        if set(chain.ended) != {claim.number for claim in chain.claims}:
            self.world.violate(ENDS, f"of {len(chain.claims)} batches only {sorted(chain.ended)} are done")
        predicted = {name for claim in chain.claims if self._is_predicted(claim) for name in claim.names}
        if predicted != claimed.keys():
            self.world.violate(CLAIMED, f"predicted {sorted(predicted)}, claimed {sorted(claimed)}")

    def _is_predicted(self, claim: Claim) -> bool:
        return f"runs/{batches_.run_of(_config(), claim)}/infer/{MANIFEST}" in self.bucket.objects

    def _firing(self, number: int) -> Actor:
        hours = number // 2 if self.choices.below(2) else number  # a CronJob may make two Jobs of one time
        scheduled = _NIGHT + timedelta(hours=hours)

        def fire() -> None:
            for batch in batches_.batches(_config(), scheduled):
                self._predict(batch)

        return self.world.start("firing", fire, dies_once_in=60)

    def _predict(self, batch: batches_.Batch) -> None:
        """What the controller of the batch's run does, in short: it publishes in the end, or does not get that far."""
        self.world.call(f"predict {batch.config.run}")
        for spec in batch.config.specs:
            publish_manifest(self.root.at(batch.config.run).at(spec.name), Manifest(spec.name, ()))

    def _upload(self) -> None:
        for name in _NAMES[: 2 + self.choices.below(len(_NAMES) - 1)]:
            for _ in range(self.choices.below(30)):
                self.world.call("waits")
            self.bucket.put(f"incoming/{name}", b"image")
            self.came.append(name)

    def _check_raw(self, actor: Actor) -> None:
        if actor.error is not None and not isinstance(actor.error, I2PError):
            self.world.violate(RAW, f"{actor.name}: {actor.error!r}")


def simulate_firings(seed: int, plan: Plan | None = None, script: Sequence[int] | None = None) -> Outcome:
    """One schedule of firings; to be called inside `patches.simulated()`."""
    return Firings(seed, (plan or Plan()).rules, script).outcome()
