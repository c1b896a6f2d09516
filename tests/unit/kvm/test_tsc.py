"""Whose figure of the TSC's rate counts."""

from __future__ import annotations

import pytest

pytest.importorskip("pykvm._shim")

from pykvm.kvm.tsc import choose_rate


@pytest.mark.parametrize(
    ("told", "measured", "chosen"),
    [
        (2_000_000, 2_000_100.5, (2_000_000.0, "KVM_GET_TSC_KHZ")),
        (2_000_000, 2_019_000.0, (2_000_000.0, "KVM_GET_TSC_KHZ")),
        (2_000_000, 2_100_000.0, (2_100_000.0, "CLOCK_MONOTONIC")),
        (1_000_000, 3_000_000.0, (3_000_000.0, "CLOCK_MONOTONIC")),
        (0, 1_234_567.8, (1_234_567.8, "CLOCK_MONOTONIC")),
    ],
)
def test_kvms_figure_counts_where_it_is_about_right(
    told: int, measured: float, chosen: tuple[float, str]
) -> None:
    assert choose_rate(told, measured) == chosen
