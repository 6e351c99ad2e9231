"""Model cards as pages, from the Markdown that `medgrid.report.model_card` writes."""

from pathlib import Path

from markdown_it import MarkdownIt

from medgrid.grid.manifest import StudyManifest
from medgrid.report.site.render import render


def _parser() -> MarkdownIt:
    """CommonMark and tables, no HTML; a wide table scrolls in a box of its own."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", lambda *_: '<div class="wide"><table>')
    parser.add_render_rule("table_close", lambda *_: "</table></div>")
    parser.add_render_rule("th_open", lambda self, tokens, i, *_: f'<th scope="col"{self.renderAttrs(tokens[i])}>')
    return parser


def write_cards(manifest: StudyManifest, folder: Path, target: Path) -> list[dict[str, str]]:
    """Write `target`/card-NAME.html for each `folder`/cards/NAME.md; returns names and links."""
    cards = []
    for file in sorted((folder / "cards").glob("*.md")):
        text = file.read_text(encoding="utf-8")
        title = next((line.removeprefix("# ").strip() for line in text.splitlines() if line.startswith("# ")), "")
        link = f"card-{file.stem}.html"
        values = {"title": title or f"Model card: {file.stem}", "has_heading": bool(title)}
        page = render("card.html", root="../", study=manifest, text=_parser().render(text), **values)
        (target / link).write_text(page, encoding="utf-8")
        cards.append({"name": title or file.stem, "link": link})
    return cards
