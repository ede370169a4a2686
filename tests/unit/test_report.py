"""The report shows the run's own numbers, whatever stands in its prompts and however far the run is."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import Corrupt
from jobs.evaluate.score_facts import CASES_BYTES
from jobs.generate_images.section import GRID_BYTES
from jobs.shards.dataset import Dataset, Writer, commit, publish_manifest
from jobs.shards.keys import key_of, split_of
from jobs.shards.local import LocalStore
from jobs.shards.records import CommitRecord, Manifest, Outcome, Shard
from jobs.shards.tar import Sample, json_field
from pipeline.configuration.run_config import check_config
from pipeline.report.writing import write_report
from tests.stages import local_run

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
HOSTILE = "<script>alert(1)</script> \"quoted\" 'single' & </style></svg> 🦊 {{ 7 * 7 }} " + "very " * 390
PROMPTS = [HOSTILE, *(f"a fox number {number} in a bamboo forest" for number in range(30))]
HELD_OUT = {"val": 0.3}
ROWS = {"repeated": 0, "too_short": 0, "too_long": 0, "unreadable": 0}
WRITTEN = {"wanted": 0, "kept": 0, "empty": 0, "repeated": 0}
SUBMISSION = b"imgId_eId,val\n" + 384 * b"1_0,0.5\n"
VOID = {"meta", "img", "br", "link", "input", "hr"}


def publish(run: LocalStore, stage: str, shards: dict[str, list[Sample]], **known: Any) -> Dataset:
    """A finished stage of one unit, with its commit record; `known` are settings, reads, stats of the outcome."""
    writer = Writer(run.at(stage))
    for name, samples in shards.items():
        writer.add_shard(name, sorted(samples, key=lambda sample: sample.key))
    outcome = Outcome("unit", "f" * 64, 1, **{"settings": {}, "reads": {}, **known}, shards=tuple(writer.shards))
    commit(
        run.at(stage), CommitRecord(outcome, "attempt", 75.5, 1_790_000_000.0, {"python": "3.11.9", "torch": "2.13"})
    )
    manifest = Manifest(stage, (outcome,))
    publish_manifest(run.at(stage), manifest)
    return Dataset(run.at(stage), manifest)


def origin(source: str) -> bytes:
    return json_field({"source": source, "licence": "CC0", "file": None, "row": 1})


def publish_prompts(run: LocalStore) -> Dataset:
    """collect to dedup: every prompt is kept, and two more were dropped for the first."""
    collected = [Sample(key_of(text), {"txt": text.encode(), "json": origin("forum <b>")}) for text in PROMPTS]
    source = {"source": {"name": "forum <b>", "seed": 4711}}
    publish(
        run,
        "collect",
        {"unit-00000": collected},
        settings=source,
        stats={**ROWS, "rows": 40, "kept": 33, "repeated": 7},
    )
    publish(run, "generate-prompts", {}, settings={"seed": 5}, stats=WRITTEN)
    publish(run, "embed", {"unit-00000": collected})
    shards: dict[str, list[Sample]] = {"train-00000": [], "val-00000": []}
    for sample in collected:
        shards[f"{split_of(sample.key, HELD_OUT)}-00000"].append(sample)
    witness = key_of(PROMPTS[0])
    shards["dropped-00000"] = [
        Sample(
            f"{key_of(text)}-unit-00000",
            {
                "txt": text.encode(),
                "json": json_field({"source": "forum <b>", "row": 1, "witness": witness, "cosine": cosine}),
            },
        )
        for text, cosine in ((PROMPTS[0], 1.0), (PROMPTS[0] + " indeed", 0.8125))
    ]
    certificate = {
        "threshold": 0.8,
        "order": "source, then key",
        "prompts": 33,
        "kept": 31,
        "dropped": 2,
        "held_out": HELD_OUT,
        "kept_keys_sha256": "c" * 64,
        "splits": {split: len(shards[f"{split}-00000"]) for split in ("train", "val")},
    }
    shards["certificate"] = [Sample("certificate", {"json": json_field(certificate)})]
    return publish(run, "dedup", shards)


def publish_images(run: LocalStore, kept: Dataset, image: bytes = PNG) -> Dataset:
    shards = {
        shard.name: [sample.adding(png=image) for sample in kept.read(shard)] for shard in kept.shards("train", "val")
    }
    return publish(run, "generate-images", shards, settings={"stored_size": 64, "model": "drawing"})


RELIABILITY = {
    "split": "test",
    "cross_fitted": False,
    "error_rate": 0.02,
    "promised_error_rate": 0.0157,
    "abstained": {"val": {"images": 9, "abstained": 0}, "test": {"images": 9, "abstained": 1}},
    "mean_expected": 0.7,
    "mean_true": 0.69,
    "calibration_error": 0.0123,
    "bins": [
        {"mean_expected": 0.611, "mean_true": 0.6, "images": 4},
        {"mean_expected": 0.8, "mean_true": 0.78, "images": 4},
    ],
    "interval": 0.9,
    "interval_held": 0.889,
    "risk_coverage": [{"share": 0.5, "cosine": 0.78}, {"share": 0.889, "cosine": 0.69}],
}


def publish_rest(run: LocalStore, kept: Dataset, images: Dataset, image: bytes = PNG, **changed: Any) -> None:
    """train to submission, with metrics that `changed` replaces."""
    points = [
        {"step": step, "images": 8 * step, "loss": 1 / step, "cosine": 1 - 1 / step, "learning_rate": 0.002 / step}
        for step in (10, 20, 25)
    ]
    curve = {"points": points, "steps": 25, "epochs": 3, "batch_size": 8}
    model = [Sample("model", {"safetensors": b"never read by the report", "json": b"{}"})]
    publish(
        run,
        "train",
        {"model": model, "curve": [Sample("curve", {"json": json_field(curve)})]},
        reads=images.reads("train"),
        settings={"seed": 7, "model": "convnext_atto"},
    )
    held_out, training = (next(iter(kept.samples(split))) for split in ("val", "train"))
    edges = [round(-1 + 0.05 * position, 2) for position in range(41)]
    metrics = {
        "score": 0.71234,
        "interval": [0.70111, 0.72222],
        "confidence": 0.95,
        "resamples": 5000,
        "samples": 9,
        "split": "val",
        "baselines": {"constant": 0.51, "nearest_neighbour": 0.62},
        "max_cosine_to_train": 0.7654,
        "closest_pair": {"val": held_out.key, "train": training.key},
        "training_prompts": 22,
        "neighbour_images": 21,
        "histogram": {
            "edges": edges,
            "model": [0] * 34 + [9] + [0] * 5,
            "constant": [0] * 30 + [9] + [0] * 9,
            "nearest_neighbour": [0] * 32 + [9] + [0] * 7,
        },
        "reliability": RELIABILITY,
        **changed,
    }
    noted = [Sample(one.key, {"txt": one["txt"]}) for one in kept.read(kept.shards("val")[0])]
    cases = [
        sample.adding(
            json=json_field(
                {"rank": rank, "cosine": 0.9 - rank / 100, "candidates": [{"prompt": HOSTILE, "cosine": 0.611}]}
            ),
            png=image,
        )
        for rank, sample in enumerate(noted, 1)
    ]
    score = {"cosine": 0.7, "constant": 0.5, "nearest_neighbour": 0.6, "bank_cosine": 0.8, "cosine_to_train": 0.7}
    scores = [Sample(case.key, {"json": json_field(score)}) for case in cases]
    shards = {
        "metrics": [Sample("metrics", {"json": json_field(metrics)})],
        "scores-00000": scores,
        "best-00000": cases,
        "worst-00000": cases,
    }
    publish(run, "evaluate", shards, reads=images.reads("val"), settings={"seed": 0})
    guess = {
        "id": "<i>1</i>",
        "expected_cosine": 0.555,
        "interval": [0.444, 0.666],
        "candidates": [{"prompt": HOSTILE, "cosine": 0.6}],
    }
    withheld = {"id": "2", "abstained": "unlike <i>all</i>", "candidates": [{"prompt": HOSTILE, "cosine": 0.1}]}
    guesses = [Sample(str(number), {"json": json_field(one)}) for number, one in enumerate((guess, withheld), 1)]
    publish(run, "infer", {"predictions-00000": guesses}, stats={"abstained": 1})
    publish(run, "submission", {"submission": [Sample("submission", {"csv": SUBMISSION})]})


def finished(run: LocalStore, image: bytes = PNG, **changed: Any) -> str:
    kept = publish_prompts(run)
    publish_rest(run, kept, publish_images(run, kept, image), image, **changed)
    return report(run)


def report(run: LocalStore, **configuration: Any) -> str:
    address = write_report(run, check_config({"run": "made-up", **configuration}))
    assert address == f"{run.url}/report.html"
    return run.read("report.html").data.decode()


class Page(HTMLParser):
    """Text by section and all attributes; fails on tags that do not close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str | None]] = []
        self.texts: dict[str | None, str] = {}
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        if tag not in VOID:
            self.open.append((tag, dict(attributes).get("id")))

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attributes]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: Any) -> None:
        section = next((name for tag, name in self.open if tag == "section"), None)
        self.texts[section] = re.sub(r"\s+", " ", f"{self.texts.get(section, '')} {data}")

    def values(self, tag: str, name: str) -> Iterator[str]:
        return (value for *of, value in self.attributes if of == [tag, name])


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return finished(local_run(tmp_path_factory.mktemp("report")))


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_first_questions_are_answered_at_the_top(page: Page) -> None:
    top = page.texts["result"]
    for noted in (
        "0.712",
        "0.701 to 0.722",
        "9 held-out prompts",
        "0.510",
        "0.620",
        "+0.092",
        "+0.202",
        "No leak",
        "0.7654",
        "31",
        "of 33",
        "submission.csv",
        "384 rows",
    ):
        assert noted in top
    assert "The network is above both baselines" in top


@pytest.mark.parametrize(
    ("section", "noted"),
    [
        ("graph", ["generate-prompts", "31 samples", "1 min 16 s", "2026-09-21", "done"]),
        ("sources", ["Of 40 rows", "33 were kept", "7 repeat", "0 were refused", "forum <b>", "not stated"]),
        ("filter", ["31 were kept", "40", "7 repeated", "0.812", "1 of 2 dropped prompts", "forum <b>", "indeed"]),
        ("images", ["24 of 31 images", "drawing", "bamboo forest", "val"]),
        ("training", ["convnext_atto", "25 steps", "200 images seen", "from 0.100 at step 10", "0.0400"]),
        ("scores", ["0.70 to 0.75", "network 0.712", "mean vector 0.510", "most alike image 0.620"]),
        ("cases", ["0.890", "0.611", "bamboo forest"]),
        ("leaks", ["No leak.", "22 training prompts", "0.7654", "c" * 64]),
        (
            "confidence",
            ["split test", "at most 1.6 %", "1 of 9 images of test was abstained", "0.0123", "0.611", "88.9 %"],
        ),
        (
            "predictions",
            ["2 images", "1 is abstained", "0.555", "0.444 to 0.666", "<i>1</i>", "abstained unlike <i>all</i>"],
        ),
        ("origin", ["4711", "source.seed", "torch", "2.13", "every stage that is done"]),
    ],
)
def test_every_section_has_its_numbers(page: Page, section: str, noted: Any) -> None:
    for one in noted:
        assert one in page.texts[section], f"{one!r} is missing in {section}"


def test_refused_rows_are_shown_by_reason_for_each_source_and_for_all(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    publish_prompts(run)
    outcomes = []
    for number, licence in enumerate(("CC0-1.0", "<i>MIT</i>", "CC0-1.0")):
        stats = {**ROWS, "rows": 1_020, "kept": 1_000, "repeated": 9, "too_short": 1, "refused": {"language": 10}}
        source = {"source": {"name": f"s{number // 2}", "licence": licence}}
        outcomes.append(Outcome(f"s-{number}", "f" * 64, 1, source, {f"{number}.csv": "1"}, (), stats))
    publish_manifest(run.at("collect"), Manifest("collect", tuple(outcomes)))
    page = Page(report(run))
    for noted in (
        "Of 3,060 rows, 3,000 were kept (98 %), 27 repeat a prompt of the same file word for word, and 33 were refused",
        "s0 2 2,040 2,000 98 % 18 22 20 language, 2 too short CC0-1.0, <i>MIT</i>",
        "s1 1 1,020 1,000 98 % 9 11 10 language, 1 too short CC0-1.0",
        "All sources 3 3,060 3,000 98 % 27 33 30 language, 3 too short",
        "CC0-1.0 2,000 67 % <i>MIT</i> 1,000 33 %",
    ):
        assert noted in page.texts["sources"]
    assert "of 3,060 rows of 2 sources; 27 repeated, 33 refused." in page.texts["result"]
    assert "20 language" in page.texts["filter"]


def test_all_work_is_added_up_at_the_top(page: Page) -> None:
    assert "11 min 20 s of work in all" in page.texts[None]  # nine stages of 75.5 s


def test_every_manifest_is_reported_by_its_digest(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    kept = publish_prompts(run)
    assert kept.manifest.digest in report(run)


def test_the_page_loads_nothing_and_runs_nothing(html: str, page: Page) -> None:
    assert "://" not in re.sub(r'aria-label="[^"]*"', "", html)
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert {tag for tag, _, _ in page.attributes} & {"script", "link", "iframe", "object"} == set()
    assert "default-src 'none'" in html
    assert all(value.startswith("data:image/png;base64,") for value in page.values("img", "src"))
    assert all(value.startswith(("#", "submission.csv", "predictions/")) for value in page.values("a", "href"))
    assert "url(" not in html.replace("url(#arrow-", "")


def test_hostile_prompts_stay_text(html: str, page: Page) -> None:
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    shown = HOSTILE.strip()
    assert len(shown) > 2_000
    assert re.sub(r"\s+", " ", shown) in page.texts["cases"]
    assert "{{ 7 * 7 }}" in page.texts["cases"]
    assert "🦊" in page.texts["images"] + page.texts["filter"]


def test_charts_have_labels_and_only_finite_positions(html: str, page: Page) -> None:
    assert not re.search(r"[^a-z](nan|inf|none)[^a-z]", "".join(re.findall(r"<svg.*?</svg>", html, re.S)).lower())
    charts_drawn = html.count("<svg")
    assert charts_drawn == html.count('<svg class="chart" role="img" aria-label="') + html.count('<svg class="graph ')
    assert all(page.values("svg", "aria-label"))
    assert all(page.values("img", "alt"))


def test_what_could_not_be_checked_or_promised_is_said_in_words(tmp_path: Path) -> None:
    nothing_kept = {"mean_expected": None, "mean_true": None, "calibration_error": None, "interval_held": None}
    few = {**RELIABILITY, **nothing_kept, "bins": [], "risk_coverage": [], "cross_fitted": True, "split": "val"}
    page = Page(finished(local_run(tmp_path / "few"), reliability={**few, "promised_error_rate": 0.4}))
    for noted in ("at most 40.0 %", "2.0 % was asked for", "each image of val was judged by what others"):
        assert noted in page.texts["confidence"]
    page = Page(finished(local_run(tmp_path / "before"), reliability=None))
    assert "Not measured" in page.texts["confidence"]


def test_a_score_that_beats_nothing_and_a_leak_are_said_in_words(tmp_path: Path) -> None:
    html = finished(local_run(tmp_path), score=0.61, interval=[0.6, 0.63], max_cosine_to_train=0.9)
    top = Page(html).texts["result"]
    assert "The network is not clearly above both baselines" in top
    assert "-0.010 (-0.020 to +0.010) against the most alike image" in top
    assert "No leak" not in html
    assert "at cosine 0.900000; the filter allows none at 0.8 or above" in top


def test_the_interval_of_the_difference_decides_where_there_is_one(tmp_path: Path) -> None:
    above = {"constant": [0.08, 0.12], "nearest_neighbour": [0.001, 0.02]}
    html = finished(local_run(tmp_path), score=0.63, interval=[0.6, 0.66], differences=above)
    top = Page(html).texts["result"]
    assert "The network is above both baselines" in top
    assert "+0.010 (+0.001 to +0.020) against the most alike image" in top


def test_the_score_of_each_source_is_shown(tmp_path: Path) -> None:
    own = {"score": 0.7, "baselines": {"constant": 0.5, "nearest_neighbour": 0.6}}
    sources = [
        {"source": "<mine>", "samples": 2_345, "interval": [0.65, 0.76], **own},
        {"source": "other", "samples": 3, "interval": None, **own},
    ]
    shown = Page(finished(local_run(tmp_path), by_source=sources)).texts["scores"]
    assert "<mine> 2,345 0.700 0.650 to 0.760 0.600 0.500" in shown
    assert "other 3 0.700 too few 0.600 0.500" in shown


def test_a_pair_that_only_rounding_puts_at_the_threshold_is_no_leak(tmp_path: Path) -> None:
    noted = Page(finished(local_run(tmp_path), max_cosine_to_train=0.800001)).texts["result"]
    assert "No leak" in noted
    assert "0.800001, within float32's rounding of the filter's 0.8" in noted


def test_a_run_of_which_nothing_is_done_says_so(tmp_path: Path) -> None:
    page = Page(report(local_run(tmp_path)))
    assert "No score yet" in page.texts["result"]
    for section in ("filter", "images", "training", "scores", "cases", "leaks", "predictions"):
        assert "Not here yet" in page.texts[section]
    assert "Still to be made: collect, generate-prompts" in page.texts[None]


def test_a_run_that_has_its_images_shows_them_and_leaves_out_the_rest(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    publish_images(run, publish_prompts(run))
    page = Page(report(run))
    assert "24 of 31 images" in page.texts["images"]
    assert "Not here yet: train" in page.texts["training"]
    assert "Still to be made: cut-prompts, compare-images, train, evaluate, infer and submission." in page.texts[None]


def test_a_stage_made_from_an_earlier_input_is_out_of_date(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    kept = publish_prompts(run)
    images = publish_images(run, kept)
    publish_rest(run, kept, images)
    assert "Out of date" not in report(run)
    publish_images(run, kept, PNG + b"another")
    noted = Page(report(run)).texts[None]
    assert "train was made from an earlier generate-images" in noted
    assert "evaluate was made from an earlier generate-images" in noted


def test_large_images_are_left_out_before_the_page_grows_too_large(tmp_path: Path) -> None:
    large = PNG + bytes(GRID_BYTES // 4)
    html = finished(local_run(tmp_path), large)
    assert "4 of 31 images" in Page(html).texts["images"] or "3 of 31 images" in Page(html).texts["images"]
    assert len(html) < (GRID_BYTES + 2 * CASES_BYTES) * 4 / 3 + 300_000 < 5_000_000


def test_few_shards_are_read_however_many_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = local_run(tmp_path)
    kept = publish_prompts(run)
    shards = {f"{split}-{number:05d}": list(kept.samples(split)) for split in ("train", "val") for number in range(30)}
    others = {shard.name: list(kept.read(shard)) for shard in kept.shards("dropped", "certificate")}
    kept = publish(run, "dedup", shards | others, settings={"another": 1})
    publish_rest(run, kept, publish_images(run, kept))
    read: list[str] = []
    original = Dataset.read

    def noted(self: Dataset, shard: Shard) -> Any:
        read.append(self.name)
        return original(self, shard)

    monkeypatch.setattr(Dataset, "read", noted)
    report(run)
    assert max(read.count(stage) for stage in set(read)) <= 8
    assert {"collect", "embed"}.isdisjoint(read)


def test_what_is_damaged_is_not_reported(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    kept = publish_prompts(run)
    (shard,) = kept.shards("certificate")
    (run.root / "dedup" / shard.object).write_bytes(b"torn")
    with pytest.raises(Corrupt):
        report(run)


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    assert finished(run) == report(run)


def test_the_submission_is_written_before_the_page_that_leads_to_it(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    page = Page(finished(run))
    assert ("a", "href", "submission.csv") in page.attributes
    assert run.read("submission.csv").data == SUBMISSION


def test_before_the_submission_is_done_the_page_says_where_it_will_be(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    publish_prompts(run)
    html = report(run)
    assert f"It will be <code>{run.url}/submission.csv</code>" in html
    assert run.stat("submission.csv") is None


def test_stages_that_are_not_part_of_the_run_are_not_waited_for(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    publish_prompts(run)
    html = report(run, stages=["collect", "generate-prompts", "embed", "dedup"])
    assert "This run is not finished" not in html
    assert "This run makes no submission" in html
    assert "<code>train</code> is not part of this run" in html
    assert "Not here yet" not in html
