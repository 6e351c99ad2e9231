"""The site in a real browser, opened from its folder alone: it works, is readable, and loads nothing else."""

import json
import math
import shutil
from functools import partial
from urllib.parse import unquote, urlparse

import factories
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from factories import CLAIM, COMPARISON
from playwright.sync_api import sync_playwright

from medgrid.report.site.index import write_index

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install Debian's package chromium"),
]

CLAIMS = {
    "margin": 0.01,
    "not_judged": [{"text": "Rates explain it.", "source": "discussion", "reason": "a possible cause"}],
    "judgements": 2,
    "claims": [
        CLAIM | {
            "name": "rate", "text": "A rate of 0.1 is best.", "source": "conclusions", "verdict": "supported",
            "on_average_only": True, "margins": [0, 0.006], "decisive": [0, 1, 2],
            "comparisons": [
                COMPARISON | {
                    "right": {"lr": [rate]}, "estimate": gain, "low": gain - 0.005, "high": gain + 0.005,
                    "p_support": p, "verdict": "supported",
                }
                for rate, gain, p in ((0.01, 0.02, 0.0002), (0.001, 0.1, 0.012), (0.0001, -0.03, 0.004))
            ],
        },
        CLAIM | {
            "name": "batch", "text": "Larger batches are slower.", "source": "text", "verdict": "contradicted",
            "verdict_in_study": "contradicted",
            "comparisons": [
                COMPARISON | {
                    "relation": "slower", "left": {"batch_size": [16]}, "metric": None, "unit": "times",
                    "estimate": 0.9, "low": 0.8, "high": 0.95, "p_support": 1, "verdict": "contradicted",
                    "negligible_below": None,
                }
            ],
        },
        CLAIM | {
            "name": "overfitting", "text": "It overfits.", "source": "figure 2",
            "needed": {"replicates": 12, "verdict": "supported", "probability": 0.83},
            "comparisons": [
                COMPARISON | {
                    "relation": "gap_above", "right": None, "metric": None, "details": {"value": 0.01},
                    "estimate": -1.3, "low": None, "high": None, "p_support": None, "unit": "nats",
                    "negligible_below": None,
                }
            ],
        },
        CLAIM | {
            "name": "vgg", "text": "VGG16 is best.", "verdict": "not_run", "verdict_in_study": "not_run",
            "comparisons": [
                COMPARISON | dict.fromkeys(("estimate", "low", "high", "p_support", "p_against_corrected")) | {
                    "verdict": "not_run", "missing": "not_run",
                }
            ],
        },
    ],
}  # fmt: skip
CARD = """# Model card: the best one

## Data

Some <b>text</b>.

| metric | mean |
|---|---:|
| accuracy | 91.98 |
"""
DIVERGED = "batch_size=8_lr=0.1"
SIZES = {"phone": 390, "desktop": 1280}


def _write_more(study) -> None:
    """Verdicts, comparisons and a card with more content than artificial predictions would give."""
    (study / "tables/claims.json").write_text(json.dumps(CLAIMS))
    pairs = pd.DataFrame({"first": ["a", "b"] * 20, "difference": [i / 7 for i in range(40)], "verdict": "open"})
    pairs.to_csv(study / "tables/comparisons.csv", index=False)
    (study / "cards" / "best.md").write_text(CARD)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site's folder, without results: two studies, one of them with everything that a page can show."""
    results = tmp_path_factory.mktemp("results")
    entries = [
        {"source": "the table", "by": ["batch_size", "lr"], "metrics": ["test_accuracy"], "rows": [[8, 0.1, 0.5]]}
    ]
    axes = {"batch_size": [8, 16], "lr": [0.1, 0.01, 0.001, 0.0001]}
    for name, published, diverged in (("full", entries, ((DIVERGED, 0), (DIVERGED, 1))), ("bare", [], ())):
        manifest, jobs = factories.settings_of(factories.small(axes, published=published), "odd")
        manifest = manifest.model_copy(update={"study": name, "title": f"Study {name}"})
        factories.write_study(results / name, manifest, jobs, diverged)
        more = partial(_write_more, results / name) if name == "full" else None
        factories.finish(results / name, manifest, figures=name == "full", site=True, before_page=more)
    write_index({"studies": ["full", "bare"]}, str(results))
    alone = tmp_path_factory.mktemp("alone") / "sent"
    shutil.move(results / "report", alone)
    for table in ("curves", "cells", "comparisons"):
        shutil.copy(alone / f"full/tables/{table}.csv", alone.parent)
    shutil.copy(results / "full/images.csv", alone.parent)
    shutil.rmtree(results)
    return alone


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, site):
    """Opens pages; at the end there must be no error, and no request outside the folder."""
    contexts, complaints = [], []

    def visit(path: str, width: int = 1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.on(
            "request", lambda request: request.url.startswith(("file:", "data:")) or complaints.append(request.url)
        )
        page.goto((site / path).as_uri())
        if options.get("java_script_enabled", True) and page.locator("[data-curves]").count():
            page.wait_for_selector(".plot[data-across]")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []


PAGES = ["index.html", "full/index.html", "full/card-best.html", "bare/index.html"]


def column(table, place: int) -> list[str]:
    """What the visible cells of a column say first."""
    return table.evaluate(
        "(table, i) => [...table.tBodies[0].rows].filter((row) => !row.hidden)"
        ".map((row) => row.cells[i].firstChild.textContent.trim())",
        place,
    )


@pytest.mark.parametrize("path", PAGES)
def test_links_resolve(visit, site, path):
    page = visit(path)
    links = page.eval_on_selector_all(
        "a[href], link[href], script[src]", "all => all.map((each) => each.href || each.src)"
    )
    assert len(links) > 3
    for link in map(urlparse, links):
        assert link.scheme == "file"
        target = site / unquote(link.path)
        assert target.is_relative_to(site)  # the folder can be sent alone
        assert target.is_file()
        if link.fragment:
            assert f'id="{link.fragment}"' in target.read_text()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES.values(), ids=SIZES)
def test_accessible(visit, path, scheme, width):
    page = visit(path, width, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").count() == page.locator("main").count() == 1
    # preload: axe would fetch the style again, which a page from a file may not
    found = Axe().run(page, options={"preload": False}).response["violations"]
    assert [
        (each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")
    ] == []


def test_the_keyboard_skips_to_the_content(visit):
    page = visit("full/index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.tagName") == "MAIN"


def test_tables_sort_by_mouse_and_keyboard(visit, site):
    page = visit("full/index.html")
    table = page.locator("section:has(#results) table")
    head = table.locator("thead th", has_text="accuracy %").first
    place = head.evaluate("head => head.cellIndex")
    cells = pd.read_csv(site.parent / "cells.csv").query("checkpoint == 'best' and diverged < replicates")
    means = [f"{100 * mean:.2f}" for mean in sorted(cells["test_accuracy_mean"])]
    assert len(means) == 7
    assert column(table, place) == [*means[::-1], "diverged"]
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(table, place) == [*means, "diverged"]
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(table, place) == [*means[::-1], "diverged"]
    rates = table.locator("thead th", has_text="learning rate")
    rates.get_by_role("button").click()
    assert column(table, 1) == ["0.0001", "0.0001", "0.001", "0.001", "0.01", "0.01", "0.1", "0.1"]
    assert table.locator("[aria-sort]").count() == 1
    # estimates and probabilities with their units
    behind = page.locator(".claim table").first
    for name, order in (("estimate", [-3, 2, 10]), ("p", [0.001, 0.004, 0.012])):
        button = behind.get_by_role("button", name=name, exact=True)
        button.click()
        found = column(behind, button.evaluate("button => button.parentElement.cellIndex"))
        assert [float(value.split()[-1 if name == "p" else 0].replace("\u2212", "-")) for value in found] == order


def test_tables_filter(visit):
    page = visit("full/index.html")
    results = page.locator("section:has(#results)")
    table, count = results.locator("table"), results.locator("output")
    assert count.text_content() == "8 rows"
    results.get_by_label("learning rate").select_option("0.01")
    assert column(table, 1) == ["0.01", "0.01"]
    results.get_by_label("batch size").select_option("16")
    assert column(table, 0) == ["16"]
    assert count.text_content() == "1 of 8 rows"
    for name in ("learning rate", "batch size"):
        results.get_by_label(name).select_option("all")
    results.get_by_label("Filter rows").fill("DIVERGED")
    assert column(table, 1) == ["0.1"]
    results.get_by_label("Filter rows").fill("")
    assert count.text_content() == "8 rows"


def test_claims_are_reported_with_their_numbers(visit):
    page = visit("full/index.html")
    assert page.locator(".tally").inner_text().split() == [
        "1", "✓", "supported", "1", "✗", "contradicted", "1", "○", "open", "1", "–",  # noqa: RUF001
        "not", "run",
    ]  # fmt: skip
    first = page.locator(".claim").first.inner_text()
    assert "2.00 percentage points" in first
    assert "1.50 to 2.50" in first
    assert "< 0.001" in first
    assert "on average only" in first
    assert "margins up to 0.60 points" in first
    assert "it is open" in first
    third = page.locator(".claim").nth(2).inner_text()
    assert "With 12 replicates, the verdict would be “supported” with a probability of 83 %" in third
    assert "−1.3 nats" in third  # noqa: RUF001
    assert "judged 2 times" in page.locator("section", has_text="Did the claims hold?").inner_text()
    left_out = page.locator("h3", has_text="Not judged").locator("+ ul")
    assert left_out.inner_text() == "Rates explain it. Asserted in: discussion. Not judged: a possible cause."
    index = visit("index.html")
    assert index.locator("#full .claims li").all_inner_texts() == [
        "✓ supported\nA rate of 0.1 is best. (on average only)",
        "✗ contradicted\nLarger batches are slower.",
        "○ open\nIt overfits.",
        "– not run\nVGG16 is best.",  # noqa: RUF001
    ]
    assert index.locator("#bare .claims").count() == 0
    assert visit("bare/index.html").locator("#claims").count() == 0


def drawn(page, across: str) -> None:
    page.wait_for_selector(f".plot[data-across={across}]")


def test_curves_are_read_off_by_epoch_and_by_step(visit, site):
    page = visit("full/index.html")
    box = page.locator(".explore")
    curves = pd.read_csv(site.parent / "curves.csv")
    parts = pd.read_csv(site.parent / "images.csv")["part"]
    steps = {size: math.ceil((parts == "train").sum() / size) for size in (8, 16)}
    slider = box.get_by_role("slider")
    assert slider.get_attribute("max") == str(curves["epoch"].max()) == "4"
    labels = box.locator(".canvas svg text").all_text_contents()
    assert "epochs" in labels
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext") == "epoch 3"
    table = box.locator("table")
    row = table.locator("tbody tr", has_text="batch size 16, learning rate 0.01").filter(has_not_text="0.001").first
    own = curves[(curves["cell"] == "batch_size=16_lr=0.01") & (curves["epoch"] == 3)].iloc[0]
    cells = row.locator("td").all_inner_texts()
    assert cells[0] == "3"
    assert float(cells[1]) == pytest.approx(own["validation_loss_mean"], rel=1e-3)
    assert [float(end) for end in cells[2].split(" to ")] == pytest.approx(
        [own["validation_loss_min"], own["validation_loss_max"]], rel=1e-3
    )
    # the same numbers of steps are other numbers of epochs
    before = box.locator(".canvas svg").inner_html()
    box.get_by_label("horizontal axis").select_option("steps")
    drawn(page, "steps")
    assert slider.get_attribute("max") == str(4 * steps[8])
    assert "optimizer steps" in box.locator(".canvas svg text").all_text_contents()
    assert box.locator(".canvas svg").inner_html() != before
    slider.focus()
    page.keyboard.press("Home")
    for _ in range(4 * steps[16] // min(steps.values()) - 1):
        page.keyboard.press("ArrowRight")
    at = int(slider.get_attribute("aria-valuetext").removeprefix("step "))
    small = table.locator("tbody tr", has_text="batch size 8, learning rate 0.0001").locator("td").first
    large = table.locator("tbody tr", has_text="batch size 16, learning rate 0.0001").locator("td").first
    assert large.inner_text() == str(round(at / steps[16])) == "4"
    assert small.inner_text() == str(round(at / steps[8]))
    assert int(small.inner_text()) < 4
    page.keyboard.press("End")
    assert large.inner_text() == "ended"


def test_curves_are_selected_by_value_part_and_quantity(visit, site):
    page = visit("full/index.html")
    box = page.locator(".explore")
    rows = box.locator("table tbody tr")
    assert rows.count() == 8
    box.get_by_role("group", name="batch size").get_by_label("8", exact=True).uncheck()
    page.wait_for_function("document.querySelectorAll('.explore tbody tr').length === 4")
    assert "4 of 8 cells selected." in box.inner_text()
    box.get_by_label("images").select_option("both")
    page.wait_for_function("document.querySelectorAll('.explore tbody tr').length === 8")
    box.get_by_label("quantity").select_option("accuracy")
    page.wait_for_function("document.querySelector('.explore tbody td + td').textContent.endsWith('%')")
    curves = pd.read_csv(site.parent / "curves.csv").set_index(["cell", "epoch"])
    own = curves.loc[("batch_size=16_lr=0.1", 4)]
    values = [row.split("\t")[2] for row in rows.all_inner_texts()[:2]]
    means = [100 * own[f"{part}_accuracy_mean"] for part in ("validation", "train")]
    assert [float(value.removesuffix(" %")) for value in values] == pytest.approx(means, abs=0.06)
    ticks = box.locator(".canvas svg").inner_html()
    box.get_by_label("vertical scale").select_option("log")
    page.wait_for_function("(old) => document.querySelector('.canvas svg').innerHTML !== old", arg=ticks)
    for rate in ("0.1", "0.01", "0.001", "0.0001"):
        box.get_by_role("group", name="learning rate").get_by_label(rate, exact=True).uncheck()
    page.wait_for_function("document.querySelectorAll('.explore tbody tr').length === 0")
    assert "No cell has these values" in box.inner_text()


def test_the_pointer_reads_curves(visit):
    page = visit("full/index.html")
    caption = page.locator(".explore caption")
    assert "At epoch 4" in caption.inner_text()
    canvas = page.locator(".canvas svg")
    canvas.scroll_into_view_if_needed()
    place = canvas.bounding_box()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.wait_for_function("!document.querySelector('.explore caption').textContent.includes('epoch 4')")
    assert "At epoch 2" in caption.inner_text()
    # the rule stands there
    assert page.locator(".canvas svg .mark-rule.role-mark line").count() == 1


def test_pages_are_whole_without_script(visit):
    page = visit("full/index.html", java_script_enabled=False)
    assert page.locator("section:has(#results) tbody tr:visible").count() == 8
    assert page.locator("section:has(#comparisons) tbody tr:visible").count() == 40
    assert page.locator("section:has(#interactions) tbody tr:visible").count() == 1 + 4  # F test, effects
    assert page.locator("section:has(#batch-sizes) tbody tr:visible").count() == 16  # 8 cells, seen two ways
    assert page.locator("section:has(#curves) figure img:visible").count() >= 1
    assert not page.locator(".explore").is_visible()
    assert page.locator(".controls, th button").count() == 0


def test_paper_has_no_controls_and_all_rows(visit):
    page = visit("full/index.html")
    page.emulate_media(media="print")
    for part in (".explore", ".controls", ".contents", ".bar"):
        assert not page.locator(part).first.is_visible()
    long = page.locator(".wide.long").first
    assert long.evaluate("box => getComputedStyle(box).overflowY") == "visible"
    assert long.evaluate("box => box.scrollHeight <= box.clientHeight + 1")
    assert page.locator("section:has(#curves) figure img").first.is_visible()
    assert len(page.pdf()) > 10_000


def test_a_card_is_text_not_markup(visit):
    page = visit("full/card-best.html")
    assert page.locator("h1").inner_text() == "Model card: the best one"
    assert "Some <b>text</b>." in page.locator("main").inner_text()
    assert page.locator(".wide table td").all_inner_texts() == ["accuracy", "91.98"]
