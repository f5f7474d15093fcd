#!/usr/bin/env python3
"""Fits the same data with vigie, scikit-learn, LightGBM and xgboost, in one run, so that ratios mean something.

    pip install numpy scikit-learn lightgbm xgboost-cpu
    bench/fit.py [ROWS...]                      default 2000 10000 50000
    FIT_MODELS=PATH bench/fit.py [ROWS...]      with the example fit_models built already
    FIT_COLUMNS=24 bench/fit.py [ROWS...]       with as many columns instead of twelve
    FIT_ONLY=logistic bench/fit.py [ROWS...]    only what has that in its name

Prints CPU seconds of the fit, the mean of as many as take 0.3 s, and AUC on 50,000 rows not fitted on. Everything runs on one
thread. Standard normal columns with a weak signal in six of them, as trades have: the best possible AUC is about 0.608.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

for variable in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]:
    os.environ[variable] = "1"

import lightgbm  # noqa: E402
import numpy as np  # noqa: E402
import xgboost  # noqa: E402
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import roc_auc_score  # noqa: E402

warnings.simplefilter("ignore")
PROJECT = pathlib.Path(__file__).resolve().parents[1]


COLUMNS = int(os.environ.get("FIT_COLUMNS", 12))
ONLY = os.environ.get("FIT_ONLY", "")


def data(seed, rows):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, COLUMNS))
    linear = 0.27 * x[:, 0] - 0.22 * x[:, 1] + 0.13 * x[:, 2]
    z = linear + 0.13 * x[:, 3] * x[:, 4] + 0.09 * (np.abs(x[:, 5]) - 0.8) - 0.1
    return x, z, rng.uniform(size=rows) < 1 / (1 + np.exp(-z))


def models():
    forest = {"n_estimators": 100, "min_samples_leaf": 20, "n_jobs": 1, "random_state": 1}
    every = {
        "scikit-learn logistic": LogisticRegression(),
        "scikit-learn random forest": RandomForestClassifier(**forest),
        "scikit-learn extra trees": ExtraTreesClassifier(**forest),
        "LightGBM": lightgbm.LGBMClassifier(n_estimators=100, num_leaves=8, reg_lambda=1.0, n_jobs=1, verbose=-1),
        "xgboost": xgboost.XGBClassifier(n_estimators=100, max_depth=3, learning_rate=0.1, n_jobs=1),
    }
    return {name: model for name, model in every.items() if ONLY in name}


def main():
    sizes = [int(rows) for rows in sys.argv[1:]] or [2_000, 10_000, 50_000]
    program = os.environ.get("FIT_MODELS") or build()
    test_x, test_z, test_y = data(2, 50_000)
    print("model,rows,seconds,auc", flush=True)
    print(f"the best possible,,,{roc_auc_score(test_y, test_z):.4f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder) / name for name in ["train", "test"]]
        np.column_stack([test_x, test_y]).astype("<f8").tofile(paths[1])
        for rows in sizes:
            x, _, y = data(1, rows)
            np.column_stack([x, y]).astype("<f8").tofile(paths[0])
            subprocess.run([program, str(COLUMNS), *paths, ONLY], check=True)
            for name, model in models().items():
                seconds = timed(model, x, y)
                auc = roc_auc_score(test_y, model.predict_proba(test_x)[:, 1])
                print(f"{name},{rows},{seconds:.5f},{auc:.4f}", flush=True)


def build():
    subprocess.run(["cargo", "build", "--quiet", "--release", "--example", "fit_models"], cwd=PROJECT, check=True)
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")) / "release" / "examples" / "fit_models"


def timed(model, x, y):
    repeats, before, seconds = 0, time.process_time(), 0.0
    while seconds < 0.3:
        model.fit(x, y)
        repeats, seconds = repeats + 1, time.process_time() - before
    return seconds / repeats


main()
