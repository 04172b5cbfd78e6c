"""What README and docs claim of speed is what was measured, and holds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

BENCH = Path(__file__).parents[2] / "bench"
sys.path.insert(0, str(BENCH))

import claim_plots  # noqa: E402
import claims  # noqa: E402

FOUND: claims.Found = json.loads(claims.FOUND.read_text())


def test_pages_show_what_was_measured() -> None:
    for page, text in claims.pages(FOUND).items():
        assert page.read_text() == text, f"{page.name} is not what `make claims` wrote"


def test_nothing_measured_falls_short() -> None:
    assert claims.short_of(claims.claims(), FOUND) == []


@pytest.mark.parametrize("claim", claims.claims(), ids=lambda claim: f"{claim.case}, {claim.peer}")
def test_a_claim_has_a_bench_of_this_checkout(claim: claims.Claim) -> None:
    script = BENCH / claim.command.split()[0]
    assert script.exists()
    assert claim.command in (BENCH / "claims.toml").read_text()


def line(**others: Any) -> dict[str, Any]:
    return {
        "case": "c",
        "peer_name": "p",
        "ratio": 2.0,
        "ratio_low": 1.9,
        "ratio_high": 2.2,
        **others,
    }


def a_claim(**others: Any) -> claims.Claim:
    return claims.Claim("it", "that", "bench.py", "c", "p", **others)


def found(*lines: dict[str, Any]) -> claims.Found:
    return {"bench.py": {"of": "Commit 1", "lines": list(lines)}}


def test_what_falls_short_is_said() -> None:
    least, most = a_claim(at_least=2.1), a_claim(figure="cpu_ratio", at_most=1.03)
    assert claims.short_of([least], found(line())) == [
        "it, beside that: 2 (1.9 to 2.2), must be >= 2.1"
    ]
    assert claims.short_of([least], found(line(ratio=2.1))) == []
    assert claims.short_of([most], found(line(cpu_ratio=1.04))) == [
        "it, beside that: 1.04, must be <= 1.03"
    ]
    assert claims.short_of([most], found(line(cpu_ratio=1.03))) == []


def test_nan_falls_short() -> None:
    assert claims.short_of([a_claim(at_least=2)], found(line(ratio=float("nan"))))
    assert claims.short_of([a_claim(at_most=2)], found(line(ratio=float("nan"))))


@pytest.mark.parametrize("lines", [[], [line(case="other")], [line(peer_name="other")]])
def test_what_a_bench_did_not_show_falls_short(lines: list[dict[str, Any]]) -> None:
    (told,) = claims.short_of([a_claim(at_least=2)], found(*lines))
    assert told == "it, beside that: not measured (bench.py)"


@pytest.mark.parametrize("bounds", [{}, {"at_least": 1, "at_most": 2}])
def test_a_claim_has_one_bound(bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="'it' must have one of at_least and at_most"):
        a_claim(**bounds)


def test_every_claim_is_in_a_picture_of_the_page_with_its_figure_and_command() -> None:
    page = claims.PAGE.read_text()
    pictures = claim_plots.plots(claims.claims(), FOUND)
    drawn = [element for svg in pictures.values() for element in ElementTree.fromstring(svg).iter()]
    texts = [element.text for element in drawn if element.tag.endswith("}text")]
    for path in pictures:
        assert f"]({path.name})" in page
    for claim in claims.claims():
        line = claim.of(FOUND)
        assert line is not None
        assert claim.says in texts
        assert f"python bench/{claim.command}" in texts
        assert any(str(text).startswith(claim.shown(line)) for text in texts)
        assert FOUND[claim.command]["of"] in texts


def test_a_picture_is_legible_where_it_is_400_pixels_wide() -> None:
    for svg in claim_plots.plots(claims.claims(), FOUND).values():
        texts = [each for each in ElementTree.fromstring(svg).iter() if each.tag.endswith("}text")]
        sizes = [int(each.attrib["font-size"]) for each in texts]
        assert min(sizes) >= 9
        for each, size in zip(texts, sizes, strict=True):
            wide = 0.62 if "font-family" in each.attrib else 0.52  # of the size, a letter
            if "text-anchor" not in each.attrib:
                assert float(each.attrib["x"]) + wide * size * len(each.text or "") <= 400, (
                    each.text
                )
