"""Model cards, written as Markdown by evaluation, as pages."""

from pathlib import Path

from markdown_it import MarkdownIt

from medgrid.report.site.render import render


def _reader() -> MarkdownIt:
    """CommonMark and tables, no HTML; a wide table scrolls in a box of its own."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.add_render_rule("table_open", lambda *_: '<div class="wide"><table>')
    reader.add_render_rule("table_close", lambda *_: "</table></div>")
    reader.add_render_rule("th_open", lambda self, tokens, i, *_: f'<th scope="col"{self.renderAttrs(tokens[i])}>')
    return reader


def write_cards(settings: dict, folder: Path, target: Path) -> list[dict]:
    """Write `target`/card-NAME.html for each `folder`/cards/NAME.md; returns names and links."""
    found = []
    for file in sorted((folder / "cards").glob("*.md")):
        text = file.read_text(encoding="utf-8")
        title = next((line.removeprefix("# ").strip() for line in text.splitlines() if line.startswith("# ")), "")
        page = render(
            "card.html",
            root="../",
            study=settings,
            title=title or f"Model card: {file.stem}",
            headed=bool(title),
            text=_reader().render(text),
        )
        link = f"card-{file.stem}.html"
        (target / link).write_text(page, encoding="utf-8")
        found.append({"name": title or file.stem, "link": link})
    return found
