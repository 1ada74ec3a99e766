"""Compares servers that run at the same time, of which one at a time gets requests.

The speed of a shared processor changes within minutes, so that two servers which are measured
one after another are measured on two machines. Here each round measures all servers, in an
order that changes from round to round, and two servers are compared round by round.
"""

import argparse
import contextlib
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.serve_contenders import Alone, Contender, Running, all_running
from benchmarks.serve_load import Result, embed, lone_client, many_clients, resident

# Servers whose embeddings are further from the first server's do not count as peers.
_LEAST_COSINE = 0.9
_CHECKED_TEXTS = 8


class _Engine(NamedTuple):
    """An engine without a server, beside the server that has it."""

    server: str
    alone: Alone


def compare(args: argparse.Namespace, found: Sequence[Contender], texts: Sequence[str]) -> None:
    """Starts all servers, measures them in turns, and prints tables and ratios."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        servers = stack.enter_context(all_running(found, Path(folder)))
        cosines = _least_cosines(args.model, servers, texts[:_CHECKED_TEXTS])
        engines = []
        for i, each in enumerate(found):
            if each.alone and 1 in args.clients:
                alone = Alone(each.alone, Path(folder) / f"alone{i}.log")
                stack.callback(alone.close)
                engines.append(_Engine(each.name, alone))
        for clients in args.clients:
            results = _compare(args, servers, engines if clients == 1 else [], texts, clients)
            for server in servers:
                name = server.contender.name
                _print_row(clients, server, results[name], cosines[name])
            right = [each for each in found if cosines[each.name] >= _LEAST_COSINE]
            _print_ratios(clients, right, results)


def _least_cosines(
    model: str, servers: Sequence[Running], texts: Sequence[str]
) -> dict[str, float]:
    """Returns the least cosine of each server's embeddings to those of the first server."""
    embeddings = {each.contender.name: embed(each.url, model, texts) for each in servers}
    first = embeddings[servers[0].contender.name]
    return {
        name: float(
            np.min(
                (first * found).sum(axis=1)
                / np.linalg.norm(first, axis=1)
                / np.linalg.norm(found, axis=1)
            )
        )
        for name, found in embeddings.items()
    }


def _compare(
    args: argparse.Namespace,
    servers: Sequence[Running],
    engines: Sequence[_Engine],
    texts: Sequence[str],
    clients: int,
) -> dict[str, list[Result]]:
    """Measures all servers in turns, and their engines alone; returns the results by server."""
    results: dict[str, list[Result]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)

    def measure(server: Running, some: Sequence[str]) -> None:
        if clients == 1:
            result = lone_client(server.url, args.model, some)
        else:
            result = many_clients(
                server.url, args.model, texts, clients=clients, seconds=args.seconds
            )
        results[server.contender.name].append(result)

    def measure_alone(engine: _Engine, some: Sequence[str]) -> None:
        seconds[engine.server].append(statistics.mean(engine.alone.seconds(some)))

    turns = [
        *(partial(measure, server) for server in servers),
        *(partial(measure_alone, engine) for engine in engines),
    ]
    for number in range(args.rounds):
        start = number * args.requests % len(texts)
        some = texts[start : start + args.requests]
        first = number % len(turns)
        for turn in (*turns[first:], *turns[:first]):
            turn(some)
    for name, times in seconds.items():
        rates = [result.rate for result in results[name]]
        share = [time * rate for time, rate in zip(times, rates, strict=True)]
        print(
            f"{name}: its engine alone takes {_spread([1000 * time for time in times], 1)} ms, "
            f"{_spread([100 * each for each in share], 0)} % of a lone client's request"
        )
    return results


def _print_row(clients: int, server: Running, results: Sequence[Result], cosine: float) -> None:
    latencies = sorted(latency for result in results for latency in result.latencies)
    percentiles = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
    print(
        f"| {server.contender.name} | {clients} | {_spread([one.rate for one in results], 1)} "
        f"| {percentiles[49] * 1000:.0f} | {percentiles[98] * 1000:.0f} "
        f"| {sum(one.refused for one in results)} | {resident(server.pid):,} | {cosine:.4f} |",
        flush=True,
    )


def _print_ratios(
    clients: int, found: Sequence[Contender], results: dict[str, list[Result]]
) -> None:
    """Prints how many times faster our best server is than the best peer, per precision.

    A lone client's requests are compared by their median, too: a machine that stops for a moment
    changes the rate, which is the inverse of their mean.
    """
    speeds: dict[str, Callable[[Result], float]] = {"requests/s": lambda result: result.rate}
    if clients == 1:
        speeds["median latency"] = lambda result: 1 / statistics.median(result.latencies)
    for precision in (*dict.fromkeys(each.precision for each in found), "any"):
        alike = [each for each in found if precision in (each.precision, "any")]
        ours = [each.name for each in alike if each.is_ours]
        peers = [each.name for each in alike if not each.is_ours]
        for measure, speed in speeds.items() if ours and peers else ():
            rounds = {name: list(map(speed, results[name])) for name in (*ours, *peers)}
            medians = {name: statistics.median(values) for name, values in rounds.items()}
            our, peer = (max(names, key=medians.__getitem__) for names in (ours, peers))
            ratios = [a / b for a, b in zip(rounds[our], rounds[peer], strict=True)]
            print(
                f"{clients} clients, {precision}, {measure}: {our} is {_spread(ratios, 2)} times "
                f"as fast as {peer}"
            )


def _spread(values: Sequence[float], digits: int) -> str:
    """Returns the median, and the least and the greatest value in parentheses."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
