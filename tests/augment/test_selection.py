"""Filters replayed over a table of candidates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from textvae.modeling_textvae.augmentation import new_row
from textvae.training.augment.dataset import take
from textvae.training.augment.selection import distinct_2, select
from textvae.training.common.recipe import AugmentRecipe

SETTINGS = AugmentRecipe()
WORDS = ("a", "dull", "film", "about", "nothing", "that", "goes", "on", "far", "too", "long", "and", "never", "ends")


def table(candidates: int = 40) -> pd.DataFrame:
    """Four originals, and candidates whose every figure is their number."""
    rows = [
        new_row(f"original number {k} of the film", k % 2, "original", k) | {"kept": True, "rank": k} for k in range(4)
    ]
    for k in range(candidates):
        text = " ".join(np.random.default_rng(k).permutation(WORDS)[:12])
        rows.append(new_row(f"{text} {k}", k % 2, "vae", k % 4) | {"seed": k})
    frame = pd.DataFrame(rows).astype({"source_row": "Int64", "seed": "Int64", "rank": "Int64"})
    numbers = np.concatenate([[10.0, 15.0, 20.0, 30.0], np.arange(candidates, dtype=float)])
    frame["teacher_confidence"] = pd.Series(np.concatenate([[1.0] * 4, np.arange(candidates) / candidates]))
    frame["second_confidence"] = pd.Series(np.concatenate([[1.0] * 4, 1 - np.arange(candidates) / candidates]))
    frame["perplexity"] = pd.Series(numbers)
    frame["agreed"] = frame[["teacher_confidence", "second_confidence"]].min(axis=1) > 0.5
    kinds = dict.fromkeys(("teacher_confidence", "second_confidence", "perplexity"), "Float64")
    return frame.astype({**kinds, "agreed": "boolean", "reject_reason": object})


def kept(frame: pd.DataFrame) -> list[int]:
    """Numbers of the kept candidates, class by class in the order of their ranks."""
    chosen = frame[frame["kept"] & (frame["method"] != "original")].sort_values(["label", "rank"])
    return chosen["seed"].tolist()


def by_class(numbers) -> list[int]:
    return sorted(numbers, key=lambda number: (number % 2, number))


def test_without_filters_candidates_are_taken_as_they_come():
    assert kept(select(table(), (), 12, SETTINGS, None)) == by_class(range(8))


def test_every_size_is_the_beginning_of_the_next_and_balanced():
    for filters in ((), ("confidence",), ("perplexity",), ("confidence", "perplexity")):
        frame = select(table(), filters, 12, SETTINGS, None)
        for size in (6, 8, 12):
            chosen = take(frame, size)
            assert len(chosen) == size, filters
            assert chosen["label"].value_counts().to_dict() == {0: size // 2, 1: size // 2}
        judged = frame[frame["method"] != "original"]
        assert (judged["kept"] == judged["reject_reason"].isna()).all()


@pytest.mark.parametrize("filters", [(), ("confidence",)])
def test_the_rarest_class_is_filled_up_where_classes_are_to_be_balanced(filters):
    frame = table().drop(index=[1])  # two originals of class 0, one of class 1
    rare = select(frame, filters, 5, SETTINGS, None, balance=True)
    for size, counts in ((4, {0: 2, 1: 2}), (5, {0: 3, 1: 2})):
        assert take(rare, size)["label"].value_counts().to_dict() == counts
    kept_shares = select(frame, filters, 12, SETTINGS, None)
    assert take(kept_shares, 12)["label"].value_counts().to_dict() == {0: 8, 1: 4}


def test_confidence_leaves_the_share_and_keeps_the_order_of_candidates():
    assert kept(select(table(), ("confidence",), 8, SETTINGS, None)) == by_class(range(30, 34))
    # A larger target than the share gives is filled all the same.
    assert kept(select(table(), ("confidence",), 36, SETTINGS, None)) == by_class(range(8, 40))


def test_agreement_and_perplexity_reject_single_rows():
    agreed = select(table(), ("agreement",), 44, SETTINGS, None)
    assert kept(agreed) == []  # one teacher's confidence is what the other's is not, but in the middle
    frame = table()
    frame.loc[10:20, "agreed"] = True
    assert kept(select(frame, ("agreement",), 44, SETTINGS, None)) == by_class(range(6, 17))
    assert kept(select(table(), ("perplexity",), 44, SETTINGS, None)) == by_class(range(11, 29))


def test_novelty_drops_near_copies_of_originals_and_of_earlier_candidates():
    frame = table()
    frame.loc[10, "text"] = "original number 2 of the film"
    frame.loc[20, "text"] = frame.loc[15, "text"] + " again"
    reasons = select(frame, ("novelty",), 44, SETTINGS, None)["reject_reason"]
    assert reasons[10] == reasons[20] == "near-copy of a row"
    assert pd.isna(reasons[15])


def test_diversity_takes_the_farthest_first_and_no_row_that_repeats_itself():
    features = np.zeros((44, 3), dtype=np.float32)
    features[:, 0] = 1
    features[6:8] = [0, 1, 0]  # candidates 2 and 3 are unlike all others
    frame = table()
    frame.loc[4, "text"] = "so so so so so so so so"
    chosen = select(frame, ("diversity",), 8, SETTINGS, features)
    assert {2, 3} <= set(chosen[chosen["rank"].isin([4, 5, 6, 7])]["seed"])
    assert chosen.loc[4, "reject_reason"] == "repetitive"
    assert distinct_2("so so so so") == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="no features"):
        select(table(), ("diversity",), 8, SETTINGS, None)


def test_another_choice_forgets_the_one_before_but_not_copies():
    frame = table()
    frame.loc[5, "reject_reason"] = "near-copy of a test row"
    confident = select(frame, ("confidence",), 12, SETTINGS, None)
    assert pd.testing.assert_frame_equal(
        select(confident, (), 12, SETTINGS, None), select(frame, (), 12, SETTINGS, None)
    ) is None  # fmt: skip
    assert 1 not in kept(select(confident, (), 44, SETTINGS, None))


def test_a_filter_whose_column_was_not_computed_is_named():
    frame = table()
    frame["agreed"] = pd.Series(dtype="boolean")
    with pytest.raises(ValueError, match="agreed: the table has none; generate it with this filter"):
        select(frame, ("agreement",), 12, SETTINGS, None)
    frame["perplexity"] = pd.Series(dtype="Float64")
    with pytest.raises(ValueError, match="perplexity: the table has none"):
        select(frame, ("perplexity",), 12, SETTINGS, None)


def test_a_table_of_which_a_part_alone_is_scored_is_not_chosen_from_by_perplexity():
    frame = table()
    frame.loc[30:, "perplexity"] = None
    with pytest.raises(ValueError, match="perplexity: 14 rows have none; generate the table with this filter"):
        select(frame, ("perplexity",), 12, SETTINGS, None)
    frame.loc[30:, "text"] = "single"  # of one word there is none
    assert (select(frame, ("perplexity",), 12, SETTINGS, None)["reject_reason"][30:] == "perplexity").all()
