"""The registry of figures: a module is enough to add one, and none can be missing from the page."""

import sys

import factories
import matplotlib.pyplot as plt
import pytest

import medgrid.report.figures as package
from medgrid.report.figures.registry import SECTIONS, Figure, registered
from medgrid.report.figures.write import write_figures
from medgrid.report.site.figures import figures_by_section
from medgrid.report.site.page import facts_of_images, write_page
from medgrid.utils.errors import MedgridError

MODULE = """
import matplotlib.pyplot as plt

from medgrid.report.figures.registry import Figure


def epochs(study, model):
    figure, axes = plt.subplots()
    axes.hist(study.best_replicates["epochs"])
    return figure, study.note(study.best)


FIGURE = Figure(
    name="epochs",
    caption="Epochs of every replicate.",
    draw=epochs,
    variants=lambda study: {model or "": (model,) for model in study.models},
)
"""


@pytest.fixture
def add_module(tmp_path, monkeypatch):
    """Add a module to the package of figures."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    names = []

    def add(name: str, text: str) -> None:
        (folder / f"{name}.py").write_text(text)
        names.append(name)

    yield add
    for name in names:
        sys.modules.pop(f"{package.__name__}.{name}", None)
        vars(package).pop(name, None)


@pytest.mark.slow
def test_a_figure_is_added_with_one_module(tmp_path, add_module):
    add_module("epochs_histogram", MODULE)
    axes = {"model": ["resnet18", "vgg16"], "lr": [0.1]}
    study = factories.evaluated(tmp_path / "study", factories.small(axes, models=("resnet18", "vgg16")))
    write_figures(study.manifest, str(study.folder), str(study.split), str(study.tensors))
    write_page(study, facts_of_images(study.manifest, study.split, study.split), str(tmp_path / "site"))
    page = (tmp_path / "site/odd/index.html").read_text()
    for model in ("resnet18", "vgg16"):
        assert (study.folder / f"figures/epochs-{model}.png").exists()
        assert f'src="figures/epochs-{model}.png"' in page
    assert "Epochs of every replicate." in page


@pytest.mark.parametrize("diverged", [(), pytest.param((("lr=0.1", 0), ("lr=0.1", 1)), marks=pytest.mark.slow)])
def test_every_figure_is_on_the_page_with_its_caption(tmp_path, diverged):
    _, page = factories.finished(tmp_path, factories.small({"lr": [0.1]}), diverged=diverged)
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names >= {"ranking.png", "confusion.png", "roc.png", "samples.png"}
    for name in names:
        assert f'src="figures/{name}"' in page
    captions = [figure.caption for figure in registered() if figure.files(tmp_path / "figures")]
    assert all(caption in page for caption in captions)


def test_a_file_of_no_figure_is_an_error(tmp_path):
    folder = tmp_path / "figures"
    folder.mkdir()
    plt.figure().savefig(folder / "other.png")
    with pytest.raises(MedgridError, match=r"other\.png belongs to no registered figure"):
        figures_by_section(tmp_path, tmp_path / "page")


def test_the_order_is_that_of_the_page():
    names = [figure.name for figure in registered()]
    assert names == [
        "claims", "ranking", "heatmap", "curves", "published", "confusion", "reliability", "roc", "class_counts",
        "samples", "auc_batch_size", "best_worst", "accuracy_parameters", "speed",
    ]  # fmt: skip
    assert {figure.section for figure in registered()} == set(SECTIONS)


def test_a_module_without_a_figure_is_an_error(add_module):
    add_module("forgotten", "")
    with pytest.raises(TypeError, match="forgotten registers no figure"):
        registered()


def test_names_are_unique(add_module):
    add_module("another", MODULE.replace('"epochs"', '"roc"'))
    with pytest.raises(ValueError, match="two modules register a figure named roc"):
        registered()


@pytest.mark.parametrize("wrong", [{"section": "elsewhere"}, {"name": "a-b"}])
def test_names_and_sections_are_checked(wrong):
    with pytest.raises(ValueError, match="figure "):
        Figure(**{"name": "a", "caption": "", "draw": plt.figure} | wrong)
