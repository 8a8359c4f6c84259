import pytest

pytest.importorskip("matplotlib")
lettering = pytest.importorskip("srgnn.lettering")


def test_names_wrap_after_separators_and_are_shortened_only_if_necessary():
    assert lettering.wrap_name("bag", 14, 3) == "bag"
    assert lettering.wrap_name("category-shirt-000123", 14, 3) == "category-\nshirt-000123"
    assert lettering.wrap_name("red shoes", 6, 2) == "red\nshoes"
    assert lettering.wrap_name("x" * 40, 7, 1) == "xxx…xxx"
    for name in ("category-shirt-000123", "x" * 90, "a b c d e f", "-----", ""):
        lines = lettering.wrap_name(name, 7, 2).split("\n")
        assert len(lines) <= 2
        assert max(map(len, lines)) <= 7


def test_consecutive_steps_become_a_range():
    assert lettering.step_ranges([3]) == "3"
    assert lettering.step_ranges([3, 4]) == "3, 4"
    assert lettering.step_ranges([1, 3, 4, 5, 9]) == "1, 3\N{EN DASH}5, 9"
    assert lettering.step_ranges([1, 3, 5, 7, 9, 11]) == "1, 3, 5, 7, 9,\n11"
