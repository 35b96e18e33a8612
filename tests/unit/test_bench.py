"""bench/: what is computed from its rounds. `make bench` itself takes minutes, and peers that the tests do not need."""

from report import ratio
from turns import Round


def test_a_ratio_is_the_median_of_those_within_each_round() -> None:
    """A machine that is slow for a while is slow for everybody."""
    rates = [(100.0, 50.0), (10.0, 4.0), (1000.0, 1000.0)]
    rounds: list[Round] = [{"GET": {"one": {"rate": one}, "two": {"rate": two}}} for one, two in rates]
    assert str(ratio(rounds, ("GET", "one"), ("GET", "two"))) == "2.00 (1.00 to 2.50)"
