"""Whether two halves of points are those of a ring or a bow, and no groups."""

import numpy as np

from nnunetv2_hypersort.styles.splitting import Split

_SHUFFLES = 300


def is_bent(split: Split, *, level: float) -> bool:
    """Whether points of both groups lie further out, or further to one side, the nearer they are to the other group.

    The halves of a ring or of a bow look like two groups along the line through their means. But on a ring those next
    to the other half lie further out across the line than those at the far ends (their second moment), and on a bow
    further to one side (their mean); in groups of any other shape neither depends on it. Judged by shuffling the
    positions along the line within each group (a permutation test).

    Args:
        split: The split.
        level: In how many of one hundred splits of two groups that touch a ring or bow is seen where none is, as a
            share.

    Returns:
        True for a ring or a bow; False where nearly no point is between the groups, as where they are far apart.
    """
    if not split.across.shape[1] or not split.touching:
        return False
    rng = np.random.default_rng(0)
    nearness = np.zeros((_SHUFFLES + 1, len(split.along)))
    for group in (split.is_second, ~split.is_second):
        near = -np.abs(split.along[group])
        spread = near.std()
        if spread > 0:
            near = (near - near.mean()) / spread
            nearness[:, group] = [near, *rng.permuted(np.tile(near, (_SHUFFLES, 1)), axis=1)]
    outer = split.across[:, :, None] * split.across[:, None, :]
    aside = ((nearness @ split.across) ** 2).sum(axis=1)
    out = np.linalg.eigvalsh((nearness @ outer.reshape(len(outer), -1)).reshape(-1, *outer.shape[1:]))[:, -1]
    return any((one >= one[0]).mean() <= level / 2 for one in (aside, out))
