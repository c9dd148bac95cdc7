"""What a comparison found: as a page, a table and a sentence."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from acclimate.contents import Agreement, ComparedEnsemble, ComparedSetting, Comparison, ScoredDomain
from acclimate.report.measures import format_mean
from acclimate.runs.finding import words_for

NAMES: Mapping[str, str] = {
    "entropy": "Entropy",
    "importance_weighted_accuracy": "Weighted source accuracy",
    "mixval": "MixVal",
    "class_ami": "Class-AMI",
    "ensv": "EnsV",
    "combined": "Mean rank",
}
"""Headings of the validators' columns; others have their names."""
SHOWN = 8
"""Rows of the table in the terminal."""


def finding(found: Comparison) -> str:
    """Return the choice in a sentence or two."""
    told = headline(found)
    caution = f" Caution: the guard finds {found['reference']} safer: {found['caution']}." if found["caution"] else ""
    return f"{told.text}. {told.details}{caution}"


class Headline(NamedTuple):
    """The choice in a few words, and what belongs to it."""

    text: str
    details: str


def headline(found: Comparison) -> Headline:
    """Return the choice as a short title and the details below it."""
    row = found["ranking"][0]
    how = f"Chosen without target labels among {_counted(found)}: {found['reason']}."
    if "target" not in row:
        return Headline(f"{row['name']} is chosen; its accuracy on the target is unknown", how)
    on = f" Scored on {found['score']['n']:,} examples of {found['score']['path']}." if found["score"] else ""
    return Headline(f"{row['name']} is chosen: {_accuracy(row)} on the target", how + _against(found, row) + on)


def _counted(found: Comparison) -> str:
    methods = len({row["method"] for row in found["ranking"]})
    settings = len(found["ranking"])
    return f"{settings} settings of {methods} method{'s' * (methods > 1)}, {_seeds(found)}"


def _seeds(found: Comparison) -> str:
    seeds = len(found["seeds"])
    return f"{seeds} seeds each" if seeds > 1 else "one seed each"


def _accuracy(row: ComparedSetting) -> str:
    return f"{format_mean('accuracy', row['target'])} accuracy".replace(" %", "%")


def _against(found: Comparison, row: ComparedSetting) -> str:
    """How the choice compares with source-only."""
    if "change" not in row:
        return ""
    words = words_for(row["change"], 0.0)
    clear = "" if words.clear else "no clear change, "
    interval = words.interval.removesuffix(" points")
    return f" Against {found['reference']}: {clear}{words.difference} (95% interval {interval})."


class Regret(NamedTuple):
    """The setting with the highest accuracy, and by how much the choice misses it."""

    best: str
    accuracy: str
    points: str


def regret(found: Comparison) -> Regret | None:
    """Return what labels would have chosen; None without labels."""
    scored = [row for row in found["ranking"] if "target" in row]
    if not scored or scored[0] is not found["ranking"][0]:
        return None
    best = max(scored, key=lambda row: row["target"]["accuracy"])
    missed = best["target"]["accuracy"] - scored[0]["target"]["accuracy"]
    return Regret(best["name"], f"{best['target']['accuracy']:.1%}", f"{100 * missed:.1f}")


class Line(NamedTuple):
    """One row of the ranking, as text."""

    name: str
    rank: str
    bar: float
    rejected: str
    scores: list[str]
    source: str
    accuracy: str
    change: str
    better: str
    seconds: str


def lines(found: Comparison) -> list[Line]:
    """Return the ranking as text, the choice first."""
    columns = validators(found)
    return [_line(row, columns, len(found["seeds"])) for row in found["ranking"] if not _has_failed(row)]


def validators(found: Comparison) -> list[str]:
    """Return the validators that gave any setting a score."""
    return list(dict.fromkeys(name for row in found["ranking"] for name in row["scores"]))


def _line(row: ComparedSetting, columns: Sequence[str], seeds: int) -> Line:
    change, better = _change(row)
    return Line(
        name=row["name"],
        rank="–" if row["rank"] is None else f"{row['rank']:.2f}",
        bar=row["rank"] or 0.0,
        rejected=_of_seeds(row["rejected"], seeds),
        scores=[_score(row, name) for name in columns],
        source="–" if row["source_val"] is None else f"{100 * row['source_val']:.1f}",
        accuracy=_percents(row),
        change=change,
        better=better,
        seconds="–" if row["seconds"] is None else f"{row['seconds']:.1f}",
    )


def _score(row: ComparedSetting, validator: str) -> str:
    if validator not in row["scores"]:
        return "no say" if validator in row["left_out"] else "–"
    return f"{row['scores'][validator]:.3f}".replace("-", "−")


def _of_seeds(rejected: Mapping[str, str], seeds: int) -> str:
    """In how many seeds a gate rejected the model; empty for none."""
    if not rejected:
        return ""
    return "rejected" if len(rejected) == seeds else f"rejected in {len(rejected)} of {seeds} seeds"


def _has_failed(row: ComparedSetting) -> bool:
    """Whether no seed of a setting was trained."""
    return row["seconds"] is None


def _reasons(by_seed: Mapping[str, str], seeds: int) -> list[str]:
    """Reasons with the seeds they are of, each once."""
    of: dict[str, list[str]] = {}
    for seed, reason in by_seed.items():
        of.setdefault(reason, []).append(seed)
    return [reason if len(some) == seeds else f"seed {', '.join(some)}: {reason}" for reason, some in of.items()]


def failures(found: Comparison) -> list[tuple[str, list[str]]]:
    """Return settings with trainings that have failed, with the reasons."""
    seeds = len(found["seeds"])
    return [(row["name"], _reasons(row["failed"], seeds)) for row in found["ranking"] if row["failed"]]


ENSEMBLES: Mapping[str, str] = {
    "mean": "Mean of all models that passed the gates",
    "weighted": "Importance-weighted aggregation of these",
    "ensemble": "Best setting of each method, at most five",
    "student": "One student of these",
    "sources": "Models of each source alone, weighted by their ranks",
}
"""What ensembles are called."""


class EnsembleLine(NamedTuple):
    """One ensemble, as text."""

    name: str
    members: str
    accuracy: str
    change: str
    better: str


def ensemble_lines(found: Comparison) -> list[EnsembleLine]:
    """Return the ensembles as text."""
    return [_ensemble_line(row) for row in found["ensembles"]]


def _ensemble_line(row: ComparedEnsemble) -> EnsembleLine:
    sizes = sorted({len(own) for own in row["members"].values()})
    size = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    change, better = _change(row)
    return EnsembleLine(ENSEMBLES.get(row["name"], row["name"]), size, _percents(row), change, better)


def _together(found: Comparison) -> str:
    """The members of the ensemble that is a Run; empty if there is none."""
    members = next((row["members"] for row in found["ensembles"] if row["name"] == "ensemble"), {})
    *others, last = next(iter(members.values()), {"": 0.0})
    return f"{', '.join(others)} and {last}" if others else last


def _change(row: ComparedSetting | ComparedEnsemble) -> tuple[str, str]:
    """The difference to source-only with its interval, and ``better`` or ``worse`` if the interval excludes 0."""
    if "change" not in row:
        return "–", ""
    words = words_for(row["change"], 0.0)
    text = f"{words.difference.removesuffix(' points')} ({words.interval.removesuffix(' points')})"
    return text, ("better" if words.better else "worse") if words.clear else ""


def _percents(row: ComparedSetting | ComparedEnsemble) -> str:
    return format_mean("accuracy", row["target"]).replace(" %", "") if "target" in row else "–"


def rejections(found: Comparison) -> list[tuple[str, list[str]]]:
    """Return settings with models that a gate rejected, with the reasons."""
    seeds = len(found["seeds"])
    return [(row["name"], _reasons(row["rejected"], seeds)) for row in found["ranking"] if row["rejected"]]


def table(found: Comparison) -> str:
    """Return the first rows of the ranking as a table for the terminal."""
    labelled = found["score"] is not None
    head = ["setting", "mean rank", *(["accuracy", "against source-only"] if labelled else []), "gates", "s"]
    rows = [head]
    for line in lines(found)[:SHOWN]:
        scored = [line.accuracy, line.change] if labelled else []
        rows.append([line.name, line.rank, *scored, line.rejected, line.seconds])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    texts = [
        "  ".join([row[0].ljust(widths[0]), *(text.rjust(w) for text, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    left = len(lines(found)) - SHOWN
    return "\n".join([*texts, *([f"and {left} more"] if left > 0 else [])])


def render_comparison(found: Comparison) -> str:
    """Return one HTML page that loads nothing else."""
    from acclimate.report.page import render_template, short_path, short_paths  # plotly takes a second to import

    source = short_paths([*found.get("sources", {})] or [found["source"]])
    target = short_path(found["target"])
    return render_template(
        "compare.html.j2",
        {
            "title": f"comparison: {source} to {target}",
            "headline": headline({**found, "score": _at(found["score"], short_path)}),
            "found": found,
            "source": source,
            "target": target,
            "labelled": found["score"] is not None,
            "regret": regret(found),
            "lines": lines(found),
            "validators": [NAMES.get(name, name) for name in validators(found)],
            "agreement": [_agreement(one) for one in found["agreement"]],
            "failures": failures(found),
            "rejections": rejections(found),
            "ensembles": ensemble_lines(found),
            "members": _together(found),
            "made": {row["name"] for row in found["ensembles"]},
            "facts": _facts(found, source, target),
        },
    )


def _at(score: ScoredDomain | None, shorten: Callable[[str], str]) -> ScoredDomain | None:
    """The labelled target with a shorter path."""
    return None if score is None else {**score, "path": shorten(score["path"])}


def _agreement(one: Agreement) -> tuple[str, str, int]:
    correlation = f"{one['correlation']:+.2f}".replace("-", "−")
    return NAMES.get(one["validator"], one["validator"]), correlation, one["settings"]


def _sources(found: Comparison) -> str:
    """Each of several sources with its size; empty if there is one."""
    from acclimate.report.page import short_path

    return ", ".join(f"{short_path(path)} ({n:,} examples)" for path, n in found.get("sources", {}).items())


def _facts(found: Comparison, source: str, target: str) -> dict[str, str]:
    recipe = found["recipes"][found["reference"]]
    trained = sum(len(found["seeds"]) - len(row["failed"]) for row in found["ranking"])
    facts = {
        "Source": _sources(found) or source,
        "Target": target,
        "Backbone": recipe["backbone"],
        "Fine-tuning": recipe["finetune"] if recipe["backbone"] != "linear" else "",
        "Trainings": f"{trained:,}",
        "Seeds": ", ".join(map(str, found["seeds"])),
        "Time of all trainings": f"{found['seconds'] / 60:.1f} min",
    }
    return {name: value for name, value in facts.items() if value}
