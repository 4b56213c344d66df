from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from SuggestiveAnnotationLib.errors import StorageError
from SuggestiveAnnotationLib.report.data import DiceValue, Effort, NextSlice, ReportData, RoundRow
from SuggestiveAnnotationLib.report.page import MISSING, missing, render, write_report

SECTIONS = ("learning", "effort", "latents", "gallery", "training", "rounds", "settings", "reproduce", "caveats")


class Page(HTMLParser):
    """Tags, attributes and visible text of a page; fails on tags that do not close in order."""

    VOID = frozenset({"meta", "img", "path", "rect", "circle", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" not in self._open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html(full_report) -> str:
    return render(full_report)


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def bare(**parts) -> ReportData:
    return ReportData(title="Bare", study="bare", created="now", classes={"lesion": 1}, **parts)


class TestFullPage:
    def test_has_every_section_and_links_to_it(self, page):
        assert [s["id"] for s in page.all("section")] == list(SECTIONS)
        assert {f"#{name}" for name in SECTIONS} <= {a["href"] for a in page.all("a")}

    def test_says_how_to_read_each_group_of_figures(self, page):
        assert page.text.count("How to read it:") >= 7

    def test_asks_for_nothing_from_outside_and_runs_nothing(self, html, page):
        assert not re.search(r"""(?:src|href|action|url)\s*[=(]\s*["']?\s*(?:https?:)?//""", html)
        assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in page.tags}
        assert all((image["src"] or "").startswith("data:image/") for image in page.all("img"))
        assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)

    def test_every_image_has_words(self, page):
        assert all(len(image["alt"] or "") > 20 for image in page.all("img"))
        assert len(page.all("img")) > 20

    def test_tables_have_captions_and_headings(self, page):
        tables = len(page.all("table"))
        assert tables == len(page.all("caption")) >= 5
        assert {heading["scope"] for heading in page.all("th")} == {"row", "col"}

    def test_a_class_is_known_by_its_shape_as_well_as_its_colour(self, page):
        shapes = [(p["d"], p["fill"]) for p in page.all("path") if p.get("fill")]
        assert len({d for d, _ in shapes}) == len({fill for _, fill in shapes}) == 3

    def test_follows_light_and_dark_and_print(self, html):
        assert "prefers-color-scheme: dark" in html
        assert "@media print" in html

    def test_carries_the_disclaimer_the_command_and_the_numbers(self, page):
        for words in (
            "not a diagnostic device",
            "suggestive-annotation report malc-tissue",
            "88",
            "0.81",
            "sub-11, slice 73",
            "Random choice",
        ):
            assert words in page.text

    def test_stays_below_five_megabytes(self, html):
        assert len(html.encode()) < 5_000_000

    def test_names_no_part_as_missing(self, page, full_report):
        assert missing(full_report) == {}
        assert "Not shown." not in page.text


class TestHostileNames:
    EVIL = "<script>alert('$x_{')</script>\"&"

    def test_are_escaped_everywhere(self, full_report):
        evil = self.EVIL
        data = dataclasses.replace(
            full_report,
            title=evil,
            study=evil,
            command=evil,
            classes={evil: 2},
            regions=(evil,),
            dice=(DiceValue(1, evil, evil, 0.5),),
            rounds=(RoundRow(1, evil, 0, 5, minutes=3, notes=(evil,), seconds={evil: 3.0}),),
            effort=tuple(dataclasses.replace(row, label=evil) for row in full_report.effort),
            gallery=(dataclasses.replace(full_report.gallery[0], case=evil, sentence=evil, provenance=evil),),
            latents=dataclasses.replace(full_report.latents, cases=(evil,) * 20, axes=(evil, evil)),
            waiting=(NextSlice(evil, 1, evil),),
            settings={evil: evil},
            versions={evil: evil},
            seeds={evil: 1},
            evidence={evil: evil},
            disclaimer=evil,
        )
        html = render(data)
        assert "<script" not in html
        assert Page(html).text.count("alert('$x_{')") > 10


class TestMissingParts:
    def test_an_empty_study_has_every_section_and_says_why_each_is_empty(self):
        page = Page(render(bare()))
        assert [s["id"] for s in page.all("section")] == list(SECTIONS)
        assert not page.all("img")
        for part in ("learning", "effort", "latents", "gallery", "training", "seconds", "rounds"):
            assert MISSING[part] in page.text

    def test_one_round_without_held_out_cases_says_so(self):
        page = Page(render(bare(rounds=(RoundRow(0, "strided", 1, 0, open=20),))))
        assert MISSING["learning"] in page.text
        assert "role" in page.text

    def test_the_collectors_reason_comes_first(self):
        assert "Because I say so." in Page(render(bare(missing={"latents": "Because I say so."}))).text

    def test_one_measured_round_is_a_point(self):
        data = bare(rounds=(RoundRow(1, "random", 1, 20),), dice=(DiceValue(1, "lesion", "x", 0.5),), held_out_cases=("x",))
        page = Page(render(data))
        assert "Mean Dice over 1 held-out case is 0.50." in page.text
        assert MISSING["contour"] in page.text
        assert MISSING["minutes"] in page.text

    def test_dice_that_is_undefined_everywhere_is_a_dash(self):
        page = Page(render(bare(rounds=(RoundRow(1, "random", 1, 20),), dice=(DiceValue(1, "lesion", "x", None),))))
        assert "undefined in every held-out case" in page.text
        assert "\N{EN DASH}" in page.text

    def test_a_manifold_without_points_is_no_empty_box(self, full_report):
        none = dataclasses.replace(
            full_report.latents, points=np.zeros((0, 2)), states=np.zeros(0, np.uint8), case_of=np.zeros(0, int), cases=(), arrows=()
        )
        assert MISSING["latents"] in Page(render(bare(latents=none))).text

    def test_a_slice_without_a_contour_has_no_share(self, full_report):
        item = dataclasses.replace(full_report.gallery[0], effort=Effort(1, 0.0, 0.0, 0.0, 0.0, 9.0, 1))
        assert "retained contour undefined: no contour" in Page(render(bare(gallery=(item,)))).text


class TestWriting:
    def test_replaces_the_page_whole(self, tmp_path):
        path = tmp_path / "new" / "report.html"
        for title in ("first", "second"):
            write_report(path, dataclasses.replace(bare(), title=title))
        assert "<title>second</title>" in path.read_text(encoding="utf-8")
        assert list(path.parent.iterdir()) == [path]

    def test_a_folder_in_the_way_is_a_plain_sentence_and_leaves_nothing_behind(self, tmp_path):
        (tmp_path / "report.html").mkdir()
        with pytest.raises(StorageError, match=r"report\.html"):
            write_report(tmp_path / "report.html", bare())
        assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
