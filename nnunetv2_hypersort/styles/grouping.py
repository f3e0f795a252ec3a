"""The styles of a model by its latents alone: clusters of each fold, matched over folds, with cases and names."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from nnunetv2_hypersort.latents import FoldRecord, Style, StyleInFold
from nnunetv2_hypersort.styles.alignment import Alignment, align_clusters
from nnunetv2_hypersort.styles.clustering import FoldClusters
from nnunetv2_hypersort.styles.naming import name_styles, vote


@dataclass(frozen=True)
class Grouping:
    """The styles of several folds. In each fold a style is at its medoid.

    Attributes:
        clusters: Those of each fold.
        alignment: How they were matched.
        styles: Styles of all folds first, the largest before the smaller ones, then clusters that are no style of
            several folds.
        outliers: Cases that most of their folds put into no cluster.
        undecided: Cases whose folds disagree on their style.
    """

    clusters: tuple[FoldClusters, ...]
    alignment: Alignment
    styles: tuple[Style, ...]
    outliers: tuple[str, ...]
    undecided: tuple[str, ...]


def group_styles(
    records: Sequence[FoldRecord], earlier: Mapping[str, Collection[str]] | None = None, taken: Collection[str] = ()
) -> Grouping:
    """Cluster the latents of each fold, match the clusters over folds, and name them.

    Args:
        records: The folds, at least one.
        earlier: By name the cases of styles found before, whose names are kept where the cases are.
        taken: Names that other styles have.

    Returns:
        The styles.
    """
    clusters = tuple(FoldClusters.find(record) for record in records)
    alignment = align_clusters(clusters)
    votes = vote(clusters, alignment.styles)
    of_fold = {fold.fold: fold for fold in clusters}
    identities = {record.fold: record for record in records}

    def style(name: str, cases: Sequence[str], numbers: Mapping[str, int]) -> Style:
        there = {}
        for fold, number in sorted(numbers.items(), key=lambda one: list(of_fold).index(one[0])):
            record, medoid = identities[fold], of_fold[fold].medoids[number]
            there[fold] = StyleInFold.of(record, record.latent_of(medoid).tolist(), medoid, number)
        return Style(name, there, tuple(cases))

    names = name_styles(votes.cases, earlier or {}, taken)
    styles = [style(*one) for one in zip(names, votes.cases, alignment.styles, strict=True)]
    styles.sort(key=lambda style: -len(style.cases))
    styles += [
        style(f"fold_{fold}_cluster_{number}", of_fold[fold].cases_of(number), {fold: number})
        for fold, number in alignment.unmatched
    ]
    # Votes mean nothing where the folds do not speak of the same styles.
    undecided = votes.undecided if alignment.consistent else ()
    return Grouping(clusters, alignment, tuple(styles), votes.outliers, undecided)
