"""Writes the pages that come from the code: methods/*.md, finetune.md, settings.md, cli.md and the tree in advise.md.

make docs

Accuracies come from benchmarks/moons.jsonl, times from benchmarks/method_cost.jsonl; benchmarks/moons.py draws the
pictures.
"""

import contextlib
import inspect
import io
import json
import os
import re
import statistics
import sys
import textwrap
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from unittest import mock

from pydantic import BaseModel

from acclimate import advisor, backbones, cli, finetune, methods
from acclimate.methods import selfsup, shallow, testtime
from acclimate.recipe import LINEAR, Augmentation, Training
from acclimate.shift import label_shift
from acclimate.training import linear

DOCS = Path(__file__).parent
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

ROOMS = {
    "baseline": "Baselines",
    "align": "Domain alignment",
    "sourcefree": "Source-free methods",
    "selfsup": "Self-supervised pretraining",
    "shallow": "Shallow methods for linear models",
    "testtime": "Test-time adaptation",
    "label_shift": "Estimators of label shift",
}
"""Families in the order of the table; any other follows under the name of its folder."""
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
    return "<!-- Generated from the docstring by `make docs`. -->\n\n" + "\n\n".join(filter(None, blocks))


def options_block(entry: Entry) -> str:
    """The options of a method."""
    table = options_table(entry.options, arguments(entry.parts.get("Args", "")))
    return table or "This method has no options."


TABLE = ["| option | type | default | description |", "|---|---|---|---|"]


def options_table(options: Mapping[str, inspect.Parameter], told: Mapping[str, str]) -> str:
    """Name, type, default and meaning of every option; empty if there are none."""
    rows = [option_row(name, p.annotation, p.default, told[name]) for name, p in options.items()]
    return "\n".join([*TABLE, *rows]) if rows else ""


def option_row(name: str, annotation: Any, default: Any, told: str) -> str:
    """One row of such a table."""
    return f"| `{name}` | {type_of(annotation)} | `{default!r}` | {inline(told)} |"


def type_of(annotation: Any) -> str:
    """A type without its modules and bounds: ``float` or `None``, ``'sgd'`, `'adam'` or `'adamw'``."""
    *others, last = [f"`{name}`" for name in _types(annotation)]
    return f"{', '.join(others)} or {last}" if others else last


def _types(annotation: Any) -> list[str]:
    """What an option may be: types, or the values of a choice."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _types(inner[0])
    if origin is Literal:
        return [repr(value) for value in inner]
    if origin in {Union, UnionType}:
        return [name for part in inner for name in _types(part)]
    return [re.sub(r"\b(?:\w+\.)+(?=[A-Z])", "", inspect.formatannotation(annotation)).replace("NoneType", "None")]


def needs_block(entry: Entry) -> str:
    """What it learns from, what it starts from, and what it cannot do."""
    lines = [*_needs(entry)]
    if shapes := entry.parts.get("Shapes"):
        lines.append(f"Shapes: {inline(shapes)}")
    return "## What it needs\n\n" + "\n".join(filled(f"- {line}", "  ") for line in lines)


def _needs(entry: Entry) -> list[str]:
    if entry.room == "shallow":
        rows = "dense or sparse rows" if entry.is_a.takes_sparse else "dense rows"
        does = "maps the features" if hasattr(entry.is_a, "transform") else "weights the source rows"
        return [f"A labelled source and an unlabelled target ({rows}); no GPU.", f"It {does}."]
    if entry.room == "testtime":
        return ["A finished Run and the current batch of the stream, nothing else."]
    if entry.room == "label_shift":
        return ["A finished Run, whose held-out source examples calibrate the estimate, and the examples to predict."]
    if entry.room == "selfsup":
        return [
            "Unlabelled images: the target's by default; `pretrain.on` also takes `source` and `both`.",
            "A backbone, which starts from its own weights (pretrained ones if it has them). The method that follows "
            "starts with a fresh head.",
            "Options are set as `pretrain.OPTION`, along with `pretrain.steps`, `pretrain.lr` and every other training "
            "setting. A setting you leave out has the value it has in the training that follows.",
        ]
    domains = {"source": "a labelled source", "target": "an unlabelled target", "target_labels": "a labelled target"}
    needs = " and ".join(domains[need] for need in sorted(entry.is_a.needs))
    lines = [needs[0].upper() + needs[1:] + "."]
    if entry.is_a.starts_from:
        lines.append(f"It starts from the `{entry.is_a.starts_from}` model of the same seed.")
    if not entry.is_a.batched:
        lines.append("Its seeds cannot be trained as one batched model.")
    return lines


def cost_block(entry: Entry) -> str:
    """The time of a step beside source-only's."""
    ratios = costs().get(entry.name)
    if not ratios:
        return ""
    said = ", ".join(f"{statistics.median(r):.2f} ({net})" for net, r in ratios.items())
    return (
        "## Cost\n\nTime per training step relative to source-only "
        f"([method_cost.md](../../benchmarks/method_cost.md)): {said}."
    )


PICTURE = (
    "Two moons, target rotated by 35°, {options}, seed 0{panels}. {points} Target accuracy over {seeds}: {it}{before}. "
    "See [moons.md](../../benchmarks/moons.md)."
)
PAPER = (
    "With the paper's network and options for its moons, for a fifth of its passes, seed 0. Target accuracy over "
    "{seeds}: {it} (source only {before})."
)
POINTS = "Coloured points are the source by class; black points are the target, which has no labels."
ANSWERED = "Coloured points are the source by class (left) and the target by predicted class (right)."
NETS = {"shallow": "support-vector machine", "testtime": "network with batch norm"}


def moons_block(entry: Entry) -> str:
    """The picture of the moons, and the accuracy over seeds."""
    if entry.room == "selfsup":
        return "There is no moons picture: augmented views of a point in the plane have no meaning."
    if entry.name not in moons():
        return ""
    it, before = moons()[entry.name]
    alone = entry.name == "source_only"
    left = f"left, a {NETS.get(entry.room, 'network')} trained on the source alone"
    text = PICTURE.format(
        options="default options" + (" except `widths=[100]`" if "widths" in entry.options else ""),
        panels="" if alone else f": {left}; right, `{entry.name}`",
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
        "<!-- Generated from the docstrings by `make docs`. -->\n\n# Methods",
        filled(
            "`--method NAME` selects a method. The last column is the target accuracy on the "
            "[two moons](../../benchmarks/moons.md) with default options (discriminators have one hidden layer of "
            "100), next to source-only in the same family. It shows how a method copes with a rotation in the plane "
            "and nothing more; [digits.md](../../benchmarks/digits.md) has results on images."
        ),
    ]
    for room in dict.fromkeys(entry.room for entry in entries()):
        rows = [
            f"| [`{e.name}`]({e.name}.md) | {inline(e.parts[''].partition(chr(10))[0])} | {on_moons(e)} |"
            for e in entries()
            if e.room == room
        ]
        head = ["| method | description | moons |", "|---|---|---|"]
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


STRATEGIES = (
    "`--finetune STRATEGY` decides which weights move, when and how fast; `--method` decides what is minimised. Any "
    "strategy goes with any method. Its options are set as `finetune.OPTION`.",
    "Layers are those that timm or transformers define for the model, the lowest first. The head, the bottleneck and "
    "everything a method adds sit above them and always move. A frozen layer also freezes its batch norm and dropout. "
    "A pretrained backbone learns at a tenth of the rate of the fresh layers above it (`train.lr`, `train.head_lr`), "
    "and its batch norm keeps its statistics (`train.freeze_batch_norm`).",
    "`--finetune auto`, the default, is `full` for a backbone with fresh weights. For a pretrained backbone it trains "
    "the source-only model of the first seed with `feature_extraction`, `partial` and `full`, in this order, and stops "
    "when the next strategy improves the error on the source's validation split by no more than one standard error. "
    "Where that split has fewer than 100 examples, three parts of the source take turns as validation split. "
    "The recipe records what was tried.",
    "Before each further strategy, a few steps are timed and the minutes are told: of its trial and, if it is then "
    "chosen, of the trainings that are left. A strategy that would take longer than `--budget` (10 minutes on a CPU, "
    "unlimited on a GPU) is not tried. What frozen layers make of an image is computed once and kept, unless the "
    "images are augmented: of the whole backbone with `feature_extraction`, of its lower layers with `partial`, if it "
    "fits in `train.cache_mb`.",
)
SIMPLEST_FIRST = ("feature_extraction", "partial", "lora", "llrd", "gradual", "lp_ft", "full")


def strategies() -> str:
    """The page of all fine-tuning strategies, the simplest first."""
    example = "acclimate adapt SOURCE TARGET -o RUN --finetune llrd --set finetune.decay=0.3"
    blocks = ["<!-- Generated from the docstrings by `make docs`. -->", "# Fine-tuning strategies"]
    blocks += [*map(filled, STRATEGIES), f"```\n{example}\n```"]
    for name in sorted(finetune.names(), key=SIMPLEST_FIRST.index):
        parts = sections(inspect.getdoc(finetune.paces_of(name)) or "")
        reference = f"Reference: {inline(' '.join(parts['Reference'].split()))}" if "Reference" in parts else ""
        table = options_table(finetune.options(name), arguments(parts["Args"]))
        when = f"**When to use.** {inline(' '.join(parts['When to use'].split()))}"
        blocks += [f"## `{name}`", markdown(parts[""]), filled(when), table, filled(reference)]
    return "\n\n".join(filter(None, blocks)) + "\n"


SETTINGS = (
    'Set options with `--set KEY=VALUE` on the command line and `settings={"KEY": VALUE}` in Python. A key without '
    "a prefix is an option of the [method](methods/README.md). `finetune.` belongs to the [fine-tuning "
    "strategy](finetune.md), `pretrain.` to [self-supervised "
    "pretraining](methods/README.md#self-supervised-pretraining). The others are below. Where the default is `None`, "
    "the backbone chooses; `recipe.yaml` in the Run records the value used."
)


def settings() -> str:
    """The page of all settings that belong to no method."""
    blocks = ["<!-- Generated from the code by `make docs`. -->", "# Settings", filled(SETTINGS)]
    blocks += ["## `train.`", fields_table(Training), "## `augment.`", fields_table(Augmentation), "## `backbone.`"]
    blocks.append("Every network also takes `bottleneck`: the width of a narrow layer behind it, 0 for none.")
    for name in [*backbones.names(), LINEAR]:
        build = linear.linear if name == LINEAR else import_module(f"acclimate.backbones.{name}").build
        options = linear.options() if name == LINEAR else backbones.options(name)
        parts = sections(inspect.getdoc(build) or "")
        own = {key: option for key, option in options.items() if key in arguments(parts["Args"])}
        table = options_table(own, arguments(parts["Args"]))
        blocks += [f"### `{name}`", markdown(parts[""]), table]
    return "\n\n".join(filter(None, blocks)) + "\n"


def fields_table(model: type[BaseModel]) -> str:
    """Name, type, default and meaning of every field of a part of a recipe."""
    rows = [
        option_row(name, field.annotation, field.default, field.description or "")
        for name, field in model.model_fields.items()
    ]
    return "\n".join([*TABLE, *rows])


COMMANDS = (
    "`acclimate COMMAND --help` shows a section of this page. `acclimate --install-completion` teaches your shell to "
    "complete commands, options and the names of methods, strategies and backbones; it takes effect in the next "
    "terminal. Every command exits with 0 on success and 2 on bad input, and prints one JSON object with `--json`."
)


def commands() -> str:
    """The page of the command line: what each ``--help`` prints."""
    blocks = ["<!-- Generated from `--help` by `make docs`. -->", "# Command line", filled(COMMANDS), printed("--help")]
    for name in re.findall(r"^  (\w+)  ", blocks[-1].partition("Commands:")[2], flags=re.M):
        blocks += [f"## `{name}`", printed(name, "--help")]
    return "\n\n".join(blocks) + "\n"


def printed(*words: str) -> str:
    """What a command prints, 80 columns wide."""
    out = io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["acclimate", *words]),
        mock.patch.dict(os.environ, {"COLUMNS": "80"}),
        contextlib.redirect_stdout(out),
        contextlib.suppress(SystemExit),
    ):
        cli.main()
    return f"```text\n{out.getvalue().strip()}\n```"


def advice() -> str:
    """The page of the advice: what stands in it already, with the tree and its leaves as they are now."""
    before, start, rest = (DOCS / "advise.md").read_text("utf-8").partition("<!-- tree -->\n")
    rows = [
        f"| {leaf.name} | {leaf.does.format(better='that you named')}. {leaf.why}. | {leaf.gain} "
        f"({benchmark(leaf.page)}) |"
        for leaf in advisor.leaves()
    ]
    table = "\n".join(["| leaf | what and why | expected |", "|---|---|---|", *rows])
    return f"{before}{start}\n{advisor.as_text()}\n\n{table}\n\n<!-- end -->{rest.partition('<!-- end -->')[2]}"


def benchmark(page: str) -> str:
    """Links to the pages that an expectation comes from."""
    return ", ".join(f"[{Path(one).stem}](../{one})" for one in page.split(", "))


def files() -> dict[str, str]:
    """The text of every generated file by its path in docs/."""
    of_methods = {f"methods/{name}": text for name, text in pages().items()}
    generated = {"finetune.md": strategies(), "settings.md": settings(), "cli.md": commands(), "advise.md": advice()}
    return of_methods | generated


def main() -> None:
    """Write the files, and remove the pages of methods that no longer exist."""
    made = files()
    for old in (DOCS / "methods").glob("*.md"):
        if f"methods/{old.name}" not in made:
            old.unlink()
    for name, text in made.items():
        (DOCS / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
