"""What banner, cards and chips of one answer must not do: contradict each other."""

from __future__ import annotations

from explorer.records import SearchResult


def assert_agrees(result: SearchResult) -> None:
    """Check that the verdict is that of the strongest hit, and that phrases are found where the hit's word allows."""
    strengths = {hit.strength for hit in result.hits}
    expected = "found" if "strong" in strengths else "unsure" if "likely" in strengths else "nothing"
    assert result.verdict.state == expected, f"{result.query.text}: {result.verdict} over {strengths}"
    assert result.confident == (expected != "nothing") and bool(result.reason) == (expected != "found")
    for hit in result.hits:
        assert hit.weak == (hit.strength == "weak")
        found = [match.found for match in hit.matches]
        assert not (hit.weak and any(found)), f"{result.query.text}: {hit.path} is weak and shows a phrase"
        assert hit.weak or not found or any(found), f"{result.query.text}: {hit.path} shows none"
    by_fit = sorted(result.hits, key=lambda hit: hit.percentile)
    order = ("weak", "likely", "strong")
    ranks = [order.index(hit.strength) for hit in by_fit]
    assert ranks == sorted(ranks), f"{result.query.text}: a word does not follow its number"
