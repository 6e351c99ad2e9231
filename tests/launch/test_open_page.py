"""`medgrid open`: the page, or what to do when there is none."""

import webbrowser

import pytest

from medgrid.launch import open_page
from medgrid.utils.errors import MedgridError


def test_pages_are_found_or_the_error_says_how_to_make_them(tmp_path):
    with pytest.raises(MedgridError, match="has no pages yet; create them: medgrid run -- STUDY"):
        open_page.page_path(str(tmp_path))
    page = tmp_path / "report/grid/index.html"
    page.parent.mkdir(parents=True)
    page.touch()
    assert open_page.page_path(str(tmp_path), "grid") == page
    with pytest.raises(MedgridError, match="'other' has no page in .*, which has grid"):
        open_page.page_path(str(tmp_path), "other")
    with pytest.raises(MedgridError, match="does not exist; create it: medgrid run -- grid"):
        open_page.page_path(str(tmp_path))
    (tmp_path / "report/index.html").touch()
    assert open_page.page_path(str(tmp_path)) == tmp_path / "report/index.html"


@pytest.mark.parametrize("display", ["DISPLAY", "WAYLAND_DISPLAY", ""])
def test_a_browser_opens_where_there_is_a_display(tmp_path, monkeypatch, capsys, display):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if display:
        monkeypatch.setenv(display, ":0")
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(open_page.sys, "platform", "linux")
    open_page.open_page(tmp_path / "index.html")
    url = (tmp_path / "index.html").as_uri()
    assert capsys.readouterr().out == f"{url}\n"
    assert opened == ([url] if display else [])
