from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.osc.nearest import Nearest
from bridge.osc.patterns import is_pattern, matches


@pytest.mark.parametrize(
    ("pattern", "address", "expected"),
    [
        ("/a/b", "/a/b", True),
        ("/a/*", "/a/bcd", True),
        ("/a/*", "/a/b/c", False),  # a star does not cross a slash
        ("/*/c", "/b/c", True),
        ("/a/b?d", "/a/bcd", True),
        ("/a/b?d", "/a/bd", False),
        ("/a/[b-d]x", "/a/cx", True),
        ("/a/[!b-d]x", "/a/cx", False),
        ("/a/[!b-d]x", "/a/ex", True),
        ("/a/[xy-]", "/a/-", True),
        ("/{one,other}/z", "/other/z", True),
        ("/{one,other}/z", "/another/z", False),
        ("/a{,b}c", "/ac", True),
        ("/a*b*c", "/aXbYc", True),
        ("//z", "/a/b/z", True),  # OSC 1.1
        ("/a//z", "/a/z", True),
        ("/a//z", "/a/b/c/z", True),
        ("/a//z", "/b/z", False),
        ("/a/[bc", "/a/b", False),
        ("/a/{b", "/a/b", False),
        ("/a]b", "/a]b", True),
    ],
)
def test_patterns_of_the_specification(pattern: str, address: str, expected: bool):
    assert matches(pattern, address) is expected


@given(st.text("ab?*", max_size=12), st.text("ab", max_size=12))
def test_stars_and_question_marks_are_those_of_a_regular_expression(pattern: str, text: str):
    wanted = re.fullmatch(pattern.replace("?", ".").replace("*", ".*"), text) is not None
    assert matches(f"/x/{pattern}z", f"/x/{text}z") is wanted


def test_no_pattern_is_slow():
    # python-osc takes more than 5 s for the first of these (facts/daw.md §1.2)
    patterns = ["/" + "*" * 250, "/" + "*a" * 120 + "b", "/" + "{" + "a," * 120 + "}" * 4, "//" * 120]
    began = time.perf_counter()
    for pattern in patterns:
        for _ in range(20):
            matches(pattern, "/" + "a" * 60)
    assert (time.perf_counter() - began) / 80 < 0.02


def test_what_counts_as_a_pattern():
    assert [is_pattern(a) for a in ("/a/b", "/a*", "/a//b", "/[a]")] == [False, True, True, True]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("/segue/genrate", "/segue/generate"),
        ("/segue/param/temp", "/segue/param/temperature"),
        ("/take/paly", "/segue/take/play"),
        ("", "/segue/test"),
    ],
)
def test_the_nearest_is_the_one_that_was_meant(written: str, meant: str):
    names = [
        "/segue/test",
        "/segue/generate",
        "/segue/param/temperature",
        "/segue/param/bars",
        "/segue/take/play",
    ]
    assert Nearest(names).to(written) == meant
