"""What an audit shows, in words."""

from acclimate.runs.audited import audit_finding, audited_lines, audited_spans

ACCURACY = {"accuracy": 0.825, "low": 0.681, "high": 0.912, "how": "wilson"}
CHANGE = {"measure": "accuracy", "difference": 0.175, "low": -0.001, "high": 0.351, "n": 40, "seeds": 1}
OF_CLASSES = {
    "name": "few/", "n": 40, "digest": "", "model": "adapted", "phase": "adapted", "seeds": [0],
    "source_only": {**ACCURACY, "accuracy": 0.65}, "adapted": ACCURACY, "change": CHANGE,
}  # fmt: skip
ERROR = {"mae": 12.0, "low": 10.0, "high": 14.5, "r2": 0.5, "r2_low": -0.1, "r2_high": 0.7}


def test_the_finding_names_the_model_its_labels_and_its_interval():
    assert audit_finding(OF_CLASSES) == (
        "Accuracy of the adapted model on the target is 82.5%, known from 40 labels: 95% interval 68.1% to 91.2%; "
        "no clear change: adapted minus source-only is +17.5 points (95% interval −0.1 to +35.1 points)."
    )


def test_the_ensemble_and_confidence_are_named():
    sharpened = {**ACCURACY, "how": "prediction_powered"}
    told = audit_finding({**OF_CLASSES, "model": "ensemble", "adapted": sharpened, "n": 1})
    assert "of the ensemble on the target is 82.5%, known from 1 label:" in told
    assert "sharpened by the model's confidence" in told


def test_cards_have_the_shortest_words():
    spans = audited_spans({**OF_CLASSES, "adapted": ERROR})
    assert spans == {"source-only": "65.0% (68–91%)", "adapted": "12 (10 to 14.5)"}


def test_numbers_have_the_error_and_what_it_explains():
    numbers = {**OF_CLASSES, "source_only": ERROR, "phase": "source_only"}
    del numbers["adapted"], numbers["change"]
    told = "source-only: mean absolute error 12 (95% interval 10 to 14.5; R² 0.500, 95% interval −0.100 to 0.700)"
    assert audited_lines(numbers) == [told]


def test_equal_labels_have_no_r2():
    equal = {**ERROR, "r2": None, "r2_low": None, "r2_high": None}
    assert "R² is unknown" in audited_lines({**OF_CLASSES, "source_only": equal})[0]
