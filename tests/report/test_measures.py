from acclimate.report.measures import measures

PART = {"accuracy": 0.5, "f1": 0.25, "log_loss": 1.5, "auc": None}
SPREAD = {"accuracy_sd": 0.014, "f1_sd": 0.1, "log_loss_sd": 0.2, "auc_sd": None}


def scores(part, **more):
    own = {"target": part, **more}
    return {**own, "source_only": own, "adapted": own, "seeds": [0, 1]}


def test_without_labels_there_is_no_table():
    assert measures({"source_only": {}}, ["source_only"]) is None


def test_each_measure_has_a_row_and_each_model_a_column():
    found = measures(scores(PART), ["source_only", "adapted"])
    assert found.columns == ["source-only", "adapted"]
    assert dict(found.rows)["Log loss"] == ["1.500", "1.500"]


def test_what_is_not_known_is_a_dash():
    assert dict(measures(scores(PART), ["source_only"]).rows)["AUC, each class against the rest"] == ["–"]


def test_over_several_seeds_the_spread_stands_beside():
    found = dict(measures(scores({**PART, **SPREAD}), ["source_only"]).rows)
    assert found["Accuracy"] == ["50.0 % ± 1.4 %"]
    assert found["F1, mean over classes"] == ["0.250 ± 0.100"]


def test_positive_classes_are_named():
    asked = {**scores(PART), "positive": ["cat", "dog"]}
    assert "AUC, cat, dog against the rest" in dict(measures(asked, ["source_only"]).rows)


def test_views_have_columns_of_their_own():
    found = measures(scores(PART, target_tta={**PART, "accuracy": 0.6}), ["source_only", "adapted"])
    assert found.columns == ["source-only", "adapted", "source-only with views", "adapted with views"]
    assert dict(found.rows)["Accuracy"] == ["50.0 %", "50.0 %", "60.0 %", "60.0 %"]


def test_the_ensemble_has_a_column():
    found = measures({**scores(PART), "ensemble": {"target": {**PART, "accuracy": 0.75}}}, ["source_only", "adapted"])
    assert found.columns == ["source-only", "adapted", "ensemble of 2 seeds"]
    assert dict(found.rows)["Accuracy"] == ["50.0 %", "50.0 %", "75.0 %"]


def test_of_numbers_errors_are_told():
    found = dict(measures(scores({"mae": 1234.5, "rmse": 2.0, "r2": -0.5}), ["source_only"]).rows)
    assert found == {"Mean absolute error": ["1,234"], "RMSE": ["2"], "R²": ["−0.500"]}
