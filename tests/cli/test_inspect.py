"""`dynsample inspect`: the table, the page, and the page in a browser."""

from __future__ import annotations

import html.parser
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from browser import needs_browser, shown

import dynsample as ds
from dynsample import cli, groups
from dynsample.report import Report

pytest.importorskip("rich")
pytest.importorskip("matplotlib")
image = pytest.importorskip("PIL.Image")

N, SIDE, CLASSES, EPOCHS = 240, 8, 4, 4
LABELS = np.arange(N) % CLASSES


def train(folder: Path | Report, epochs: int = EPOCHS) -> None:
    policy = ds.Kakurenbo(fraction=0.4)
    sampler = ds.Sampler(N, policy, 32, group=groups.single(), report=folder)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for samples in (sampler, sampler.hidden):
            for index in samples:
                loss = ((index * 7919 + epoch * 31) % 241 / 40).astype(np.float32)
                sure = (1 - loss / 12).astype(np.float32)
                right = (loss < 5).astype(np.float32)
                sampler.observe(index, loss=loss, correct=right, confidence=sure)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report")
    train(Report(path, labels=LABELS))
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "images.npz"
    pixels = np.random.default_rng(0).integers(0, 256, (N, SIDE, SIDE), np.uint8)
    np.savez(path, images=pixels, labels=LABELS)
    return path


@pytest.fixture(scope="module")
def page(folder: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "run.html"
    assert cli.main(["inspect", str(folder), "--images", str(images), "--html", str(path)]) == 0
    return path


class Elements(html.parser.HTMLParser):
    """Start tags with their attributes, and whether all that is opened is closed."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_the_table_says_what_every_epoch_did(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["inspect", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "Kakurenbo on 240 samples, 4 epochs" in text
    assert re.search(r"^ *3 +\d+ +\d+\.\d% +\d+", text, re.MULTILINE)
    assert "over 3 timed epochs" in text
    assert "Epoch 3 hides most of class" in text


def test_the_page_needs_nothing_beside_it(page: Path) -> None:
    elements = Elements(page.read_text())
    assert not elements.open
    assert not elements.all("script")
    for _, attributes in elements.found:
        for name in ("src", "href", "xlink:href"):
            value = attributes.get(name, "data:")
            assert value.startswith(("data:", "#")), value
    assert "@import" not in page.read_text()


def test_every_id_is_there_once_and_every_reference_is_met(page: Path) -> None:
    elements = Elements(page.read_text())
    ids = Counter(attributes["id"] for _, attributes in elements.found if "id" in attributes)
    assert max(ids.values()) == 1
    for _, attributes in elements.found:
        for value in attributes.values():
            for reference in re.findall(r"url\(#([^)]+)\)", value):
                assert reference in ids
        if attributes.get("xlink:href", "").startswith("#"):
            assert attributes["xlink:href"][1:] in ids


def test_charts_and_pictures_have_a_text_beside_them(page: Path) -> None:
    elements = Elements(page.read_text())
    charts = [chart for chart in elements.all("svg") if chart.get("role") == "img"]
    ids = {attributes.get("id") for _, attributes in elements.found}
    assert len(charts) == 6  # balance, hidden, classes, and three columns
    for chart in charts:
        assert set(chart["aria-labelledby"].split()) <= ids
    pictures = elements.all("img")
    assert len(pictures) >= 28
    for picture in pictures:
        assert re.match(r"(hardest|easiest|came back): sample \d+, class \d", picture["alt"])


def test_no_colour_is_left_that_only_one_scheme_can_show(page: Path) -> None:
    body = page.read_text().partition("<body>")[2]
    assert set(re.findall(r"(?:fill|stroke): *(#\w+)", body)) <= {"#000000"}  # of empty shapes
    assert "var(--ink)" in body


def test_classes_are_counted_afterwards_from_the_hidden_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(Report(tmp_path / "run", hidden=True))
    assert cli.main(["inspect", str(tmp_path / "run")]) == 0
    assert "The classes are not known" in capsys.readouterr().out
    np.save(tmp_path / "labels.npy", LABELS)
    listed = tmp_path / "files.txt"
    listed.write_text("".join(f"a/{i}.png {label}\n" for i, label in enumerate(LABELS)))
    for labels in (tmp_path / "labels.npy", listed):
        assert cli.main(["inspect", str(tmp_path / "run"), "--labels", str(labels)]) == 0
        assert "Epoch 3 hides most of class" in capsys.readouterr().out


def test_pictures_of_a_tree_and_of_a_list(tmp_path: Path, folder: Path) -> None:
    names = []
    for i, label in enumerate(LABELS):
        name = f"class-{label}/{i:04d}.jpg"
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        image.new("RGB", (200, 100), (i, 0, 0)).save(tmp_path / "tree" / name)
        names.append(f"{name} {label}\n")
    listed = tmp_path / "files.txt"
    listed.write_text("".join(names))
    for more in ([], ["--labels", str(listed)]):
        out = tmp_path / "page.html"
        arguments = ["--images", str(tmp_path / "tree"), *more, "--html", str(out)]
        assert cli.main(["inspect", str(folder), *arguments]) == 0
        assert "data:image/jpeg;base64," in out.read_text()
        pictures = Elements(out.read_text()).all("img")
        assert all(picture["title"] in picture["alt"] for picture in pictures)
        assert all(f"<br>{picture['title']}</li>" in out.read_text() for picture in pictures)
        names = {name.split()[0] for name in names}
        assert {picture["title"] for picture in pictures} <= names


def test_the_folders_of_a_tree_name_the_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = ["cat", "dog & <b>", "eel", "\x1b[31mfox"]
    for label, kind in enumerate(kinds):
        (tmp_path / "tree" / kind).mkdir(parents=True)
        for i in range(N // 4):
            image.new("RGB", (40, 40), (i, label, 0)).save(
                tmp_path / "tree" / kind / f"{i:03d}.png"
            )
    train(Report(tmp_path / "run", hidden=True))
    arguments = ["inspect", str(tmp_path / "run"), "--images", str(tmp_path / "tree")]
    assert cli.main(arguments) == 0
    said = re.search(r"hides most of class (.*) \(\d+%\) and least", capsys.readouterr().out)
    assert said is not None
    assert said[1] in {"cat", "dog & <b>", "eel", "\\x1b[31mfox"}
    out = tmp_path / "page.html"
    assert cli.main([*arguments, "--html", str(out)]) == 0
    text = out.read_text()
    assert re.search(r"sample \d+, class (cat|eel)<br>", text)
    assert "class dog &amp; &lt;b&gt;" in text
    assert "\x1b" not in text
    assert not Elements(text).open
    train(tmp_path / "plain")
    out.unlink()
    arguments[1] = str(tmp_path / "plain")
    assert cli.main([*arguments, "--html", str(out)]) == 0
    for said in (capsys.readouterr().out, out.read_text()):
        assert "The report does not say which samples were hidden" in said
    assert re.search(r"sample \d+, class (cat|eel)<br>", out.read_text())


def test_other_labels_than_those_of_the_tree_have_no_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, label in enumerate(LABELS):  # in the tree the first N // 4 are of one class
        (tmp_path / "tree" / f"kind-{label}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / f"kind-{label}" / f"{i}.png").touch()
    train(Report(tmp_path / "run", labels=LABELS))
    assert cli.main(["inspect", str(tmp_path / "run"), "--images", str(tmp_path / "tree")]) == 0
    assert re.search(r"hides most of class \d ", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((N, 8, 8), "f4"), ((N, 1, 8, 8), "f4"), ((N, 3, 40, 40), "f4"), ((N, 40, 40, 3), "u1")],
)
def test_arrays_of_any_usual_shape_are_pictures(
    tmp_path: Path, folder: Path, shape: tuple[int, ...], dtype: str
) -> None:
    np.savez(tmp_path / "a.npz", pixels=np.ones(shape, dtype), other=np.ones(3))
    out = tmp_path / "page.html"
    arguments = ["--images", str(tmp_path / "a.npz"), "--html", str(out)]
    assert cli.main(["inspect", str(folder), *arguments]) == 0
    assert "<img" in out.read_text()


def test_a_run_of_one_epoch_has_a_page(tmp_path: Path) -> None:
    train(tmp_path / "run", epochs=1)
    out = tmp_path / "page.html"
    assert cli.main(["inspect", str(tmp_path / "run"), "--html", str(out)]) == 0
    assert "not timed yet" in out.read_text()
    assert not Elements(out.read_text()).open


def test_what_is_wrong_is_named(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "epochs.jsonl").touch()
    ds.Sampler(N).save(tmp_path / "state")
    np.savez(tmp_path / "flat.npz", a=np.ones(3))
    np.savez(tmp_path / "few.npz", a=np.ones((2, 4, 4)))
    np.savez(tmp_path / "two.npz", train=np.ones((N, 4, 4)), test=np.ones((2, 4, 4)))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "few.npz").read_bytes()[:-30])
    np.save(tmp_path / "more.npy", np.zeros(N + 1, np.int64))
    (tmp_path / "one.npz").write_bytes((tmp_path / "more.npy").read_bytes())
    (tmp_path / "cut.npy").touch()
    (tmp_path / "odd.txt").write_text("a.jpg 1\na.jpg 1_2\n")
    out = str(tmp_path / "page.html")
    for arguments, message in (
        ([tmp_path / "empty"], "holds no report: there is no epochs.jsonl"),
        ([tmp_path / "missing"], "holds no report: there is no epochs.jsonl"),
        ([tmp_path / "state"], "it is a saved state, and Sampler(report=) writes a report to"),
        ([tmp_path / "none"], "no epoch is recorded yet"),
        ([folder, "--labels", tmp_path / "no.npy"], "No such file"),
        ([folder, "--images", tmp_path / "flat.npz", "--html", out], 'must hold "images"'),
        ([folder, "--images", tmp_path / "two.npz", "--html", out], "has train (240, 4, 4), test"),
        ([folder, "--images", tmp_path / "cut.npz", "--html", out], "cut.npz is not an .npz, or"),
        ([folder, "--images", tmp_path / "one.npz", "--html", out], "one.npz is not an .npz, or"),
        ([folder, "--labels", tmp_path / "more.npy"], "one for each of 240 samples, got 241"),
        ([folder, "--labels", tmp_path / "cut.npy"], "cut.npy is not a .npy file, or it is cut"),
        ([folder, "--labels", tmp_path / "odd.txt"], "odd.txt, line 2: expected a path, a space"),
        (
            [folder, "--images", tmp_path / "few.npz", "--html", out],
            "must hold a picture of each of",
        ),
        ([folder, "--html", tmp_path / "no" / "page.html"], "No such file"),
    ):
        assert cli.main(["inspect", *map(str, arguments)]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
    with pytest.raises(SystemExit):
        cli.main(["inspect", str(folder), "--images", str(tmp_path / "few.npz")])
    assert "--html says where it goes" in capsys.readouterr().err


# In a browser


@needs_browser
def test_a_browser_draws_every_chart_and_picture(page: Path, tmp_path: Path) -> None:
    text, console = shown(page, tmp_path / "profile")
    assert console == []
    charts = [chart for chart in Elements(text).all("svg") if chart.get("role") == "img"]
    assert len(charts) == 6


@needs_browser
def test_charts_and_pictures_have_a_size(page: Path, tmp_path: Path) -> None:
    measure = (
        "<script>addEventListener('load', () => {"
        "const wide = e => e.getBoundingClientRect().width > 300"
        " && e.getBoundingClientRect().height > 100;"
        "const set = document.documentElement.dataset;"
        "set.charts = [...document.querySelectorAll('svg[role=img]')].filter(wide).length;"
        "set.pictures = [...document.images].filter(i => i.naturalWidth > 0).length;"
        "set.overflow = document.documentElement.scrollWidth > innerWidth;"
        "})</script></body>"
    )
    content = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text())  # it forbids scripts
    measured = tmp_path / "measured.html"
    measured.write_text(content.replace("</body>", measure))
    text, console = shown(measured, tmp_path / "profile")
    assert console == []
    root = Elements(text).all("html")[0]
    assert root["data-charts"] == "6"
    assert int(root["data-pictures"]) == len(Elements(content).all("img"))
    assert root["data-overflow"] == "false"


@needs_browser
def test_the_console_is_seen_and_the_page_forbids_what_is_not_its_own(
    page: Path, tmp_path: Path
) -> None:
    foreign = '<img src="other.png"><script>document.title = "changed"</script></body>'
    changed = tmp_path / "changed.html"
    changed.write_text(page.read_text().replace("</body>", foreign))
    text, console = shown(changed, tmp_path / "profile")
    assert len(console) == 2
    assert "<title>changed</title>" not in text
