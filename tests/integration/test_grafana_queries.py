"""Variables in queries are replaced as Grafana replaces them."""

from __future__ import annotations

import pytest

from tests.integration.grafana_queries import Variable, put_in


@pytest.mark.parametrize(
    ("values", "all_text", "several", "template", "query"),
    [
        (["a.b"], None, False, '{x="$v"}', '{x="a.b"}'),
        (["a'b\\c"], None, False, "{x='${v}'}", r"{x='a\\'b\\c'}"),
        (["a.b"], None, True, '{x=~"$v"}', r'{x=~"a\\.b"}'),
        (["a", "b(c"], None, True, '{x=~"$v"}', r'{x=~"(a|b\\(c)"}'),
        (["a\\"], None, True, '{x=~"$v"}', r'{x=~"a\\\\"}'),
        (["a", "b"], ".+", True, '{x=~"$v"}', '{x=~".+"}'),
        (["a", "b"], ".+", True, "{x=~`${v:regex}`}", "{x=~`.+`}"),
        (["a.b/c", "d"], None, True, "{x=~`${v:regex}`}", r"{x=~`(a\.b\/c|d)`}"),
        (["a.b"], None, False, "${v:raw}/x", "a.b/x"),
        (["a"], None, False, "rate(x[$__rate_interval]) $unknown", "rate(x[4s]) $unknown"),
    ],
)
def test_variables_are_replaced(
    values: list[str], all_text: str | None, several: bool, template: str, query: str
) -> None:
    """One value, several or all, in each format that the dashboards use."""
    assert put_in(template, {"v": Variable(values, all_text, several)}) == query


def test_an_unknown_format_is_an_error() -> None:
    """An unsupported format raises, so that each tested query is one that Grafana sends."""
    with pytest.raises(ValueError, match="glob"):
        put_in("${v:glob}", {"v": Variable(["a"], None, True)})
