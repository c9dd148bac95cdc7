"""Makes methods/NAME.md for every method from its docstring, the table methods/README.md, and finetune.md.

make docs

Accuracies are read from benchmarks/moons.jsonl and times from benchmarks/method_cost.jsonl; the pictures are drawn by
benchmarks/moons.py.
"""

import inspect
import json
import re
import statistics
import textwrap
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from acclimate import finetune, methods
from acclimate.methods import selfsup, shallow, testtime
from acclimate.shift import label_shift

HERE = Path(__file__).parent / "methods"
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

ROOMS = {
    "baseline": "Baselines",
    "align": "Methods that align two domains",
    "sourcefree": "Methods that do without the source",
    "selfsup": "Self-supervised methods, from which another method goes on",
    "shallow": "Shallow methods, before any scikit-learn classifier",
    "testtime": "Methods that adapt while they predict",
    "label_shift": "Estimators of label shift",
}
"""In the order of the table; a room that is not here comes after these, by its folder's name."""
USED = {
    "sourcefree": "acclimate adapt FINISHED_RUN TARGET -o RUN --method {name}",
    "selfsup": "acclimate adapt SOURCE TARGET -o RUN --pretrain {name} --set pretrain.steps=10000",
    "shallow": 'Adapter(method="{name}").fit(X, y, X_target=X_target)  # from acclimate.sklearn',
    "testtime": "acclimate predict RUN INPUT -o predictions.csv --test-time {name}",
    "label_shift": "acclimate predict RUN INPUT -o predictions.csv --label-shift {name}",
    "supervised": "acclimate adapt SOURCE TARGET -o RUN --method {name} --target-labels LABELLED_TARGET",
}
ADAPT = "acclimate adapt SOURCE TARGET -o RUN --method {name}"


class Entry(NamedTuple):
    """One method: its name, its room, the class or function that is it, and its options."""

    name: str
    room: str
    is_a: Any
    options: Mapping[str, inspect.Parameter]

    @property
    def parts(self) -> dict[str, str]:
        """Its docstring by section; what stands before the first is ``""``."""
        return sections(inspect.getdoc(self.is_a) or "")


def entries() -> list[Entry]:
    """Every method there is, room by room."""
    found = [
        Entry(name, kind.summary(name)["family"], kind.get(name), kind.options(name))
        for kind in (methods, selfsup, shallow, testtime)
        for name in kind.names()
    ]
    for name, estimator in label_shift.ESTIMATORS.items():
        parameters = inspect.signature(estimator).parameters
        options = {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
        found.append(Entry(name, "label_shift", estimator, options))
    rooms = list(ROOMS)
    return sorted(found, key=lambda e: (rooms.index(e.room) if e.room in rooms else len(rooms), e.room, e.name))


def sections(doc: str) -> dict[str, str]:
    """A Google-style docstring by section, each without its indent."""
    found, name = {"": ""}, ""
    for line in doc.splitlines():
        head = re.match(r"(When to use|Shapes|Args|Attributes|Raises|Reference|Example):\s*(.*)", line)
        if head:
            name, line = head[1], head[2] and f"    {head[2]}"
            found[name] = ""
        found[name] += f"{line}\n"
    texts = {name: re.sub(r"^(?=\S)", "    ", text, flags=re.M) if name else text for name, text in found.items()}
    return {name: textwrap.dedent(text).strip() for name, text in texts.items()}


def markdown(text: str) -> str:
    """A docstring's text with equations, code and papers as GitHub shows them."""
    parts = re.split(r"^\.\. math::[ ]?(.*)\n?((?:[ ]{4}.*\n?|\n)*)", text, flags=re.M)
    out = [inline(parts[0])]
    for first, block, after in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        equation = "\n".join(filter(None, [first, textwrap.dedent(block).strip()]))
        out += [f"```math\n{equation}\n```\n\n", inline(after)]
    return "".join(out).strip()


def inline(text: str) -> str:
    """The same for what stands within a line."""
    text = re.sub(r":math:`([^`]+)`", lambda m: f"$`{' '.join(m[1].split())}`$", text)
    text = re.sub(r"``(.+?)``", r"`\1`", text, flags=re.S)
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


def arguments(text: str) -> dict[str, str]:
    """What ``Args:`` says of each, on one line."""
    pairs = re.findall(r"^(\w+): (.*(?:\n[ ]+.*)*)", text, flags=re.M)
    return {name: " ".join(said.split()) for name, said in pairs}


def page(entry: Entry) -> str:
    """The page of one method."""
    parts = entry.parts
    does, _, about = parts[""].partition("\n")
    used = USED.get(entry.name, USED.get(entry.room, ADAPT)).format(name=entry.name)
    name = entry.is_a.__name__
    blocks = [
        f"# `{entry.name}`" + (f": {name}" if name != entry.name else ""),
        inline(does),
        markdown(about),
        f"## When to use it\n\n{inline(parts['When to use'])}",
        moons_block(entry),
        f"## How to use it\n\n```{'python' if entry.room == 'shallow' else ''}\n{used}\n```",
        options_block(entry),
        needs_block(entry),
        cost_block(entry),
        f"## Reference\n\n{inline(parts['Reference'])}",
        "[All methods](README.md)\n",
    ]
    return "<!-- Made by `make docs` from the docstring; change it there. -->\n\n" + "\n\n".join(filter(None, blocks))


def options_block(entry: Entry) -> str:
    """Name, type, default and meaning of every option."""
    if not entry.options:
        return "It has no options."
    said = arguments(entry.parts["Args"])
    rows = [
        f"| `{name}` | `{type_of(p)}` | `{p.default!r}` | {inline(said[name])} |".replace(" | None`", r" \| None`")
        for name, p in entry.options.items()
    ]
    return "\n".join(["| option | type | default | what it is |", "|---|---|---|---|", *rows])


def type_of(option: inspect.Parameter) -> str:
    """A type as one writes it, without its modules."""
    plain = get_args(option.annotation)[0] if get_origin(option.annotation) is Annotated else option.annotation
    return re.sub(r"\b(?:\w+\.)+(?=[A-Z])", "", inspect.formatannotation(plain))


def needs_block(entry: Entry) -> str:
    """What it learns from, what it starts from, and what it cannot do."""
    lines = [*_needs(entry)]
    if shapes := entry.parts.get("Shapes"):
        lines.append(f"Shapes: {inline(shapes)}")
    return "## What it needs\n\n" + "\n".join(filled(f"- {line}", "  ") for line in lines)


def _needs(entry: Entry) -> list[str]:
    if entry.room == "shallow":
        sparse = "dense or sparse rows" if entry.is_a.takes_sparse else "dense rows"
        does = "maps features" if hasattr(entry.is_a, "transform") else "weights the source"
        return [f"A labelled source and an unlabelled target, {sparse}; no GPU.", f"It {does}."]
    if entry.room == "testtime":
        return ["A finished Run; of the stream nothing but the batch at hand."]
    if entry.room == "label_shift":
        return ["A finished Run, whose held-out source examples calibrate it, and the examples to predict."]
    if entry.room == "selfsup":
        return [
            "Unlabelled images: of the target, or as `pretrain.on` says of the `source` or `both`.",
            "A backbone, which starts from its own weights, pretrained ones if it has them; the head is made anew.",
            "Options are set as `pretrain.OPTION`, beside `pretrain.steps`, `pretrain.lr` and all else of a training; "
            "what is not said is as in the training of the method that goes on.",
        ]
    domains = {"source": "a labelled source", "target": "an unlabelled target", "target_labels": "a labelled target"}
    needs = " and ".join(domains[need] for need in sorted(entry.is_a.needs))
    lines = [needs[0].upper() + needs[1:] + "."]
    if entry.is_a.starts_from:
        lines.append(f"It starts from the weights of the phase `{entry.is_a.starts_from}` of the same seed.")
    if not entry.is_a.batched:
        lines.append("Seeds cannot be stacked into one model.")
    return lines


def cost_block(entry: Entry) -> str:
    """The time of a step beside source-only's."""
    ratios = costs().get(entry.name)
    if not ratios:
        return ""
    said = ", ".join(f"{statistics.median(r):.2f} on {net}" for net, r in ratios.items())
    return (
        "## Cost\n\nTime of a step, engine and all, as a ratio to source-only's "
        f"([method_cost.md](../../benchmarks/method_cost.md)): {said}."
    )


PICTURE = (
    "Inter-twinning moons, the target turned by 35°, {options}, seed 0{panels}. {points} Accuracy on "
    "the target over {seeds}: {it}{before}; see [moons.md](../../benchmarks/moons.md)."
)
PAPER = (
    "The same with the net and the options that the paper has for its moons, and a fifth of its passes, seed 0. Over "
    "{seeds}: {it} (source only {before})."
)
POINTS = "Coloured points are the source by class, black ones the target, which has no labels."
ANSWERED = (
    "Coloured points are the source by class on the left, and on the right the target by the answers it was given."
)
NETS = {"shallow": "support-vector machine", "testtime": "net with batch norm"}


def moons_block(entry: Entry) -> str:
    """What it does to the moons: the picture, and its accuracy over seeds."""
    if entry.room == "selfsup":
        return "It has no picture of the moons: what two views of a point in the plane should share, nobody can say."
    if entry.name not in moons():
        return ""
    it, before = moons()[entry.name]
    alone = entry.name == "source_only"
    left = f"left a {NETS.get(entry.room, 'net')} that learnt from the source alone"
    text = PICTURE.format(
        options="every option at its default" + (" but `widths=[100]`" if "widths" in entry.options else ""),
        panels="" if alone else f": {left}, right `{entry.name}`",
        points=ANSWERED if entry.room == "testtime" else POINTS,
        seeds=counted(it),
        it=spread(it),
        before="" if alone else f" (source only {spread(before)})",
    )
    blocks = [f"![{entry.name} on the moons]({entry.name}.png)", filled(text)]
    if entry.name in moons("paper"):
        it, before = moons("paper")[entry.name]
        text = PAPER.format(seeds=counted(it), it=spread(it), before=spread(before))
        blocks += [f"![{entry.name} with the paper's net]({entry.name}-paper.png)", filled(text)]
    return "\n\n".join(blocks)


def filled(text: str, indent: str = "") -> str:
    """A paragraph in lines of at most 120."""
    return textwrap.fill(text, 120, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def counted(values: list[float]) -> str:
    """How many seeds they are of."""
    return f"{len(values)} seed{'s' if len(values) > 1 else ''}"


def spread(values: list[float]) -> str:
    """Mean ± sd."""
    return f"{statistics.mean(values):.3f}" + (f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else "")


@cache
def moons(setting: str = "") -> dict[str, tuple[list[float], list[float]]]:
    """Accuracies of each method, and of source-only in the same room, by seed: by default, or in the ``paper``'s."""
    found: dict[tuple[str, str], list[float]] = {}
    for r in read("moons"):
        found.setdefault((r["room"], r["method"]), []).append(r["accuracy"])
    return {
        name: (it, found[room, "source_only"])
        for (room, name), it in found.items()
        if (room == "paper") == (setting == "paper") and (name != "source_only" or room == "net")
    }


@cache
def costs() -> dict[str, dict[str, list[float]]]:
    """Ratios of each method's step to source-only's, by net."""
    found: dict[str, dict[str, list[float]]] = {}
    for r in read("method_cost"):
        found.setdefault(r["method"], {}).setdefault(r["net"], []).append(r["ratio"])
    return found


def read(table: str) -> list[dict[str, Any]]:
    """What a benchmark noted, if it has run."""
    kept = BENCHMARKS / f"{table}.jsonl"
    return [json.loads(line) for line in kept.read_text("utf-8").splitlines()] if kept.exists() else []


def index() -> str:
    """The table of all methods, room by room."""
    blocks = [
        "<!-- Made by `make docs` from the docstrings; change it there. -->\n\n# Methods",
        filled(
            "The last column is the accuracy on the target of the [inter-twinning moons](../../benchmarks/moons.md), "
            "every option at its default but the width of discriminators, beside source only in the same room. It "
            "tells what a method does to two half circles that turn, and no more; "
            "[digits.md](../../benchmarks/digits.md) has images."
        ),
    ]
    for room in dict.fromkeys(entry.room for entry in entries()):
        rows = [
            f"| [`{e.name}`]({e.name}.md) | {inline(e.parts[''].partition(chr(10))[0])} | {on_moons(e)} |"
            for e in entries()
            if e.room == room
        ]
        head = ["| method | what it does | moons |", "|---|---|---|"]
        blocks.append("\n".join([f"## {ROOMS.get(room, room)}\n", *head, *rows]))
    return "\n\n".join(blocks) + "\n"


def on_moons(entry: Entry) -> str:
    """Its cell of the table."""
    if entry.name not in moons():
        return ""
    it, before = moons()[entry.name]
    return spread(it) if entry.room == "baseline" else f"{spread(it)} (source only {statistics.mean(before):.3f})"


def pages() -> dict[str, str]:
    """Every file's text by its name."""
    return {"README.md": index()} | {f"{entry.name}.md": page(entry) for entry in entries()}


LADDER = (
    "What is minimised is one axis, which weights move is another: `--finetune RUNG` goes with every method, and "
    "its options are set as `finetune.OPTION`. Layers are those that timm or transformers tell for the model, the "
    "lowest first; head, bottleneck and all that a method brings are above them and always move. Where a layer stands "
    "still its batch norm and dropout do too. A pretrained backbone moves at a tenth of the rate of what is fresh "
    "above it (`train.lr`, `train.head_lr`), and its batch norm keeps its statistics (`train.freeze_batch_norm`). "
    "`auto` is `full` for a backbone that starts from nothing. On a pretrained one it trains the source-only model of "
    "the first seed by `feature_extraction`, `partial` and `full`, and stops where the next rung gains no more than a "
    "standard error in loss on the source's validation split; the recipe says what was tried."
)
SIMPLEST_FIRST = ("feature_extraction", "partial", "lora", "llrd", "gradual", "lp_ft", "full")


def ladder() -> str:
    """The page of all rungs, the simplest first."""
    rungs = sorted(finetune.names(), key=SIMPLEST_FIRST.index)
    blocks = ["<!-- Made by `make docs` from the docstrings; change it there. -->", "# The fine-tuning ladder"]
    example = "acclimate adapt SOURCE TARGET -o RUN --finetune llrd --set finetune.decay=0.3"
    blocks += [filled(LADDER), f"```\n{example}\n```"]
    for name in rungs:
        parts = sections(inspect.getdoc(finetune.paces_of(name)) or "")
        said, options = arguments(parts["Args"]), finetune.options(name)
        rows = [f"| `{o}` | `{type_of(p)}` | `{p.default!r}` | {inline(said[o])} |" for o, p in options.items()]
        table = "\n".join(["| option | type | default | what it is |", "|---|---|---|---|", *rows]) if rows else ""
        reference = f"Reference: {inline(' '.join(parts['Reference'].split()))}" if "Reference" in parts else ""
        blocks += [f"## `{name}`", markdown(parts[""]), table, filled(reference)]
    return "\n\n".join(filter(None, blocks)) + "\n"


def main() -> None:
    """Write the pages, and remove those of methods that are gone."""
    HERE.mkdir(exist_ok=True)
    made = pages()
    for old in HERE.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (HERE / name).write_text(text, "utf-8")
    (HERE.parent / "finetune.md").write_text(ladder(), "utf-8")


if __name__ == "__main__":
    main()
