"""The report in a real browser: what a reader sees and does."""

from collections.abc import Callable
from typing import Any

import pytest

from nnunetv2_hypersort.report.content import Note, ReportContent

MakeContent = Callable[..., ReportContent]
OpenPage = Callable[..., Any]
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


def hover(page: Any, plot: str, case: str) -> None:
    """Move the pointer onto a case in a plot, again and again while the page is still being drawn."""
    for _ in range(120):
        x, y = _place_of(page, plot, case)
        page.mouse.move(x - 30, y)
        page.mouse.move(x - 3, y)
        page.mouse.move(x, y)
        page.wait_for_timeout(500)
        if page.locator("#hover").is_visible():
            return


def _place_of(page: Any, plot: str, case: str) -> tuple[float, float]:
    page.locator(f"#{plot}").scroll_into_view_if_needed()
    x, y = page.evaluate(
        """([plot, id]) => {
            const node = document.getElementById(plot), box = node.getBoundingClientRect();
            const { xaxis, yaxis } = node._fullLayout;
            const row = JSON.parse(document.getElementById("data").textContent).cases.findIndex((one) => one.id === id);
            const trace = node.data.find((one) => one.customdata && [...one.customdata].includes(row));
            const at = [...trace.customdata].indexOf(row);
            const x = box.left + xaxis._offset + xaxis.l2p(trace.x[at]);
            return [x, box.top + yaxis._offset + yaxis.l2p(trace.y[at])];
        }""",
        [plot, case],
    )
    return x, y


def names_in_table(page: Any) -> list[str]:
    """The cases in the order of the table."""
    return list(page.locator("td.case").all_inner_texts())


def test_pointing_at_a_case_shows_what_is_known_of_it(open_page: OpenPage, make_content: MakeContent) -> None:
    page = open_page(make_content())
    hover(page, "map-plot", "case_04")
    box = page.locator("#hover")
    box.wait_for(state="visible")
    text = box.inner_text()
    assert "case_04" in text
    assert "Quality\n0.364" in text  # 4 / 11
    assert "Style\nA" in text
    assert box.locator("image").get_attribute("href").startswith("data:image/webp")
    assert box.locator("path.label").get_attribute("d").startswith("M")
    assert box.locator("path.prediction").get_attribute("d").startswith("M")
    assert page.faults == []


def test_the_map_is_coloured_by_a_column_of_the_user(open_page: OpenPage, make_content: MakeContent) -> None:
    page = open_page(make_content())
    page.select_option("#map-colour", label="scanner")
    assert page.locator("#map-legend").inner_text().split("\n") == ["new (7)", "old (4)"]
    colours = page.evaluate(
        """() => { const { marker, customdata } = document.getElementById("map-plot").data[0];
                   return Object.fromEntries(customdata.map((row, at) => [row, marker.color[at]])); }"""
    )
    assert colours["0"] == colours["3"] != colours["4"] == colours["10"]
    page.locator("#map-legend button").first.click()
    left = page.evaluate("""() => [...document.getElementById("map-plot").data[0].customdata]""")
    assert sorted(left) == [0, 1, 2, 3]


def test_the_other_fold_is_drawn(open_page: OpenPage, make_content: MakeContent) -> None:
    page = open_page(make_content())
    page.select_option("#map-fold", label="1")
    page.select_option("#map-colour", label="scanner")
    assert page.locator("#map-legend").inner_text().split("\n") == ["new (7)", "old (3)", "not given (1)"]
    drawn = page.evaluate("""() => [...document.getElementById("map-plot").data[0].customdata]""")
    assert sorted(drawn) == [*range(1, 12)]
    assert page.locator("#training-fold").inner_text() == "1"


def test_latents_move_with_the_epoch(open_page: OpenPage, make_content: MakeContent) -> None:
    page = open_page(make_content())
    xs = """() => { const { x, customdata } = document.getElementById("training-plot").data.at(-1);
                    return x[customdata.indexOf(1)]; }"""
    assert page.evaluate(xs) == pytest.approx(2.0)
    page.locator("#training-epoch").fill("1")
    assert page.locator("#training-shown").inner_text() == "10"
    assert page.evaluate(xs) == pytest.approx(0.5)


def test_the_table_sorts_and_filters(open_page: OpenPage, make_content: MakeContent) -> None:
    page = open_page(make_content())
    worst_first = [f"case_{number:02d}" for number in range(12)]
    assert names_in_table(page) == worst_first
    page.get_by_role("columnheader", name="Quality").get_by_role("button").click()
    page.get_by_role("columnheader", name="Quality").get_by_role("button").click()
    assert names_in_table(page) == worst_first[::-1]
    page.locator("#cases-filter").fill("old")
    assert names_in_table(page) == worst_first[3::-1]
    page.select_option("#cases-style", label="B")
    assert names_in_table(page) == ["case_03", "case_01"]
    page.locator("#cases-quality").fill("0.2")
    assert names_in_table(page) == ["case_01"]
    assert page.locator("#cases-count").inner_text() == "1 of 12 cases"
    page.get_by_role("button", name="case_01", exact=True).click()
    assert "reason 1" in page.locator("#case-dialog").inner_text()


def test_the_slider_moves_the_contour_between_two_styles(open_page: OpenPage, make_content: MakeContent) -> None:
    content = make_content()
    page = open_page(content)
    contour = page.locator("#between-picture path.here")
    steps = content.lines[0].steps
    assert contour.get_attribute("d") == steps[0].contours
    page.locator("#between-place").fill("5")
    assert contour.get_attribute("d") == steps[5].contours
    # From 10 ml at the first style to 15 ml half-way.
    assert page.locator("#between-volume").inner_text() == "50 % of the way, 15 ml (+50 % against A)"


def test_each_style_has_a_card_with_its_cases(open_page: OpenPage, make_content: MakeContent) -> None:
    page = open_page(make_content())
    cards = page.locator(".style-card")
    assert cards.locator("h3").all_inner_texts() == ["A\n6 cases", "B\n5 cases"]
    assert "case_02 (middle)" in cards.nth(0).inner_text()
    assert cards.nth(0).locator(".frame image").count() == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(
    open_page: OpenPage, make_content: MakeContent, width: int, scheme: str
) -> None:
    page = open_page(make_content("a_rather_long_identifier_of_a_case_from_some_hospital_"), width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor").strip("rgb()").split(",")
    assert (sum(map(int, ground)) < 200) == (scheme == "dark")
    assert page.faults == []


def test_names_stay_text(open_page: OpenPage, make_content: MakeContent) -> None:
    plain = make_content()
    content = make_content(
        HOSTILE,
        style_names=(HOSTILE, "B"),
        dataset=HOSTILE,
        training=HOSTILE,
        notes=(Note(HOSTILE, HOSTILE),),
    )
    page = open_page(content)
    page.select_option("#map-colour", label="scanner")
    page.locator("td.case button").first.click()
    assert page.locator("#case-title").inner_text() == HOSTILE + "00"
    assert page.locator("h1").inner_text() == HOSTILE
    page.wait_for_timeout(200)
    assert page.faults == []
    elements = """() => [...document.querySelectorAll("img, script")].length"""
    assert page.evaluate(elements) == open_page(plain).evaluate(elements)


def test_no_button_sends_the_data_away(open_page: OpenPage, make_content: MakeContent) -> None:
    page = open_page(make_content())
    buttons = page.locator("#map-plot .modebar-btn")
    names = [button.get_attribute("data-title") for button in buttons.all()]
    assert names == ["Download plot as a PNG", "Zoom", "Pan", "Zoom in", "Zoom out", "Reset axes"]


def test_scripts_that_get_into_the_page_do_not_run(open_page: OpenPage, make_content: MakeContent) -> None:
    page = open_page(make_content())
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')")
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None


def test_a_model_without_anything_but_latents(open_page: OpenPage, make_content: MakeContent) -> None:
    bare: dict[str, Any] = {"styles": (), "ranking": {}, "columns": (), "pictures": {}, "lines": ()}
    content: ReportContent = make_content(**bare, prediction_fold="")
    page = open_page(content)
    assert page.locator("#map-colour option").all_inner_texts() == ["Loss"]
    assert page.locator("#between").count() == page.locator("#styles").count() == 0
    assert len(names_in_table(page)) == 12
    assert "Something is missing." in page.locator("#notes").inner_text()
    assert page.faults == []
