"""What an audit shows, in words: figures known from labels of the target that are used for nothing else."""

from acclimate.contents import PHASES, Audited, AuditedAccuracy, AuditedError
from acclimate.runs.finding import ChangeWords, Headline, amount, words_for

HOW = {"wilson": "", "prediction_powered": ", sharpened by the model's confidence on the target"}
"""What is said of the way to an accuracy."""


def audit_finding(audited: Audited) -> str:
    """Return what the labels show, in one sentence: the model that predicts, and the change by adaptation."""
    found = known(audited)
    return f"{found.text}: {found.details}"


def known(audited: Audited) -> Headline:
    """Return the score of the model that predicts, with the labels it is known from, and how sure it is."""
    part = audited["adapted"] if audited["phase"] == "adapted" and "adapted" in audited else audited["source_only"]
    n = audited["n"]
    name, value, details = _figure(part)
    change = f"; {changed(words)}" if (words := audited_change(audited)) else ""
    of = "the ensemble" if audited["model"] == "ensemble" else f"the {audited['phase'].replace('_', '-')} model"
    text = f"{name} of {of} on the target is {value}, known from {n:,} label{'s' * (n > 1)}"
    return Headline(text, f"{details}{change}.")


def model_lines(audited: Audited) -> list[str]:
    """Return a line with the figures of each phase's models, the source-only ones first."""
    figures = {phase.replace("_", "-"): _figure(audited[phase]) for phase in PHASES if phase in audited}
    return [f"{model}: {name.lower()} {value} ({details})" for model, (name, value, details) in figures.items()]


def audited_lines(audited: Audited) -> list[str]:
    """Return `model_lines`, and a line with the change."""
    return model_lines(audited) + ([changed(words)] if (words := audited_change(audited)) else [])


def audited_spans(audited: Audited) -> dict[str, str]:
    """Return for each phase's models the score and its interval as short as can be."""
    parts = {phase.replace("_", "-"): audited[phase] for phase in PHASES if phase in audited}
    return {model: _span(part) for model, part in parts.items()}


def _span(part: AuditedAccuracy | AuditedError) -> str:
    if "mae" in part:
        return f"{amount(part['mae'])} ({amount(part['low'])} to {amount(part['high'])})"
    return f"{part['accuracy']:.1%} ({100 * part['low']:.0f}–{100 * part['high']:.0f}%)"


def audited_change(audited: Audited) -> ChangeWords | None:
    """Return what adaptation changes on the audited examples, if there is an adapted model and its interval."""
    if (change := audited.get("change")) is None:
        return None
    before = audited["source_only"]
    if "mae" in before:
        return words_for(change, before["mae"])
    return words_for(change, 0.0)


def changed(change: ChangeWords) -> str:
    """Return how surely adaptation changes the score."""
    unclear = "" if change.clear else "no clear change: "
    return f"{unclear}adapted minus source-only is {change.difference} (95% interval {change.interval})"


def _figure(part: AuditedAccuracy | AuditedError) -> tuple[str, str, str]:
    """The name of the score, its value, and its interval with what else is known."""
    if "mae" in part:
        interval = f"95% interval {amount(part['low'])} to {amount(part['high'])}"
        return "Mean absolute error", amount(part["mae"]), f"{interval}{_r2(part)}"
    interval = f"95% interval {part['low']:.1%} to {part['high']:.1%}"
    return "Accuracy", f"{part['accuracy']:.1%}", f"{interval}{HOW[part['how']]}"


def _r2(part: AuditedError) -> str:
    r2, low, high = part["r2"], part["r2_low"], part["r2_high"]
    if r2 is None or low is None or high is None:
        return "; R² is unknown, as all labels are the same"
    return f"; R² {r2:.3f}, 95% interval {low:.3f} to {high:.3f}".replace("-", "−")
