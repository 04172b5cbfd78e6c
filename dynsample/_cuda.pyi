from collections.abc import Callable
from typing import Protocol

import torch

# The module is handed on as an object, since there is a second one of its kind: the same kernels
# compiled for the CPU, for tests. So what it has is the methods of a protocol.
#
# Address: a tensor's; 0 for none. `Device.call` puts it in the place of a tensor, or of None.

Address = torch.Tensor | int | None
Allocate = Callable[[int], torch.Tensor]
Numbers = tuple[int, ...]
ColumnSpec = tuple[str, float, dict[str, int], int]

class Stream: ...
class Rows: ...

class LogParts:
    @property
    def open(self) -> int: ...
    @property
    def non_finite(self) -> int: ...
    @property
    def num_folded(self) -> int: ...
    @property
    def num_closed(self) -> int: ...
    @property
    def counts(self) -> Numbers: ...
    def drop(self, folded: bool, /) -> None: ...

_Stream = Stream  # which is a method of what follows, too
_LogParts = LogParts

class Native(Protocol):
    LOG_BYTES: int
    MOST_SIGNALS: int
    def Stream(self, device: int, handle: int, /) -> _Stream: ...
    def LogParts(self) -> _LogParts: ...
    def launched(self) -> dict[str, bool]: ...

    # Draws

    def survey(
        self, stream: _Stream, allocate: Allocate, p: Address, size: int, /
    ) -> tuple[float, int, int | None]: ...
    def exponent_sums(
        self, stream: _Stream, p: Address, size: int, substitute: float, sums: Address, /
    ) -> None: ...
    def race_keys(
        self,
        stream: _Stream,
        p: Address,
        size: int,
        first: int,
        substitute: float,
        seed: int,
        epoch: int,
        keys: Address,
        /,
    ) -> None: ...
    def cumulative_rates(
        self,
        stream: _Stream,
        allocate: Allocate,
        p: Address,
        size: int,
        substitute: float,
        scale: float,
        until: Address,
        /,
    ) -> None: ...
    def systematic_counts(
        self,
        stream: _Stream,
        until: Address,
        num_rows: int,
        before: int,
        total: int,
        k: int,
        seed: int,
        epoch: int,
        counts: Address,
        /,
    ) -> None: ...
    def multinomial_points(
        self,
        stream: _Stream,
        total: int,
        seed: int,
        epoch: int,
        first: int,
        size: int,
        points: Address,
        /,
    ) -> None: ...
    def multinomial_counts(
        self,
        stream: _Stream,
        until: Address,
        num_rows: int,
        total: int,
        k: int,
        seed: int,
        epoch: int,
        counts: Address,
        /,
    ) -> None: ...
    def count_points(
        self,
        stream: _Stream,
        allocate: Allocate,
        until: Address,
        num_rows: int,
        before: int,
        points: Address,
        size: int,
        counts: Address,
        /,
    ) -> bool: ...
    def inverse_probabilities(
        self,
        stream: _Stream,
        until: Address,
        num_rows: int,
        total: int,
        all_rows: int,
        out: Address,
        /,
    ) -> None: ...
    def power(
        self,
        stream: _Stream,
        allocate: Allocate,
        values: Address,
        size: int,
        exponent: float,
        out: Address,
        /,
    ) -> int | None: ...
    def exp(self, stream: _Stream, values: Address, size: int, out: Address, /) -> None: ...
    def cdf_counts(
        self,
        stream: _Stream,
        values: Address,
        where: Address,
        size: int,
        low: float,
        high: float,
        counts: Address,
        /,
    ) -> None: ...
    def cdf_keep(
        self,
        stream: _Stream,
        values: Address,
        where: Address,
        size: int,
        low: float,
        high: float,
        keep_below: Address,
        seed: int,
        epoch: int,
        first: int,
        kept: Address,
        /,
    ) -> None: ...

    # Selections and reductions

    def rows(
        self,
        stream: _Stream,
        values: Address,
        where: Address,
        finite_only: bool,
        size: int,
        keys: Address,
        /,
    ) -> Rows: ...
    def hide_lowest(
        self, stream: _Stream, allocate: Allocate, rows: Rows, k: int, mask: Address, /
    ) -> None: ...
    def mark_below(
        self,
        stream: _Stream,
        allocate: Allocate,
        rows: Rows,
        key: int,
        equal: int,
        ties: int,
        mask: Address,
        /,
    ) -> None: ...
    def sampled_rows(self, stream: _Stream, rows: int, /) -> list[int]: ...
    def key_histogram(
        self, stream: _Stream, rows: Rows, upper: bool, prefix: int, counts: Address, /
    ) -> None: ...
    def tally(
        self, stream: _Stream, allocate: Allocate, rows: Rows, key: int, /
    ) -> tuple[int, int]: ...
    def exact_sum(self, stream: _Stream, rows: Rows, sums: Address, /) -> None: ...
    def min_max(
        self, stream: _Stream, allocate: Allocate, rows: Rows, /
    ) -> tuple[float, float]: ...

    # Orders

    def order_slice(
        self,
        stream: _Stream,
        n: int,
        seed: int,
        epoch: int,
        number: int,
        ids: Address,
        first: int,
        size: int,
        out: Address,
        /,
    ) -> None: ...
    def mark_slice(
        self,
        stream: _Stream,
        n: int,
        seed: int,
        epoch: int,
        number: int,
        first: int,
        size: int,
        mask: Address,
        /,
    ) -> None: ...
    def select_ids(
        self,
        stream: _Stream,
        allocate: Allocate,
        mask: Address,
        invert: bool,
        size: int,
        ids: Address,
        count: Address,
        /,
    ) -> None: ...
    def repeat_rows(
        self,
        stream: _Stream,
        allocate: Allocate,
        counts: Address,
        num_rows: int,
        size: int,
        out: Address,
        /,
    ) -> None: ...

    # The log, and its fold

    def append_log(
        self, stream: _Stream, log: Address, count: int, numbers: Numbers, /
    ) -> None: ...
    def append_signals(
        self,
        stream: _Stream,
        log: Address,
        count: int,
        classes: int,
        output: Numbers,
        slots: Numbers,
        /,
    ) -> None: ...
    def load_step(self, stream: _Stream, /) -> None: ...
    def point_log(
        self,
        stream: _Stream,
        log: Address,
        capacity: int,
        rows: Address,
        values: Address,
        row_of: Address,
        num_ids: int,
        allowed: Address,
        /,
    ) -> Numbers: ...
    def close_log(
        self,
        stream: _Stream,
        allocate: Allocate,
        log: Address,
        parts: _LogParts,
        open_capacity: int,
        capacity: int,
        rows: Address,
        values: Address,
        num_signals: int,
        /,
    ) -> int: ...
    def reset_log(
        self,
        stream: _Stream,
        log: Address,
        parts: _LogParts,
        closed: int,
        num_folded: int,
        non_finite: int,
        /,
    ) -> None: ...
    def log_counts(self, stream: _Stream, log: Address, /) -> Numbers: ...
    def settle(self, stream: _Stream, /) -> None: ...
    def sort_rows(
        self,
        stream: _Stream,
        allocate: Allocate,
        rows: Address,
        keys: Address,
        size: int,
        row_bits: int,
        sorted_rows: Address,
        places: Address,
        /,
    ) -> None: ...
    def match(
        self,
        stream: _Stream,
        rows: Address,
        places: Address,
        size: int,
        issued_rows: Address,
        issued_places: Address,
        num_issued: int,
        issued_tickets: Address,
        accepted: Address,
        tickets: Address,
        unknown: Address,
        /,
    ) -> None: ...
    def fold(
        self,
        stream: _Stream,
        log: _LogParts,
        specs: list[ColumnSpec],
        rows: Address,
        places: Address,
        size: int,
        accepted: Address,
        first_row: int,
        seen: Address,
        /,
    ) -> None: ...

class NativeModule(Native, Protocol):
    architectures: str
    def device_count(self) -> int: ...
    def driver_version(self) -> int: ...
    def runtime_version(self) -> int: ...
