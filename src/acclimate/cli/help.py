"""What ``--help`` shows beyond the options themselves: groups, every default, examples."""

from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperCommand

GROUPS: Mapping[str, Sequence[str]] = {
    "Data": (
        "label", "text", "image", "drop", "max_bad", "strict", "task", "target_labels", "labels_per_class", "fractions",
        "per_class", "reference", "every", "follow",
    ),
    "Method": (
        "method", "methods", "pretrain", "finetune", "strategies", "backbone", "backbones", "weights", "settings",
        "set_", "label_shift", "test_time", "model", "run", "modules", "tolerance", "detector", "on_alarm", "recent",
        "replay", "rollback", "current",
    ),
    "Training": (
        "steps", "seeds", "budget", "no_guard", "image_size", "augment", "precision", "devices", "workers", "on",
    ),
    "Scoring": ("score", "audit", "held_out", "ask", "seed", "positive", "tta"),
    "Output": ("output", "overwrite", "resume", "folder", "clear", "state", "json", "help"),
}  # fmt: skip
"""Options by what they are about, in the order of the help."""

DEFAULTS: Mapping[str, str] = {
    "steps": "2000",
    "image_size": "the backbone's",
    "precision": "32-true",
    "budget": "10 on a CPU, unlimited on a GPU",
    "model": "ensemble of several seeds, else kept",
    "methods": "all",
    "fractions": "0.01,0.05,0.1,1",
    "strategies": "source_only, supervised and the method",
    "positive": "each class in turn",
}
"""Defaults of options that have none in the code, as something else decides; of all others it is none."""

EXAMPLES: Mapping[str, tuple[str, str]] = {
    "adapt": (
        "acclimate adapt studio/ phone/ -o run --score phone_labelled/",
        "acclimate adapt shop.csv#site=a shop.csv#site=b -o run --label sold --method coral --seeds 3",
    ),
    "advise": (
        "acclimate advise studio/ phone/ --labels-per-class 10",
        "acclimate advise shop.csv#site=a shop.csv#site=b --label sold -o advice.html",
    ),
    "audit": (
        "acclimate audit run phone/ --ask 40 -o to_label.csv",
        "acclimate audit run to_label.csv",
    ),
    "compare": (
        "acclimate compare studio/ phone/ -o comparison",
        "acclimate compare shop.csv#site=a shop.csv#site=b -o comparison --label sold --methods mcc,cdan,coral",
    ),
    "cache": ("acclimate cache", "acclimate cache --clear"),
    "demo": ("acclimate demo", "acclimate demo --folder digits --steps 2000 --seeds 3"),
    "diagnose": (
        "acclimate diagnose studio/ phone/ -o diagnosis.html",
        "acclimate diagnose shop.csv#site=a shop.csv#site=b --label sold --json",
    ),
    "evaluate": (
        "acclimate evaluate run phone_labelled/",
        "acclimate evaluate run clinic.csv --positive malignant --json",
    ),
    "labels": (
        "acclimate labels studio/ phone_labelled/ -o curves",
        "acclimate labels studio/ phone_labelled/ -o curves --per-class 1,5,20 --strategies mcc,supervised+lora",
    ),
    "methods": ("acclimate methods", "acclimate methods --json"),
    "monitor": (
        "acclimate monitor run stream.csv --state monitor.npz -o monitor.html",
        "acclimate monitor run - --label sold --json < stream.jsonl",
    ),
    "predict": (
        "acclimate predict run new_photos/ -o predictions.csv",
        "acclimate predict run stream.parquet -o predictions.parquet --label-shift em",
    ),
    "report": ("acclimate report run", "acclimate report run --json"),
}
"""Two of each command."""


class GroupedCommand(TyperCommand):
    """A command whose help shows its options by group, each with its default, and then examples."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options group by group."""
        parameters = self.get_params(ctx)
        shown = {"Arguments": [p for p in parameters if p.param_type_name == "argument"]}
        options = [p for p in parameters if p.param_type_name == "option"]
        shown |= {group: [p for p in options if p.name in names] for group, names in GROUPS.items()}
        shown["Other"] = [p for p in options if not any(p in members for members in shown.values())]
        for group, members in shown.items():
            if records := [_record(member, ctx) for member in members]:
                with formatter.section(group):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, a line each however long."""
        if examples := EXAMPLES.get(self.name or ""):
            with formatter.section("Examples"):
                formatter.write("".join(f"{'':{formatter.current_indent}}{line}\n" for line in examples))


def _record(parameter: Any, ctx: Any) -> tuple[str, str]:
    """How an option is written, and its help with its default."""
    name, text = parameter.get_help_record(ctx)
    if parameter.required or "[default:" in text or parameter.name == "help":
        return name, text
    default = "off" if getattr(parameter, "is_flag", False) else DEFAULTS.get(parameter.name, "none")
    return name, f"{text}  [default: {default}]"
