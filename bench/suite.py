#!/usr/bin/env python3
"""Validates a logistic regression with vigie and with scikit-learn, in one run, so that the ratio means something.

    pip install numpy scikit-learn
    bench/suite.py [ROWS...]                                    default 2000 10000
    VALIDATE_PLANTED=PATH bench/suite.py [ROWS...]              with the example validate_planted built already

Prints CPU seconds. Both do: two strengths to choose from, 5 folds at each, 10 steps of an expanding and of a rolling walk, 3 combinations
of groups, 200 bootstrap refits, 20 refits on shuffled labels and 30 shuffles of each input, each refit scaled anew and judged by its AUC
or accuracy. vigie's time has its figures of the policy, purges and embargoes, regimes, the probability of overfitting and the report on
top. Everything runs on one thread, on data of one kind: twelve normal columns, and the log-odds 0.4, -0.3 and 0.2 times three of them.
"""

import os
import pathlib
import subprocess
import sys
import time

for variable in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]:
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import roc_auc_score  # noqa: E402
from sklearn.model_selection import KFold  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

PROJECT = pathlib.Path(__file__).resolve().parents[1]


def main():
    program = os.environ.get("VALIDATE_PLANTED") or build()
    print("suite,rows,seconds", flush=True)
    for rows in [int(rows) for rows in sys.argv[1:]] or [2_000, 10_000]:
        subprocess.run([program, str(rows)], check=True)
        before = time.process_time()
        suite(*data(rows))
        print(f"scikit-learn,{rows},{time.process_time() - before:.3f}", flush=True)


def build():
    command = ["cargo", "build", "--quiet", "--release", "--example", "validate_planted"]
    subprocess.run(command, cwd=PROJECT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))
    return target / "release" / "examples" / "validate_planted"


def data(rows):
    rng = np.random.default_rng(2)
    x = np.column_stack([rng.normal(size=(rows, 12)), rng.uniform(0.35, 0.65, size=rows)])
    z = 0.4 * x[:, 0] - 0.3 * x[:, 1] + 0.2 * x[:, 2]
    return x, rng.uniform(size=rows) < 1 / (1 + np.exp(-z))


def fitted(x, y, strength=1.0):
    return make_pipeline(StandardScaler(), LogisticRegression(C=1 / strength)).fit(x, y)


def auc(model, x, y):
    return roc_auc_score(y, model.predict_proba(x)[:, 1])


def accuracy(model, x, y):
    return np.mean((model.predict_proba(x)[:, 1] >= 0.5) == y)


def suite(x, y):
    rng, n = np.random.default_rng(1), len(y)
    chosen, learnt = n * 7 // 10, n * 8 // 10
    test = x[learnt:], y[learnt:]
    for strength in (1.0, 2.0):
        auc(fitted(x[:chosen], y[:chosen], strength), x[chosen:learnt], y[chosen:learnt])
        for train, judged in KFold(5).split(x[:learnt]):
            accuracy(fitted(x[train], y[train], strength), x[judged], y[judged])
    first = n * 4 // 10
    edges = np.linspace(first, n, 11).astype(int)
    for start, end in zip(edges, edges[1:]):
        for begin in (0, start - first):
            accuracy(fitted(x[begin:start], y[begin:start]), x[start:end], y[start:end])
    for train, judged in KFold(3).split(x[:learnt]):
        auc(fitted(x[judged], y[judged]), x[train], y[train])
    model = fitted(x[:learnt], y[:learnt])
    auc(model, *test)
    for _ in range(200):
        rows = rng.integers(0, learnt, size=learnt)
        auc(fitted(x[rows], y[rows]), *test)
    for _ in range(20):
        auc(fitted(x[:learnt], rng.permutation(y[:learnt])), *test)
    for column in range(x.shape[1]):
        for _ in range(30):
            shuffled = test[0].copy()
            shuffled[:, column] = rng.permutation(shuffled[:, column])
            auc(model, shuffled, test[1])


main()
