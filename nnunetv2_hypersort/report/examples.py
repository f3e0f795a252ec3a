"""The cases that show what a style looks like."""

import math

from nnunetv2_hypersort.report.content import ReportContent, ShownStyle

EXAMPLES = 4
"""Cases side by side on the card of a style, its medoid first."""


def examples_of(content: ReportContent, style: ShownStyle) -> tuple[str, ...]:
    """The cases to show for a style: the medoids of its folds, then its other cases, nearest to a medoid first."""
    medoids = [point.medoid for point in style.folds.values() if point.medoid is not None]
    distances: dict[str, float] = {}
    for fold in content.folds:
        point = style.folds.get(fold.name)
        if point is None:
            continue
        for case in style.cases:
            if case in fold.rows:
                distance = math.dist(fold.latents[fold.rows[case]], point.coordinates)
                distances[case] = min(distance, distances.get(case, math.inf))
    nearest = sorted(style.cases, key=lambda case: distances.get(case, math.inf))
    known = set(content.cases)
    return tuple(case for case in dict.fromkeys((*medoids[:1], *nearest)) if case in known)[:EXAMPLES]
