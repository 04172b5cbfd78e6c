"""The command: train what is missing, one line for each run, and report."""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from dynsample.cli import INTERRUPTED
from dynsample.cli.experiment.idx import DataError
from dynsample.cli.printing import say
from dynsample.cli.progress import progress
from dynsample.cli.study import place, plan, runs, work
from dynsample.cli.study.plan import Choice
from dynsample.cli.study.runs import FILE, Key, Record, RunsError
from dynsample.disk.files import try_lock


def run(args: argparse.Namespace) -> int:
    """Return the exit status: 1 for what cannot be read, written or finished."""
    try:
        if args.report:
            return _report(args.report)
        args.out.mkdir(parents=True, exist_ok=True)
        with _locked(args.out / FILE):
            interrupted = _train(args)
        return max(_report(args.out), INTERRUPTED if interrupted else 0)
    except (DataError, RunsError, OSError) as error:
        say(f"dynsample study: {error}", sys.stderr)
    except BrokenProcessPool:
        say(
            "dynsample study: the process of a run was killed, as when memory runs out; what is "
            "finished is kept, and the same command goes on",
            sys.stderr,
        )
    return 1


def _report(folder: Path) -> int:
    from dynsample.cli.study import report  # it takes long to load, and is read at the end

    return report.show(folder)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other studies out."""
    with open(path, "ab") as file:
        if try_lock(file.fileno()) is False:
            raise RunsError(f"{path}: another study writes it; --out names another folder")
        yield


@contextlib.contextmanager
def _processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes for runs; they end with the block, in the middle of a run if need be."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=spawn, initializer=work.begin) as pool:
        try:
            yield pool
        finally:
            for process in multiprocessing.active_children():
                process.terminate()


def _train(args: argparse.Namespace) -> bool:
    """Train all runs that are missing; whether Ctrl-C came."""
    with _processes(args.jobs) as pool:
        try:
            shared = {
                (task, variant): pool.submit(work.settings, task, variant, args.data, args.epochs)
                for task in args.task
                for variant in args.variant
            }
            settings = {each: found.result() for each, found in shared.items()}
            choice = Choice(settings, tuple(args.policy), args.seeds)
            for line in choice.left_out():
                say(line)
            _train_all(pool, choice, args)
        except KeyboardInterrupt:
            return True
    return False


def finished_runs(folder: Path, choice: Choice) -> dict[Key, Record]:
    """Return the finished runs that this study would make no different."""
    records, torn = runs.read(folder)
    if torn:
        say(f"{folder / FILE}: the last line is torn, and its run is done again")
    done = {
        each.key: each
        for each in records
        if each.settings == choice.settings.get(each.key[:2], each.settings) and plan.is_same(each)
    }
    if others := len(records) - len(done):
        say(f"{folder / FILE}: {others} runs have other settings, and are left aside")
    return done


def _train_all(pool: ProcessPoolExecutor, choice: Choice, args: argparse.Namespace) -> None:
    here = place.here()
    done = finished_runs(args.out, choice)
    running: dict[Future[Record], Key] = {}
    with progress("", "runs") as shown:
        while True:
            wanted = list(plan.wanted(choice, done))
            waiting = (key for key in wanted if key not in done and key not in running.values())
            for key in waiting:
                if len(running) == args.jobs:
                    break
                shared = choice.settings[key.task, key.variant]
                running[pool.submit(work.work, key, shared, args.data)] = key
            finished = sum(key in done for key in wanted)
            names = ", ".join(f"{key.name}, seed {key.seed}" for key in running.values())
            total = plan.most(choice, done)
            shown.update(done=finished, total=total, what=names)
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                record = replace(future.result(), place=here)
                runs.append(args.out, record)
                done[running.pop(future)] = record
