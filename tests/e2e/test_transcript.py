"""How a page is read as a transcript, and when two printings are alike."""

from __future__ import annotations

from e2e.transcript import Step, differences, rewritten, steps

PAGE = """
```console
$ make something
...
$ kubectl get sb
NAME   USED               AGE
oci    8.0Gi/20Gi (40%)   8s
```

```sh
not typed
```
"""


def test_what_stands_after_a_dollar_is_typed_and_the_rest_is_printed() -> None:
    assert steps(PAGE) == [
        Step("make something", ("...",)),
        Step("kubectl get sb", ("NAME   USED               AGE", "oci    8.0Gi/20Gi (40%)   8s")),
    ]


def test_ages_numbers_and_widths_may_differ() -> None:
    expected = steps(PAGE)[1].printed
    assert differences(expected, "NAME          USED                AGE\noci           19.5Gi/20Gi (97%)  1m12s\n") == []


def test_a_line_more_or_less_and_another_word_are_told() -> None:
    expected = steps(PAGE)[1].printed
    assert differences(expected, "NAME USED AGE\n") == ["not printed: oci AGE"]
    assert differences(expected, "NAME USED AGE\noci 8.0Gi/20Gi (40%) 8s\nb2 - 8s\n") == ["not in the page: b2 - AGE"]


def test_three_dots_stand_for_any_lines() -> None:
    assert differences(("namespace/demo created", "..."), "namespace/demo created\nContext modified.\n") == []
    assert differences(("namespace/demo created", "..."), "Context modified.\n") == ["not printed: namespace/demo created"]


def test_a_page_is_brought_up_to_date_by_what_was_printed() -> None:
    page = rewritten(PAGE, {"make something": "much\n", "kubectl get sb": "NAME   STATE   AGE\noci    Ready   9s\n"})
    assert page == PAGE.replace("NAME   USED               AGE\noci    8.0Gi/20Gi (40%)   8s", "NAME   STATE   AGE\noci    Ready   9s")
