"""Names of styles, and which style a case is counted to."""

from nnunetv2_hypersort.styles.clustering import FoldClusters
from nnunetv2_hypersort.styles.naming import name_styles, vote


def test_names_follow_the_order_and_leave_out_what_is_taken():
    assert name_styles([], {}) == []
    assert name_styles([("a", "b"), ("c",)], {}) == ["style_a", "style_b"]
    assert name_styles([("a", "b"), ("c",)], {}, taken=["style_a"]) == ["style_b", "style_c"]
    assert name_styles([(str(n),) for n in range(28)], {})[25:] == ["style_z", "style_27", "style_28"]


def test_a_style_found_again_keeps_its_name():
    earlier = {"style_a": "abcdef", "style_b": "ghij"}
    # Style b has grown and is now the larger one; style a has lost two cases; a third one is new.
    assert name_styles(["ghijkl", "abcd", "xyz"], earlier) == ["style_b", "style_a", "style_c"]
    # Too few cases in common make it another style, which does not take over the name.
    assert name_styles(["abcxyz"], earlier) == ["style_c"]
    assert name_styles(["abcdef"], earlier, taken=["style_a"]) == ["style_c"]


def test_cases_are_counted_by_the_vote_of_their_folds():
    clusters = {
        "0": {"all": 0, "most": 0, "tie": 0, "alone": -1, "half": -1, "other": 2},
        "1": {"all": 1, "most": 1, "tie": 0, "alone": -1, "half": 1},
        "2": {"all": 0, "most": 1, "alone": 0},
    }
    folds = [FoldClusters(fold, of_cases, ("", "", "")) for fold, of_cases in clusters.items()]
    # The first style is cluster 0 of folds 0 and 2 and cluster 1 of fold 1.
    votes = vote(folds, [{"0": 0, "1": 1, "2": 0}, {"0": 1, "1": 0, "2": 1}])
    assert votes.cases == (("all", "half", "most"), ())
    assert votes.outliers == ("alone",)
    assert votes.undecided == ("other", "tie")
