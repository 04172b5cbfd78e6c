"""Dynamic uncertainty: the column, the text files, and the published rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dynsample as ds
from dynsample import _core
from dynsample.coreset import dyn_unc as history
from dynsample.reference import scores as reference

PROBABILITIES = st.one_of(
    st.floats(0, 1, width=32), st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.5, 1e-45, 1e-300])
)


def write(folder: Path, epochs: np.ndarray, form: str = "%.18e") -> Path:
    root = folder / history.FOLDER
    root.mkdir(exist_ok=True)
    for path in root.iterdir():
        path.unlink()
    for epoch, values in enumerate(epochs):
        np.savetxt(root / f"prob_{epoch}.txt", values, fmt=form)
    return root


@pytest.mark.parametrize("threads", [1, 3])
def test_the_streamed_score_is_that_of_the_whole_history(tmp_path: Path, threads: int) -> None:
    epochs = np.random.default_rng(0).random((9, 700)).astype(np.float32)
    epochs[np.random.default_rng(1).random(epochs.shape) < 0.2] = 0
    root = write(tmp_path, epochs)
    before = _core.num_threads()
    _core.set_num_threads(threads)
    try:
        state = history.dyn_unc(history.find(root), 700, 4)
    finally:
        _core.set_num_threads(before)
    assert state.values.dtype == np.float32
    np.testing.assert_allclose(state.score(), reference.dyn_unc(root, 700, 4), rtol=1e-13)


@given(
    st.integers(2, 4).flatmap(
        lambda window: st.tuples(
            st.just(window),
            st.lists(
                st.lists(PROBABILITIES, min_size=5, max_size=5),
                min_size=window + 1,
                max_size=7,
            ),
        )
    )
)
def test_any_history_scores_as_the_oracle_says(case) -> None:
    window, epochs = case
    state = history.DynUnc(5, window)
    windows, totals = [[0.0] * window for _ in range(5)], [0.0] * 5
    for number, values in enumerate(epochs):
        last = number == len(epochs) - 1
        state.add(np.array(values), last=last)
        for row, value in enumerate(values):
            windows[row] = [*windows[row][1:], value] if value else windows[row]
            if number >= window - 1 and not last:
                totals[row] += reference.uncertainty(windows[row])
    seen = np.array(epochs).any(0)
    expected = np.where(seen, np.array(totals) / (len(epochs) - window), np.nan)
    np.testing.assert_allclose(state.score(), expected, rtol=1e-9, atol=1e-12)


def test_windows_become_double_when_float32_would_round() -> None:
    exact = history.DynUnc(2, 2)
    for value in (0.5, 0.1, 0.25, 0.75):
        exact.add(np.array([value, 0.5]))
    assert exact.values.dtype == np.float64
    expected = np.mean([np.std(pair, ddof=1) for pair in ([0.5, 0.1], [0.1, 0.25], [0.25, 0.75])])
    np.testing.assert_allclose(exact.score()[0], 10 * expected, rtol=1e-14)


def test_the_column_of_a_table_scores_as_the_files_of_the_same_run(tmp_path: Path) -> None:
    epochs = np.random.default_rng(2).random((8, 30)).astype(np.float32)
    table = ds.ScoreTable(30, ds.score_columns(["dyn_unc"], window=3))
    for epoch, values in enumerate(epochs):
        order = np.random.default_rng(epoch).permutation(30)
        table.observe(order, probability=values[order], epoch=epoch)
    files = history.find(write(tmp_path, epochs))
    expected = history.dyn_unc(files, 30, 3).score()
    np.testing.assert_allclose(table["dyn_unc"], expected, rtol=1e-6)


def test_a_column_keeps_one_window_and_two_sums() -> None:
    parts = ds.Uncertainty(10).allocate(100)
    assert sum(part.nbytes for part in parts.values()) == 100 * (10 * 4 + 4 + 8)


def test_a_sample_never_seen_has_no_score() -> None:
    state = history.DynUnc(2, 2)
    for value in (0.5, 0.25, 0.75):
        state.add(np.array([value, 0.0]))
    assert np.isnan(state.score()).tolist() == [False, True]


@pytest.mark.parametrize("form", ["%.18e", "%r", "%.9g", "+%.18e", "  %.17g \r"])
def test_text_reads_to_the_same_bits_as_python_reads(tmp_path: Path, form: str) -> None:
    random = np.random.default_rng(3)
    rounded, small = random.random(2000).astype(np.float32), 10.0 ** random.uniform(-40, 1, 9000)
    values = np.concatenate([random.random(20000), rounded, small])
    path = tmp_path / "numbers.txt"
    lines = [form.replace("%r", "%s") % value for value in values.tolist()]
    path.write_bytes("".join(line + "\n" for line in lines).encode())
    out = np.empty(len(values))
    history.read_numbers(path, out)
    np.testing.assert_array_equal(out, [float(line) for line in lines])


@pytest.mark.parametrize("wrong", "/:x.-+e0\N{DEGREE SIGN}")
def test_one_wrong_character_anywhere_is_read_as_python_reads_it_or_refused(
    tmp_path: Path, wrong: str
) -> None:
    right, path = "1.234567890123456789e-01", tmp_path / "numbers.txt"
    for place in range(len(right)):
        line = right[:place] + wrong + right[place + 1 :]
        path.write_text(f"{right}\n{line}\n{right}\n", encoding="latin-1")
        out = np.empty(3)
        try:
            expected = float(line)
        except ValueError:
            with pytest.raises(ValueError, match="line 2: expected a number"):
                history.read_numbers(path, out)
        else:
            history.read_numbers(path, out)
            assert out.tolist() == [float(right), expected, float(right)]


def test_blank_lines_are_skipped_and_words_for_numbers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text("\n1e-3\n\n  \nnan\ninf\n-0.0\n0\n ")
    out = np.empty(5)
    history.read_numbers(path, out)
    np.testing.assert_array_equal(out, [1e-3, np.nan, np.inf, -0.0, 0.0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5\nhalf\n", "line 2: expected a number, got 'half'"),
        ("0.5 0.25\n1\n", "line 1: expected a number, got '0.5 0.25'"),
        ("1\n2\n3\n", "line 3: more than 2 numbers"),
        ("1\n", "must have 2 numbers, one for every sample, has 1"),
        ("1e999\n1\n", "line 1: expected a number"),
        ("+-1\n1\n", "line 1: expected a number, got '\\+-1'"),
        ("0.5\n1_2\n", "line 2: expected a number, got '1_2'"),
        ("\N{BOM}0.5\n1\n", r"line 1: expected a number, got '\?\?\?0.5'"),
        ("0.5\n1.25e-0", "line 2: has no line break, as if the file were cut short, got '1.25e-0'"),
        ("1.0000000000000000000e-01\n1.00000000000000000x\n", "line 2: expected a number"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        history.read_numbers(path, np.empty(2))


def test_a_wrong_line_far_into_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text("0.123456789012345678\n" * 150_000 + "x\n")
    with pytest.raises(ValueError, match="line 150001: expected a number, got 'x'"):
        history.read_numbers(path, np.empty(150_001))


def test_files_are_found_in_the_order_of_epochs(tmp_path: Path) -> None:
    root = write(tmp_path, np.ones((12, 1)))
    (root / "notes.md").touch()
    names = [f"prob_{epoch}.txt" for epoch in range(12)]
    assert [path.name for path in history.find(root)] == names
    assert [path.name for path in history.find(tmp_path)] == names
    (root / "prob_5.txt").unlink()
    with pytest.raises(ValueError, match=r"prob_5.txt is missing"):
        history.find(root)


def test_too_few_epochs_for_the_window_are_refused(tmp_path: Path) -> None:
    files = history.find(write(tmp_path, np.ones((3, 1))))
    with pytest.raises(ValueError, match="window must be less than the number of epochs, 3"):
        history.dyn_unc(files, 1, 3)


def test_what_is_written_reads_back_and_a_seen_sample_is_never_zero(tmp_path: Path) -> None:
    probabilities = np.float32([0.25, 0, 0.5, 1 / 3])
    seen = np.array([True, True, False, True])
    path = history.write_probabilities(tmp_path, 7, probabilities, seen)
    assert path == tmp_path / "pred_prob_history" / "prob_7.txt"
    out = np.empty(4)
    history.read_numbers(path, out)
    np.testing.assert_array_equal(out, np.float32([0.25, 1e-45, 0, 1 / 3]))
