"""One sentence a question, which changes with the rows."""

from __future__ import annotations

import pytest

from textvae.training.common.recipe import VariantRecipe
from textvae.training.study import rivals
from textvae.training.study.provenance import teacher_of
from textvae.training.study.questions import answers

ARMS = {
    ("real", 10): 60.0, ("duplicate", 20): 61.0, ("duplicate", 50): 61.0, ("vae", 20): 63.0, ("vae", 50): 66.0,
    ("rules", 50): 60.0, ("self_training", 50): 67.0, ("plain", 50): 63.0,
}  # fmt: skip
WOBBLE = (0.0, 0.3, -0.2)  # of generated arms, so that intervals are not points


@pytest.fixture
def told(make_row, info, on_shared):
    """Answers by question, for points of `lstm` by arm and size; `probe` knows the real rows alone."""
    info["recipe"]["variants"] = {"plain": vars(VariantRecipe(filters=())) | {"generators": ["vae"], "filters": []}}
    info["analysis"] = {"quality": [
        {"generator": "real rows", "label_error": 8.5, "lifts": {}},
        {"generator": "vae", "label_error": 1.25, "lifts": {"lstm": 5.0}},
    ]}  # fmt: skip

    def tell(points: dict[tuple[str, int], float], probe: float = 62.0) -> dict[str, str]:
        rows = [
            make_row("lstm", arm, size, subset, value + subset + WOBBLE[subset] * (arm not in ("real", "duplicate")))
            for (arm, size), value in points.items()
            for subset in range(3)
        ]
        rows += [make_row("probe", "real", 10, subset, probe) for subset in range(3)]
        info["analysis"] |= on_shared(rows)
        return {one.question: one.sentence for one in answers(rows, info)}

    return tell


def test_every_question_is_answered_from_the_rows(told):
    said = told(ARMS)
    assert said["Which kind of generated text helps?"].startswith("At 50 rows lstm gains by vae +5.0 (")
    assert "not shown to help (p corrected): rules −1.0 (" in said["Which kind of generated text helps?"]
    assert (
        "; real unlabelled text, which nothing generates: self_training +6.0 ("
        in said["Which kind of generated text helps?"]
    )
    assert "its accuracy is highest with 50 rows." in said["How many rows?"]
    assert "rules +6.0" in said["Is it the VAE?"]
    assert "self_training −1.0" in said["Is it the VAE?"]
    assert said["Do filters matter?"] == "At 50 rows, lstm, in points above no filters: vae +3.0 (+3.0 to +3.0)."
    assert said["Should one augment at all?"].startswith(
        "Yes: lstm with vae at 50 is right on 67.0 %, lstm on duplicate at 20 on 62.0 %: +5.0 ("
    )
    assert (
        "; lstm with self_training at 50, real rows that nobody generated, on 68.0 %."
        in said["Should one augment at all?"]
    )
    assert said["How many labels are wrong?"] == "By the auditor: real rows 8.5 %; vae 1.2 % (lift +5.0)."


def test_what_is_quicker_to_set_up_is_held_against_the_vae(told, info, make_row, on_shared):
    question = "Would something simpler do?"
    assert told(ARMS)[question].startswith(
        "With 50 rows of vae, in points above what learned from the 10 real rows alone, on the first 50 test rows: "
        "above probe: lstm +5.0 ("
    )
    assert "above probe: lstm −3.0 (" in told(ARMS, probe=70.0)[question]


def test_rivals_stand_in_one_table_the_best_first(told, info):
    told(ARMS)
    info["analysis"]["teachers"] = [{"budget": 10, "subset": subset, "accuracy": 80.0} for subset in range(3)]
    found = [(line.place, round(line.accuracy.mean, 1), line.ahead.mean) for line in rivals.lines(info)]
    assert [place for place, *_ in found] == [
        ("the teacher", "real", 10), ("lstm", "self_training", 50), ("lstm", "vae", 50), ("lstm", "duplicate", 20),
        ("probe", "real", 10),
    ]  # fmt: skip
    assert [points for _, points, _ in found] == [80.0, 68.0, 67.0, 62.0, 62.0]
    assert found[0][2] == pytest.approx(13.0, abs=0.1)
    assert found[1][2] == pytest.approx(1.0, abs=0.1)
    assert found[2][2] is None
    assert found[4][2] == pytest.approx(-5.0, abs=0.1)
    told({place: value for place, value in ARMS.items() if place[0] in ("real", "duplicate")})
    assert rivals.lines(info) == []


def test_other_rows_give_other_answers(told, info):
    worse = ARMS | {("vae", 50): 55.0, ("self_training", 50): 54.0, ("plain", 50): 58.0}
    said = told(worse)
    assert said["Which kind of generated text helps?"].startswith(
        "At 50 rows none helps lstm; not shown to help (p corrected): rules"
    )
    assert "its accuracy is highest with 20 rows; from 20 to 50 rows accuracy changes by −8.0" in said["How many rows?"]
    assert "vae −3.0" in said["Do filters matter?"]
    assert "rules −5.0" in said["Is it the VAE?"]
    assert "which may be chance" not in said["How many rows?"]  # the loss is a clear one
    assert told(ARMS, probe=90.0)["Should one augment at all?"].startswith(
        "No: lstm with vae at 50 is right on 67.0 %, probe on the 10 real rows alone on 90.0 %: −23.0 ("
    )
    assert "not shown to beat the best without" in told(ARMS, probe=67.0)["Should one augment at all?"]
    # The teacher needs no generated rows either.
    info["analysis"]["teachers"] = [{"budget": 10, "subset": subset, "accuracy": 80.0} for subset in range(3)]
    assert "the teacher on the 10 real rows alone on 80.0 %" in told(ARMS)["Should one augment at all?"]


def test_budgets_are_told_from_the_smallest_on(make_row, info):
    def rows_of(budget, vae, probe, probe_rows=50):
        points = {("lstm", "real", budget): 60.0, ("lstm", "vae", 5 * budget): vae, ("probe", "real", budget): probe}
        return [
            make_row(*place, k, value + k + WOBBLE[k] * (place[1] == "vae"))
            | {"budget": budget, "test_rows": probe_rows if place[0] == "probe" else 50}
            for place, value in points.items()
            for k in range(3)
        ]

    def said(*rows):
        found = {one.question: one.sentence for one in answers([row for some in rows for row in some], info)}
        return found.get("With how few labelled rows does it pay?")

    assert said(rows_of(10, 66.0, 62.0)) is None
    told = said(rows_of(10, 66.0, 62.0), rows_of(4, 63.0, 70.0))
    assert "rows: −7.0 (−7.6 to −6.3) with 4 (lstm with 20 rows, probe without, n = 3); +4.0 (" in told
    assert told.endswith("with 10 (lstm with 50 rows, probe without, n = 3).")
    # What was scored on fewer test rows is not held against what was scored on all.
    told = said(rows_of(10, 66.0, 62.0), rows_of(4, 63.0, 70.0, probe_rows=20))
    assert "(lstm with 20 rows, lstm without, n = 3)" in told
    assert "teacher" not in told
    # Nor is the teacher, but where it was scored on these.
    teachers = [{"budget": 4, "subset": subset, "accuracy": 81.25} for subset in range(3)]
    info["analysis"] = {"teachers": teachers, "shared_rows": 50}
    assert "without, n = 3; the teacher 81.2 %)" in said(rows_of(10, 66.0, 62.0), rows_of(4, 63.0, 70.0))
    info["analysis"]["shared_rows"] = 20
    assert "teacher" not in said(rows_of(10, 66.0, 62.0), rows_of(4, 63.0, 70.0))


def test_kinds_of_test_rows_and_costs_are_told_as_they_are(told, info):
    def slices(negation: float, contrast: float) -> dict[str, str]:
        lifts = {"with a negation": negation, "with a contrast": contrast, "long": 4.0}
        info["analysis"]["slices"] = [
            {"classifier": "lstm", "slice": name, "rows": 9, "lift": lift, "low": lift - 1, "high": lift + 1}
            for name, lift in lifts.items()
        ]
        return told(ARMS)

    question = "Which test rows gain?"
    said = slices(6.0, -2.0)[question]
    assert "gains most where rows are of the kind “with a negation” (+6.0, +5.0 to +7.0)" in said
    assert "least where rows are of the kind “with a contrast” (−2.0," in said
    assert "gains most where rows are of the kind “with a contrast” (+7.0," in slices(1.0, 7.0)[question]

    def cost(of_vae: float, of_language_model: float) -> str:
        info["augmentation"] = [
            {
                "generator": name, "budget": 10, "candidates": 10, "words": 200, "kept": 5, "rejected": {},
                "perplexity": None, "choosing_cpu_seconds": 1.0,
                "writing": {"words": 200, "cpu_seconds": seconds, "training_cpu_seconds": 0.0},
            }
            for name, seconds in (("vae", of_vae), ("language_model", of_language_model))
        ]  # fmt: skip
        return told(ARMS)["What does it cost?"]

    assert cost(1.0, 20.0).startswith(
        "To write a candidate of 20 words, in CPU seconds: vae 0.1000, language_model 2.0000 (language_model 20 times"
    )
    assert "(language_model 0.5 times what vae does); a kept row, chosen: vae 0.600," in cost(2.0, 1.0)


def test_only_rows_that_the_teachers_chose_are_held_against_them(told, info):
    told(ARMS | {("language_model", 50): 70.0})
    info["analysis"]["teachers"] = [{"budget": 10, "subset": subset, "accuracy": 65.0} for subset in range(3)]
    info["recipe"]["augment"]["filters"] = []
    assert "; of 1 arm that it chose rows for these beat it there: self_training at 50 (+3.0 (" in teacher_of(
        info, "lstm"
    )
    info["recipe"]["augment"]["vae_latents"] = "prior"  # a bank, which the teachers label
    assert "; of 4 arms that it chose rows for these beat it there: " in teacher_of(info, "lstm")
    info["recipe"]["augment"]["filters"] = ["confidence"]
    assert "; of 6 arms that it chose rows for these beat it there: " in teacher_of(info, "lstm")
    assert ", language_model at 50 (+6.0 (" in teacher_of(info, "lstm")
    assert teacher_of(info, "probe").endswith(" is right on 65.0 % of the first 50 test rows.")


def test_without_generated_arms_nothing_is_said(told):
    assert told({("real", 10): 60.0, ("duplicate", 50): 61.0}) == {}


def test_a_rare_class_is_asked_about_where_there_is_one(told, info):
    unequal = {("real", 10): 60.0, ("weighted", 10): 62.0, ("duplicate", 18): 61.0, ("vae", 18): 66.0}
    question = "Do generated rows make up for a rare class?"
    assert question not in told(unequal)
    info["recipe"]["study"]["class_shares"] = [0.9, 0.1]
    said = told(unequal)[question]
    assert said.startswith("In points of macro-F1 of lstm: vae +4.0 (")
    assert "above class weights, +5.0 (" in said
    assert "vae −2.0" in told(unequal | {("vae", 18): 60.0})[question]


def test_wrong_labels_are_ranked_against_lifts(told, info):
    errors = {"vae": (1.25, 5.0), "rules": (6.0, -1.0), "self_training": (2.0, 6.0), "masked_lm": (9.0, -2.0)}
    quality = [
        {"generator": name, "label_error": e, "mauve": e, "distinct_2": -e, "lifts": {"lstm": gain}}
        for name, (e, gain) in errors.items()
    ]
    info["analysis"] = {"quality": quality}
    said = told(ARMS)["How many labels are wrong?"]
    assert said.endswith(
        "; rank correlation with lift over 4 generators: wrong labels −0.80, distinct-2 0.80, MAUVE −0.80."
    )
