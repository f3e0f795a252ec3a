"""How densely latents lie."""

import numpy as np
import pytest

from nnunetv2_hypersort.latents.density import typicality

# Four latents at steps of 1 and a loner. With five of them the second-nearest... the third neighbour counts, and its
# distances are 3, 2, 2, 3 and 9.
LINE = np.array([[0.0], [1.0], [2.0], [3.0], [11.0]])


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (1.0, 1.0),  # a training latent: 2, and no other is denser
        (0.0, 3 / 5),  # 3: as dense as the other end and the loner
        (11.0, 1 / 5),  # 9: only itself lies no more densely
        (1.5, 1.0),  # 1.5, its neighbours are 1, 2 and 0 or 3
        (-6.5, 1 / 5),  # 8.5
        (100.0, 0.0),
    ],
)
def test_it_is_the_share_of_training_latents_in_places_no_denser(place, expected):
    assert typicality(np.array([place]), LINE) == expected


def test_equal_latents_are_all_typical():
    assert typicality(np.zeros(2), np.zeros((10, 2))) == 1
