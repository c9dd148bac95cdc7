"""Advises: from facts about two domains to a strategy, by one decision tree.

`TREE` is the only place where the advice is decided. The printed path, the runner-up, what would change the advice and
the tree in the docs are all read from it.
"""

import shlex
from collections.abc import Iterator

from acclimate.advice import VERDICTS, Advice, Facts, Given, Leaf, Node, Question

ADAPT = "adapt {source} {target} {columns} -o {run}"
WITH_LABELS = f"{ADAPT} --target-labels {{labels}}"
ON_LABELS = "adapt {labels} {target} {columns} -o {run} --method source_only"
ASK = "audit {run} {target} --ask 50 -o to_label.csv"
ASK_RUN = "audit {model} {target} --ask 50 -o to_label.csv"
PREDICT = "predict {model} {target} -o predictions.csv"

SOURCE_FREE = Leaf(
    "source-free adaptation",
    "Adapt the Run to the target without the source",
    "SHOT and NRC start from the Run's model and need no source example",
    ("adapt {model} {target} -o {run}",),
    "13 points for SHOT on PACS; on two of three pairs of digits it is within a point of the best method",
    "benchmarks/pacs.md, benchmarks/digits.md",
)
TARGET_ALONE = Leaf(
    "train on the target",
    "Train on the labelled target examples alone",
    "The source is not at hand or has other classes; with 100 labels per class it is not needed: on PACS it adds 0.2 "
    "points",
    (ON_LABELS,),
    "on PACS 84.5 % with all labels, beside 56 % for the source alone",
    "benchmarks/pacs.md",
)
NEW_HEAD = Leaf(
    "frozen features, linear head",
    "Keep the pretrained features and train a linear head on the target's labels",
    "The source has other classes, so methods that align the domains do not apply, and the labels are too few to move "
    "a backbone",
    (f"{ON_LABELS} --finetune feature_extraction",),
    "on PACS 67 % with 5 labels per class and 73 % with 10; moving more layers was no better than the frozen ones",
    "benchmarks/pacs.md",
)
NEW_TOP = Leaf(
    "top layers",
    "Train the top layers on the target's labels and keep the bottom ones frozen",
    "There are enough labels to move the layers that are specific to the pretraining, not the general ones",
    (f"{ON_LABELS} --finetune partial",),
    "no pair of ours has other classes in the target; train the frozen strategy beside it",
    "docs/finetune.md",
)
NEW_FULL = Leaf(
    "full fine-tuning",
    "Train the whole pretrained network on the target's labels; its rate is a tenth of the head's",
    "With a thousand labels per class nothing has to stay frozen",
    (f"{ON_LABELS} --finetune full",),
    "texts gain 11 to 13 points over frozen features",
    "benchmarks/text.md",
)
MULTILINGUAL = Leaf(
    "multilingual encoder, full fine-tuning",
    "Train a multilingual encoder with all layers on both languages",
    "The default encoder and counted words know one language; a multilingual one puts both in one space",
    (f"{WITH_LABELS} --method supervised --finetune full --backbone encoder:MULTILINGUAL_ENCODER",),
    "within English, an encoder that moves gives 11 to 13 points over a frozen one; no pair of ours has two languages",
    "benchmarks/text.md",
)
OTHER_ENCODER = Leaf(
    "change the backbone first",
    "Use a multilingual encoder before any adaptation",
    "The domains are in different languages, which no method bridges on words of one language",
    (f"{ADAPT} --backbone encoder:MULTILINGUAL_ENCODER",),
    "no pair of ours has two languages; label 50 examples to see what it gives",
    "benchmarks/text.md",
)
FULL = Leaf(
    "full fine-tuning",
    "Fine-tune all layers on the target's labels at a small rate, a tenth of the head's",
    "With a thousand labels per class nothing has to stay frozen, and the source adds nothing",
    (f"{WITH_LABELS} --method supervised --finetune full",),
    "texts gain 11 to 13 points over frozen features",
    "benchmarks/text.md",
)
TOP_LAYERS = Leaf(
    "top layers",
    "Fine-tune the top layers on source and target labels, and keep the bottom ones frozen",
    "There are enough labels to move the top layers, not all of them",
    (f"{WITH_LABELS} --method source_only --finetune partial",),
    "27 points over the source alone on PACS with 100 to 200 labels per class",
    "benchmarks/pacs.md",
)
BOTH = Leaf(
    "source and target labels",
    "Train on the labels of both domains, the target's in half of each batch",
    "There is no pretrained backbone to protect, so all weights move",
    (f"{WITH_LABELS} --method source_only",),
    "27 points over the source alone on PACS with 100 to 200 labels per class",
    "benchmarks/pacs.md",
)
FEW_MCC = Leaf(
    "frozen features, few labels, MCC",
    "Freeze the backbone and train on source and target labels together with MCC on the unlabelled target",
    "The textbook has a linear head for similar domains and DANN for different ones; on PACS MCC is above both at 1, 5 "
    "and 10 labels per class",
    (f"{WITH_LABELS} --method mcc --finetune feature_extraction",),
    "on PACS 76 % with 5 labels per class and 78 % with 10; 57 % for the source alone, 69 % and 73 % for labels "
    "without MCC, 69 % and 72 % with DANN",
    "benchmarks/pacs.md",
)
LABELS_FREE = Leaf(
    "labels, then source-free adaptation",
    "Train on the labels of both domains, then adapt that Run to the unlabelled target",
    "The textbook aligns very different domains with DANN or CORAL and then fine-tunes; on three pairs of digits SHOT, "
    "which starts from a trained model, reaches 89 % on average, DANN 85 % and CORAL 75 %",
    (
        "adapt {source} {target} {columns} -o {run}-labelled --target-labels {labels} --method source_only "
        "--set label_smoothing=0.1",
        "adapt {run}-labelled {target} -o {run}",
    ),
    "33 to 46 points over the source alone on three pairs of digits, even without labels",
    "benchmarks/digits.md",
)
FEW_DANN = Leaf(
    "DANN with the labels",
    "Align the domains with DANN, with the labelled target examples in each batch",
    "There are few target examples for a method that learns from them alone; DANN keeps the source's labels in each "
    "batch. That is the textbook's choice; no benchmark of ours has so few",
    (f"{WITH_LABELS} --method dann",),
    "20 to 51 points over the source alone on three pairs of digits, even without labels",
    "benchmarks/digits.md",
)
ENCODER = Leaf(
    "change the backbone first: a text encoder",
    "Train a text encoder with all layers on the source, in the place of counted words",
    "The textbook adapts; between books and films an encoder that moves gives more than any method on counted words or "
    "frozen features",
    (f"{ADAPT} --method source_only --backbone minilm --finetune full",),
    "on four pairs 82 % on average, 78 % for the best method on counted words; across a wide shift add --method dann, "
    "which gives 8 points from reviews to tweets",
    "benchmarks/text.md",
)
ENCODER_LABELS = Leaf(
    "text encoder, source and target labels",
    "Train a text encoder with all layers on the labels of both domains",
    "An encoder that moves gives more than any method on counted words or frozen features",
    (f"{WITH_LABELS} --method source_only --backbone minilm --finetune full",),
    "82 % without labels of the target and 88 % with all, on average over four pairs",
    "benchmarks/text.md",
)
NOTHING = Leaf(
    "don't adapt",
    "Do not adapt: the difference is too small to pay",
    "A model that learnt from the source works where the examples are alike; methods that align can only do harm",
    (f"{ADAPT} --method source_only",),
    "the source's accuracy",
    "benchmarks/auto.md",
    (PREDICT,),
)
PRIORS = Leaf(
    "correct the class shares",
    "Keep the model and correct its predictions for the class shares",
    "The class shares explain the whole difference. Only then: where more has changed, as between hospitals, the "
    "correction does harm, 8 to 11 points on heart",
    (f"{ADAPT} --method source_only", "predict {run} {target} -o predictions.csv --label-shift em"),
    "1 to 8 points on MNIST, the more the shares differ",
    "benchmarks/label_shift.md",
    (f"{PREDICT} --label-shift em",),
)
BUY = Leaf(
    "buy 50 labels",
    "Label 50 examples of the target first",
    "Nothing can be known without them",
    (f"{ADAPT} --method source_only", ASK),
    "the accuracy to about 10 points on each side",
    "docs/predicting.md",
    (ASK_RUN,),
)
NEW_CLASSES = Leaf(
    "buy labels",
    "Label examples of the target's own classes",
    "The source has other classes: no method can learn the target's from it",
    (f"{ON_LABELS} --finetune feature_extraction",),
    "with 10 labels per class, frozen features reach 73 % on PACS",
    "benchmarks/pacs.md",
)
BACKBONE = Leaf(
    "change the backbone first",
    "Use the backbone {better} before any adaptation",
    "Its features separate the target's classes better, by PAS, which needs no labels of the target",
    (f"{ADAPT} --backbone {{better}}",),
    "texts gain 11 to 13 points by an encoder that moves, where methods gain 0 to 3",
    "benchmarks/text.md",
)
UNSUPERVISED = Leaf(
    "unsupervised adaptation",
    "Adapt to the unlabelled target with the default, a student of several methods",
    "Without labels nobody knows which method helps; the default bets on none",
    (ADAPT,),
    "8 points on photographs, paintings and cartoons, 10 on digits, 4 on sentences; it harmed on 3 of 38 such tasks",
    "benchmarks/auto.md",
)
CHECKED = Leaf(
    "adapt, then label 50",
    "Adapt to the unlabelled target with the default, and label 50 examples before you use it",
    "On tables methods gain little and sometimes harm, and nothing without labels tells which",
    (ADAPT, ASK),
    "0.5 points on average; it harmed on 4 of 20 tasks",
    "benchmarks/auto.md",
)


NUMBERS = Leaf(
    "unsupervised adaptation of a regression",
    "Adapt with the default for numbers, DeepCORAL, and label 50 examples before you use it",
    "Most methods need classes; of those that do not, DeepCORAL has no adversary and stays near the baseline",
    (ADAPT, ASK),
    "unknown: no benchmark of ours has numbers",
    "docs/auto.md",
)

PRETRAINED = ("efficientnet_lite0", "fusion")
"""Default backbones with pretrained weights."""
WITHOUT_SOURCE = Question(
    "Are there 100 or more labelled target examples per class?", "labels_per_class", least=100,
    if_yes="with 100 labels per class", if_no="with fewer labels",
    yes=TARGET_ALONE,
    no=SOURCE_FREE,
)  # fmt: skip
OTHER_CLASSES = Question(
    "Are there labelled target examples?", "labels_per_class", least=1,
    if_yes="with labels", if_no="without labels",
    yes=Question(
        "Is the default backbone pretrained?", "backbone", among=PRETRAINED,
        yes=Question(
            "Are there 1,000 or more per class?", "labels_per_class", least=1000,
            if_yes="with 1,000 labels per class", if_no="with fewer labels",
            yes=NEW_FULL,
            no=Question(
                "Are there 100 or more per class?", "labels_per_class", least=100,
                if_yes="with 100 labels per class", if_no="with fewer labels",
                yes=NEW_TOP,
                no=NEW_HEAD,
            ),
        ),
        no=TARGET_ALONE,
    ),
    no=NEW_CLASSES,
)  # fmt: skip
FEW = Question(
    "Are they images like those that backbones are pretrained on?", "look", among=("pretrained",),
    yes=FEW_MCC,
    no=Question(
        "Are they rows of a table?", "look", among=("table",),
        yes=BOTH,
        no=Question(
            "Are the domains very different?", "shift", among=("very different",),
            if_yes="if the domains were very different", if_no="if the domains were more alike",
            yes=Question(
                "Are there 100 or more target examples, labelled or not?", "n_target", least=100,
                if_yes="with 100 target examples", if_no="with fewer than 100 target examples",
                yes=LABELS_FREE,
                no=FEW_DANN,
            ),
            no=BOTH,
        ),
    ),
)  # fmt: skip
ENOUGH = Question(
    "Are there 1,000 or more per class?", "labels_per_class", least=1000,
    if_yes="with 1,000 labels per class", if_no="with fewer labels",
    yes=FULL,
    no=Question(
        "Are there 100 or more per class?", "labels_per_class", least=100,
        if_yes="with 100 labels per class", if_no="with fewer labels",
        yes=Question(
            "Are they images like those that backbones are pretrained on?", "look", among=("pretrained",),
            yes=TOP_LAYERS,
            no=BOTH,
        ),
        no=FEW,
    ),
)  # fmt: skip
WITH_LABELLED = Question(
    "Are they texts?", "look", among=("text",),
    yes=Question(
        "Are both domains in one language?", "same_language", among=(True,),
        yes=ENCODER_LABELS,
        no=MULTILINGUAL,
    ),
    no=ENOUGH,
)  # fmt: skip
WITHOUT_LABELS = Question(
    "Can the domains be compared?", "shift", among=VERDICTS,
    no=BUY,
    yes=Question(
        "Are they different by more than a little?", "shift", among=("different", "very different"),
        if_yes="if the domains were more different", if_no="if the domains were as good as the same",
        no=NOTHING,
        yes=Question(
            "Do other class shares explain the difference?", "label_shift", among=("alone",),
            if_yes="if only the class shares changed; --model RUN or --target-labels can tell",
            if_no="if more than the class shares changed",
            yes=PRIORS,
            no=Question(
                "Are they texts?", "look", among=("text",), far=0.5, if_no="without the minutes for an encoder",
                yes=Question(
                    "Are both domains in one language?", "same_language", among=(True,),
                    yes=ENCODER,
                    no=OTHER_ENCODER,
                ),
                no=Question(
                    "Does PAS prefer a backbone that you named to the default?", "prefers", among=(True,),
                    yes=BACKBONE,
                    no=Question(
                        "Are they rows of a table?", "look", among=("table",),
                        yes=CHECKED,
                        no=UNSUPERVISED,
                    ),
                ),
            ),
        ),
    ),
)  # fmt: skip
OF_NUMBERS = Question(
    "Are there labelled target examples?", "labels_per_class", least=1,
    if_yes="with labels", if_no="without labels",
    yes=BOTH,
    no=Question(
        "Are the domains hardly different?", "shift", among=("no difference found", "different, but small"),
        if_yes="if the domains were as good as the same", if_no="if the domains were more different",
        yes=NOTHING,
        no=NUMBERS,
    ),
)  # fmt: skip
TREE = Question(
    "Are examples of the source at hand?", "source", among=("examples",),
    no=WITHOUT_SOURCE,
    yes=Question(
        "Does the target have the source's classes?", "same_classes", among=(True,),
        no=OTHER_CLASSES,
        yes=Question(
            "Are the labels classes?", "classes", least=1,
            no=OF_NUMBERS,
            yes=Question(
                "Are there labelled target examples?", "labels_per_class", least=1,
                if_yes="with labels", if_no="without labels",
                yes=WITH_LABELLED,
                no=WITHOUT_LABELS,
            ),
        ),
    ),
)  # fmt: skip
"""The whole advice."""


def advise(facts: Facts, given: Given | None = None, *, first: tuple[str, ...] = ()) -> Advice:
    """Return the advice for some facts.

    Args:
        facts: What is known.
        given: What the commands name; placeholders by default.
        first: What is to be done before.

    Example:
        >>> advise(Facts(look="pretrained", shift="very different", overlap=0.1)).name
        'unsupervised adaptation'
    """
    way = list(walk(TREE, facts))
    leaf, named = leaf_of(TREE, facts), given or Given()
    others = [(question, other_leaf(question, facts)) for question, _ in way if question.otherwise(facts)]
    different = [(question, other) for question, other in others if other != leaf]
    possible = [one for one in different if facts.labels_per_class or not needs_labels(one[1])]
    second = min(possible, key=lambda one: one[0].doubt(facts), default=None)
    return Advice(
        leaf.name,
        leaf.does.format(better=facts.better),
        leaf.why,
        commands(leaf, facts, named),
        tuple(f"{question.asks} {_said(question, facts, yes)}" for question, yes in way),
        leaf.gain,
        leaf.page,
        f"{second[1].name}: {' && '.join(commands(second[1], facts, named))}" if second else "",
        tuple(f"{question.otherwise(facts)}: {other.name}" for question, other in different),
        facts,
        first,
    )


def walk(node: Node, facts: Facts) -> Iterator[tuple[Question, bool]]:
    """Yield the questions on the way to a leaf with their answers."""
    while isinstance(node, Question):
        yes = node.answer(facts)
        yield node, yes
        node = node.yes if yes else node.no


def leaf_of(node: Node, facts: Facts) -> Leaf:
    """The leaf that the facts lead to."""
    while isinstance(node, Question):
        node = node.yes if node.answer(facts) else node.no
    return node


def other_leaf(question: Question, facts: Facts) -> Leaf:
    """The leaf that the other answer leads to."""
    return leaf_of(question.no if question.answer(facts) else question.yes, facts)


def needs_labels(leaf: Leaf) -> bool:
    """Whether a strategy learns from labelled target examples."""
    return any("{labels}" in template for template in leaf.commands)


def leaves(node: Node = TREE) -> list[Leaf]:
    """Every leaf below a node, each once, in the order of the tree."""
    if isinstance(node, Leaf):
        return [node]
    return list(dict.fromkeys([*leaves(node.yes), *leaves(node.no)]))


def commands(leaf: Leaf, facts: Facts, given: Given) -> tuple[str, ...]:
    """The commands of a leaf as a shell takes them."""
    templates = leaf.with_run if given.model and leaf.with_run else leaf.commands
    return tuple(_command(template, facts, given) for template in templates)


def _command(template: str, facts: Facts, given: Given) -> str:
    named = {"source": given.source, "target": given.target, "labels": given.labels, "run": given.run}
    named |= {"model": given.model, "better": facts.better}
    words = [[*given.columns] if word == "{columns}" else [word.format(**named)] for word in template.split()]
    return shlex.join(["acclimate", *(word for some in words for word in some)])


def _said(question: Question, facts: Facts, yes: bool) -> str:
    """The answer, with the number or value that it rests on."""
    value = getattr(facts, question.fact)
    shown = question.fact in ("shift", "label_shift", "better")
    told = f"{value:,.6g}" if question.least is not None else value if shown else ""
    return ("Yes" if yes else "No") + (f": {told}" if told else "")


def as_text(node: Node = TREE, indent: str = "") -> str:
    """The tree as a nested list in Markdown.

    Example:
        >>> print(as_text(WITHOUT_SOURCE))
        - Are there 100 or more labelled target examples per class?
            - Yes: **train on the target**
            - No: **source-free adaptation**
    """
    if isinstance(node, Leaf):
        return f"**{node.name}**"
    lines = [f"{indent}- {node.asks}"]
    for word, below in (("Yes", node.yes), ("No", node.no)):
        if isinstance(below, Leaf):
            lines.append(f"{indent}    - {word}: {as_text(below)}")
        else:
            lines += [f"{indent}    - {word}:", as_text(below, f"{indent}        ")]
    return "\n".join(lines)
