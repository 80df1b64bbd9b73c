"""Whether a difference is more than chance, without believing anything about distributions.

All p values are of permutation tests (Good, "Permutation, Parametric, and Bootstrap Tests of
Hypotheses", 2005): what was really labelled "poster" is set against many draws of what might have
been labelled so. Whole windows are drawn, never single packets, since packets within one depend on
each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

#: Draws; the least p value is one over that, so that it stays below 0.001 after correction for some
#: forty tests.
ROUNDS = 200_000
#: Draws that are computed at a time.
_CHUNK = 2_000
#: So many that are as far out make a p value that is known to a tenth.
_ENOUGH_AS_FAR = 200
#: Bins of a histogram: quantiles of all samples, or each value by itself where there are fewer.
_BINS_MAX = 128


def histograms(windows: Sequence[np.ndarray]) -> np.ndarray:
    """Samples of each window, counted in bins that all windows share.

    :returns: counts, shape (windows, bins), the bins in rising order.
    """
    pooled = np.concatenate(windows) if windows else np.zeros(0)
    if not len(pooled):
        return np.zeros((len(windows), 1))
    edges = np.unique(pooled)
    if len(edges) > _BINS_MAX:
        edges = np.unique(np.quantile(pooled, np.arange(_BINS_MAX) / _BINS_MAX))
    counts = np.zeros((len(windows), len(edges)))
    for row, window in zip(counts, windows, strict=True):
        np.add.at(row, np.searchsorted(edges, window, side="right") - 1, 1)
    return counts


def kolmogorov(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The two-sample Kolmogorov-Smirnov distance of histograms, along the last axis; 0 where one
    side has nothing."""
    cumulated = [np.cumsum(side, axis=-1) for side in (some, others)]
    shares = [side / np.maximum(side[..., -1:], 1e-12) for side in cumulated]
    distance = np.abs(shares[0] - shares[1]).max(axis=-1)
    is_empty = (cumulated[0][..., -1] <= 0) | (cumulated[1][..., -1] <= 0)
    return np.where(is_empty, 0.0, distance)


def among_hosts(
    windows: np.ndarray, poster: int, random: np.random.Generator, rounds: int = ROUNDS
) -> tuple[float, float]:
    """One host against the others on the same network: in each window somebody else might as well
    have been the poster.

    :param windows: counts, shape (windows, hosts, bins).
    :returns: Kolmogorov-Smirnov distance, p.
    """
    everybody = windows.sum(axis=(0, 1))

    def distances(chosen: np.ndarray) -> np.ndarray:
        theirs = _gather(windows, chosen)
        return kolmogorov(theirs, everybody - theirs)

    return _judge_choice(distances, windows.shape[:2], poster, random, rounds)


def among_hosts_by_time(
    windows: np.ndarray,
    weights: np.ndarray,
    poster: int,
    random: np.random.Generator,
    rounds: int = ROUNDS,
) -> tuple[float, float]:
    """As :func:`among_hosts`, of what a host does at some times more than at others.

    What a host always does more than others (who dialled a link asks now and then whether anything
    is missing, who accepted it answers) cancels.

    :param windows: counts, shape (windows, hosts, bins).
    :param weights: how much of the cause was in each window, shape (windows,).
    :returns: a distance like Kolmogorov's, in samples of a host and window; p.
    """
    weights = weights - weights.mean()
    centred = (windows - windows.mean(axis=0, keepdims=True)) * weights[:, None, None]
    everybody = centred.sum(axis=(0, 1))
    others_count = windows.shape[1] - 1
    scale = max(float(np.abs(weights).sum()), 1e-12)

    def distances(chosen: np.ndarray) -> np.ndarray:
        theirs = _gather(centred, chosen)
        others = (everybody - theirs) / others_count
        return np.abs(np.cumsum(theirs - others, axis=-1)).max(axis=-1) / scale

    return _judge_choice(distances, windows.shape[:2], poster, random, rounds)


def among_hosts_by_sum(
    scores: np.ndarray, poster: int, random: np.random.Generator, rounds: int = ROUNDS
) -> tuple[float, float]:
    """One host's scores against those of the others at the same moments.

    :param scores: shape (moments, hosts).
    :returns: how much more the poster has at a moment than the others, p (of both directions).
    """
    others = (scores.sum(axis=1, keepdims=True) - scores) / (scores.shape[1] - 1)
    above = (scores - others)[:, :, None]

    def sums(chosen: np.ndarray) -> np.ndarray:
        return np.abs(_gather(above, chosen)[:, 0])

    _, p = _judge_choice(sums, scores.shape, poster, random, rounds)
    return float(above[:, poster, 0].mean()), p


def between_runs(
    some: np.ndarray, others: np.ndarray, random: np.random.Generator, rounds: int = ROUNDS
) -> tuple[float, float]:
    """Windows of one run against those of another: each might have been in either.

    :param some: counts, shape (windows, bins); ``others`` has the same bins.
    :returns: Kolmogorov-Smirnov distance, p.
    """
    windows = np.concatenate([some, others])
    everything = windows.sum(axis=0)
    observed = float(kolmogorov(some.sum(axis=0), others.sum(axis=0)))

    def draw(count: int) -> np.ndarray:
        order = random.random((count, len(windows))).argsort(axis=1)
        is_some = (order < len(some)).astype(float)
        theirs = is_some @ windows
        return kolmogorov(theirs, everything - theirs)

    return observed, _p_value(observed, draw, rounds)


def _gather(windows: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The sum over windows of what the chosen host has in each; shape (draws, bins)."""
    summed = np.zeros((len(chosen), windows.shape[2]))
    for number, window in enumerate(windows):
        summed += window[chosen[:, number]]
    return summed


def _judge_choice(
    statistic: Callable[[np.ndarray], np.ndarray],
    shape: tuple[int, ...],
    poster: int,
    random: np.random.Generator,
    rounds: int,
) -> tuple[float, float]:
    observed = float(statistic(np.full((1, shape[0]), poster))[0])

    def draw(count: int) -> np.ndarray:
        return statistic(random.integers(0, shape[1], (count, shape[0])))

    return observed, _p_value(observed, draw, rounds)


def _p_value(observed: float, draw: Callable[[int], np.ndarray], rounds: int) -> float:
    """What share of draws is as far out, what was observed being one of them. Many that are end it
    early: then p is not small (Besag and Clifford, "Sequential Monte Carlo p-values", 1991)."""
    as_far = done = 0
    while done < rounds and as_far < _ENOUGH_AS_FAR:
        count = min(_CHUNK, rounds - done)
        as_far += int((draw(count) >= observed - 1e-9).sum())
        done += count
    return (as_far + 1) / (done + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm, "A simple sequentially rejective multiple test
    procedure", 1979)."""
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = least
    return corrected


# --- Telling minutes apart ------------------------------------------------------------------------


def auc(positives: np.ndarray, negatives: np.ndarray) -> float:
    """The probability that a positive scores higher than a negative, ties by half."""
    greater = (positives[:, None] > negatives[None, :]).mean()
    equal = (positives[:, None] == negatives[None, :]).mean()
    return float(greater + equal / 2)


def bootstrapped(
    statistic: Callable[..., float],
    groups: Sequence[np.ndarray],
    random: np.random.Generator,
    rounds: int = 2_000,
) -> tuple[float, float]:
    """The 95 % interval of a statistic of groups, each drawn anew with replacement."""
    return interval(
        statistic(*(group[random.integers(0, len(group), len(group))] for group in groups))
        for _ in range(rounds)
    )


def interval(draws: Iterable[float]) -> tuple[float, float]:
    """Where 95 % of them lie."""
    low, high = np.quantile(list(draws), [0.025, 0.975])
    return float(low), float(high)


def scores_unseen(
    positives: np.ndarray, negatives: np.ndarray, folds: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Scores by Fisher's linear discriminant of windows that it has not been fitted to.

    :param positives: features, shape (windows, features); ``negatives`` likewise. Folds are
        stretches of time, so that neighbours do not help.
    """
    scores = np.zeros(len(positives)), np.zeros(len(negatives))
    parts = [np.array_split(np.arange(len(group)), folds) for group in (positives, negatives)]
    for unseen in zip(*parts, strict=True):
        seen = [
            np.delete(group, part, axis=0)
            for group, part in zip((positives, negatives), unseen, strict=True)
        ]
        direction, middle = _discriminant(*seen)
        for score, group, part in zip(scores, (positives, negatives), unseen, strict=True):
            score[part] = (group[part] - middle) @ direction
    return scores


def _discriminant(some: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    both = np.concatenate([some - some.mean(axis=0), others - others.mean(axis=0)])
    scale = np.maximum(both.std(axis=0), 1e-12)
    spread = np.cov(both / scale, rowvar=False).reshape(both.shape[1], both.shape[1])
    # A tenth of the identity: there are hardly more windows than features.
    direction = np.linalg.solve(
        spread + 0.1 * np.eye(len(spread)), (some.mean(axis=0) - others.mean(axis=0)) / scale
    )
    return direction / scale, (some.mean(axis=0) + others.mean(axis=0)) / 2
