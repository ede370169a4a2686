"""The filter as a function: of prompts, or of vectors that somebody else has computed."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jobs.dedup.command import MODEL
from jobs.dedup.greedy import Decisions, gpu_memory_to_compare, greedy
from jobs.dedup.tool.embedding import embedded, model_params
from jobs.errors import BadConfiguration, BadData
from jobs.runtime.commands import Progress
from jobs.runtime.device import require_device, threads_of
from jobs.shards.keys import normalise
from jobs.similarity.exact import Floats

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Dropped:
    """The dropped rows in ascending order: `row` and `witness`, int64, and `cosine`, float64, all of one length."""

    row: Rows
    witness: Rows
    """For each the kept row because of which it was dropped; always an earlier one."""

    cosine: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True)
class Filtered:
    """What the filter decided. Rows are counted from 0; each is in `kept`, in `dropped.row` or in `empty`."""

    kept: Rows
    dropped: Dropped
    empty: Rows
    """Rows without a prompt, or with nothing but white space in it."""

    repeats: int
    """Dropped rows whose prompt is word for word that of an earlier row."""


def deduplicate(
    prompts_or_vectors: Iterable[str | None] | NDArray[np.floating],
    threshold: float = 0.8,
    *,
    model: str = MODEL,
    revision: str | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    threads: int | None = None,
    on_progress: Progress = lambda what, done, total, part=None: None,
) -> Filtered:
    """Keep each row unless one kept before it is as close as `threshold`: a cosine, more than 0 and at most 1.

    Given are prompts, or their vectors as an array of shape (n, d), whose lengths do not matter. Prompts are compared
    as they are normalised (NFC, single spaces). One that is word for word an earlier one is dropped for that, at cosine
    1, or, if that was dropped itself, for the same witness. `model` is a folder, `package:NAME`, or a hub repository at
    the commit `revision` that is on this machine: nothing is downloaded. `threads` are all cores by default.
    `on_progress` gets what is done ("embedding", "comparing"), how many, of how many, and the part of its time.

    Raises BadConfiguration for what cannot be asked for, BadData for a prompt or a vector that cannot be compared.

    >>> from jobs.dedup import deduplicate
    >>> found = deduplicate(["a red fox", "a lighthouse at night", "a  red fox", "a red fox in the snow"])
    >>> found.kept
    array([0, 1])
    >>> found.dropped.row, found.dropped.witness, found.dropped.cosine.round(2)
    (array([2, 3]), array([0, 0]), array([1.  , 0.84]))

    >>> import numpy
    >>> deduplicate(numpy.array([[1, 0], [0, 2], [3, 1]], "float32"), threshold=0.9).kept
    array([0, 1])
    """
    check_threshold(threshold)
    num_threads = threads_of(threads)
    if isinstance(prompts_or_vectors, np.ndarray) and prompts_or_vectors.dtype.kind in "fiu":
        vectors = _as_vectors(prompts_or_vectors)
        return filtered(np.arange(len(vectors)), compare(vectors, threshold, num_threads, device, on_progress))
    distinct = distinct_of(prompts_or_vectors)
    params = model_params(model, revision=revision, device=device, threads=num_threads)
    of_row, prompts = distinct.rows(), distinct.prompts
    del distinct  # and with it a dictionary of all prompts
    vectors = embedded(prompts, params, on_progress)
    return filtered(of_row, compare(vectors, threshold, num_threads, device, on_progress))


class Distinct:
    """Prompts as they come, of which each is held once, however often it comes."""

    def __init__(self) -> None:
        self.prompts: list[str] = []  # normalised
        self._numbers: dict[str, int] = {}
        self._of_row = array("q")

    def add(self, prompt: str) -> None:
        """The next row's prompt; an empty one is of no number."""
        text = normalise(prompt)
        number = self._numbers.setdefault(text, len(self.prompts)) if text else -1
        if number == len(self.prompts):
            self.prompts.append(text)
        self._of_row.append(number)

    def rows(self) -> Rows:
        """For every row the number of its prompt in `prompts`, -1 for an empty one."""
        return np.array(self._of_row, np.int64)


def distinct_of(prompts: Iterable[str | None]) -> Distinct:
    """The distinct ones of the prompts; raises BadData for what is no text."""
    if isinstance(prompts, str):
        raise BadConfiguration("prompts are required, as a list of texts; given is one text")
    distinct = Distinct()
    for row, prompt in enumerate(prompts):
        if prompt is not None and not isinstance(prompt, str):
            raise BadData(f"row {row} is not text but {type(prompt).__name__}; vectors are given as an array")
        distinct.add(prompt or "")
    return distinct


def filtered(of_row: Rows, decisions: Decisions) -> Filtered:
    """What the decisions on distinct prompts mean for rows. The first row of a prompt stands for it; those after it
    share its witness, or have it as theirs.
    """
    rows = np.flatnonzero(of_row >= 0)
    number = of_row[rows]
    is_repeat = np.diff(np.maximum.accumulate(number), prepend=-1) == 0  # numbers go up with the prompts' first rows
    first, is_dropped = rows[~is_repeat], decisions.witness[number] >= 0
    gone = is_repeat | is_dropped
    row, number, is_dropped = rows[gone], number[gone], is_dropped[gone]
    dropped = Dropped(
        row=row,
        witness=first[np.where(is_dropped, decisions.witness[number], number)],
        cosine=np.where(is_dropped, decisions.cosine[number], 1.0),
    )
    return Filtered(rows[~gone], dropped, np.flatnonzero(of_row < 0), int(is_repeat.sum()))


def compare(vectors: Floats, threshold: float, threads: int, device: str, on_progress: Progress) -> Decisions:
    """The filter's decisions over the vectors in their order."""

    def count(done: int, total: int) -> None:  # each is compared with those kept before: half are a quarter of the work
        on_progress("comparing", done, total, (done / total) ** 2 if total else 1.0)

    require_device(device)
    with gpu_memory_to_compare():
        return greedy(vectors, threshold, on_progress=count, threads=threads, device=device)


def check_threshold(threshold: float) -> None:
    """Raises BadConfiguration for one that no two vectors can have, or all have."""
    if not 0 < threshold <= 1:
        raise BadConfiguration(f"threshold: a cosine is required, more than 0 and at most 1, given {threshold}")


def _as_vectors(given: NDArray[np.floating]) -> Floats:
    if given.ndim != 2 or not given.shape[1]:
        raise BadConfiguration(f"vectors: an array of shape (n, d) is required, given is one of shape {given.shape}")
    return np.ascontiguousarray(given, np.float32)
