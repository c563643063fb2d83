#!/usr/bin/env python3
"""Writes statistics.json: what SciPy, statsmodels and NumPy make of some numbers. src/stats/tests.rs
holds our statistics to it. Needs scipy and statsmodels; run again only to add a case:

    python3 statistics.py > statistics.json
"""

import itertools
import json
import platform

import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.multitest import multipletests


def pairs():
    rng = np.random.default_rng(20130201)
    x = rng.exponential(3.0, 12)
    yield "twelve", x, x * 0.4 + rng.normal(0, 1, 12)
    qos = np.repeat([0.0, 1.0, 2.0], 20)
    yield "levels", qos, np.round(10 + 3 * qos + rng.normal(0, 4, 60))
    x = rng.integers(0, 9, 200).astype(float)
    yield "ties on both sides", x, np.round(rng.normal(0, 3, 200) - x / 3)
    lost = (rng.random(300) < 0.2).astype(float)
    yield "lost or not", lost, rng.exponential(1.0, 300) * (1 + 2 * lost)
    # Whole numbers: not every reader of JSON keeps the last bit of others.
    x = np.round(1.7e12 + rng.normal(0, 500, 40))
    yield "far from zero", x, np.round(rng.normal(1e9, 1e3, 40))
    x = np.arange(25.0)
    yield "perfect", x, -2.5 * x + 7


def residuals(values, held):
    ranks = stats.rankdata(values)
    design = np.column_stack([np.ones(len(ranks))] + [stats.rankdata(h) for h in held])
    fit, *_ = np.linalg.lstsq(design, ranks, rcond=None)
    return ranks - design @ fit


def partial_cases():
    rng = np.random.default_rng(7)
    payload = np.tile([16.0, 128.0, 1024.0, 8192.0], 12)
    link = np.repeat([0.0, 1.0], 24)
    x = np.log(payload) + 3 * link + rng.normal(0, 1, 48)
    y = 0.5 * x + 2 * link + rng.normal(0, 2, 48)
    for held in ([payload], [payload, link]):
        r = stats.pearsonr(residuals(x, held), residuals(y, held)).statistic
        yield {"x": list(x), "y": list(y), "held": [list(h) for h in held], "partial": r}


def block_permutations():
    """Every way to permute inside blocks, counted."""
    rng = np.random.default_rng(3)
    blocks = [[(float(a), float(a + rng.normal(0, 2))) for a in range(4)] for _ in range(3)]
    x = np.array([a for block in blocks for a, _ in block])
    observed = abs(stats.spearmanr(x, [b for block in blocks for _, b in block]).statistic)
    as_far = total = 0
    for orders in itertools.product(itertools.permutations(range(4)), repeat=3):
        y = [block[i][1] for block, order in zip(blocks, orders) for i in order]
        r = np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1]
        as_far += abs(r) >= observed - 1e-10
        total += 1
    return {"blocks": blocks, "p": as_far / total}


def block_resamples():
    """The mean over every way to draw five blocks of five: quantiles around the 95 % limits."""
    rng = np.random.default_rng(4)
    blocks = [[float(v) for v in rng.exponential(2.0, 4)] for _ in range(5)]
    means = sorted(
        float(np.mean([v for block in drawn for v in block]))
        for drawn in itertools.product(blocks, repeat=5)
    )
    at = lambda share: means[int(share * len(means))]
    return {"blocks": blocks, "low": [at(0.017), at(0.033)], "high": [at(0.967), at(0.983)]}


def ratio_of_medians():
    """Blocks and messages drawn again, one by one."""
    rng = np.random.default_rng(5)
    blocks = []
    for _ in range(6):
        drift = rng.normal(1.0, 0.1)
        a, b = rng.exponential(2e6 * drift, 101), rng.exponential(1e6, 101)
        blocks.append((sorted(map(float, a)), sorted(map(float, b))))
    median = lambda v: np.sort(v)[(len(v) + 1) // 2 - 1]
    observed = float(np.exp(np.mean([np.log(median(a) / median(b)) for a, b in blocks])))
    values = []
    for _ in range(20000):
        logs = []
        for index in rng.integers(0, 6, 6):
            a, b = (rng.choice(side, len(side)) for side in blocks[index])
            logs.append(np.log(median(a) / median(b)))
        values.append(np.exp(np.mean(logs)))
    low, high = np.quantile(values, [0.025, 0.975])
    return {"blocks": blocks, "ratio": observed, "low": float(low), "high": float(high)}


def main():
    cases = []
    for name, x, y in pairs():
        fit = stats.linregress(x, y)
        order = stats.kendalltau(np.arange(len(y)), y, method="asymptotic")
        cases.append(
            {
                "name": name,
                "x": list(map(float, x)),
                "y": list(map(float, y)),
                "pearson": float(stats.pearsonr(x, y).statistic),
                "spearman": float(stats.spearmanr(x, y).statistic),
                "kendall_tau_b": float(stats.kendalltau(x, y, variant="b").statistic),
                "slope": float(fit.slope),
                "intercept": float(fit.intercept),
                "trend_tau": float(order.statistic),
                "trend_p": float(order.pvalue),
            }
        )
    p_values = [0.01, 0.04, 0.03, 0.005, 0.5, 0.04, 1.0, 0.0002]
    z = [0.0, 0.1, 0.5, 1.0, 1.959963984540054, 2.0, 2.82, 2.83, 3.5, 6.0, 10.0, 37.0]
    recorded = {
        "versions": {
            "python": platform.python_version(),
            "scipy": scipy.__version__,
            "numpy": np.__version__,
            "statsmodels": statsmodels.__version__,
        },
        "pairs": cases,
        "partial": list(partial_cases()),
        "permutation": block_permutations(),
        "resamples": block_resamples(),
        "ratio": ratio_of_medians(),
        "holm": {
            "p": p_values,
            "adjusted": list(map(float, multipletests(p_values, method="holm")[1])),
        },
        "two_sided": [[v, float(2 * stats.norm.sf(v))] for v in z],
    }
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in recorded.items()]
    print("{\n" + ",\n".join(lines) + "\n}")


main()
