#!/usr/bin/env python3
"""Training of implicit ALS: this engine beside the `implicit` library, in one run.

Both get the same observations, factors, iterations and cores, in turns, several times;
printed are seconds per epoch (median over the runs), the ratio, and NDCG@10 and
Recall@20 on the same leave-last-out split. `implicit` runs with conjugate gradient (its
default) and exact. Their hyperparameters are those that are best for it among a small
grid on the test items, ours are the engine's defaults: the comparison flatters it.

    python3 benches/implicit/compare.py [--factors 64] [--epochs 16] [--runs 3]

Needs Python 3.9 or later; makes a virtual environment with `implicit` below target/ and
builds the release bench. The larger data set is made here, from a fixed seed.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
HOME = TARGET / "implicit"
VERSION = "0.7.3"


def in_virtual_environment():
    """Runs this script again where `implicit` is installed."""
    python = HOME / "venv" / "bin" / "python"
    if pathlib.Path(sys.prefix) == HOME / "venv":
        return
    if not python.exists():
        venv.create(HOME / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", f"implicit=={VERSION}"], check=True)
    os.execv(python, [str(python), *sys.argv])


in_virtual_environment()

import numpy  # noqa: E402
import scipy.sparse  # noqa: E402


def movielens():
    """The last positive of each user and what came before it, as `evaluate` splits."""
    rows = numpy.genfromtxt(ROOT / "examples/movielens/ratings.csv", delimiter=",", skip_header=1)
    rows = rows[numpy.argsort(rows[:, 3], kind="stable")]
    rows = rows[rows[:, 2] >= 4.0]
    users = numpy.unique(rows[:, 0], return_inverse=True)[1]
    items = numpy.unique(rows[:, 1], return_inverse=True)[1]
    return leave_last_out(users, items)


def synthetic(n_users=6_000, n_items=3_700, observations=800_000, seed=7):
    """People of 24 tastes over items whose popularity falls off like that of films."""
    rng = numpy.random.default_rng(seed)
    popularity = 1.0 / (numpy.arange(n_items) + 20.0) ** 0.9
    item_tastes = rng.gamma(0.25, size=(n_items, 24))
    activity = rng.lognormal(0.0, 0.95, n_users)
    activity = numpy.clip(activity / activity.sum() * observations, 15, n_items // 3).astype(int)
    users, items = [], []
    for user, count in enumerate(activity):
        taste = rng.dirichlet(numpy.full(24, 0.12))
        weight = popularity * (item_tastes @ taste + 0.05)
        # The largest of weight^(1/uniform) are a draw without replacement.
        keys = numpy.log(rng.random(n_items)) / weight
        chosen = rng.permutation(numpy.argpartition(-keys, count)[:count])
        users.append(numpy.full(count, user))
        items.append(chosen)
    return leave_last_out(numpy.concatenate(users), numpy.concatenate(items))


def leave_last_out(users, items):
    """A matrix of all but each user's last item, and the last items (-1: not tested)."""
    n_users, n_items = users.max() + 1, items.max() + 1
    last = numpy.full(n_users, -1)
    last[users] = numpy.arange(len(users))  # Of repeated indices the last is kept.
    is_training = numpy.ones(len(users), dtype=bool)
    is_training[last[last >= 0]] = False
    values = numpy.ones(is_training.sum(), dtype=numpy.float32)
    matrix = scipy.sparse.csr_matrix(
        (values, (users[is_training], items[is_training])), shape=(n_users, n_items)
    )
    matrix.data[:] = 1.0
    tests = numpy.where(numpy.diff(matrix.indptr) > 0, items[last], -1)
    return matrix, tests


def quality(matrix, tests, user_factors, item_factors):
    """NDCG@10 and Recall@20 among all items that the user did not have."""
    gain, found, n = 0.0, 0, 0
    for user in numpy.flatnonzero(tests >= 0):
        scores = item_factors @ user_factors[user]
        scores[matrix.indices[matrix.indptr[user] : matrix.indptr[user + 1]]] = -numpy.inf
        rank = 1 + (scores > scores[tests[user]]).sum()
        gain += 1.0 / numpy.log2(rank + 1) if rank <= 10 else 0.0
        found += rank <= 20
        n += 1
    return gain / n, found / n


def run_ours(binary, path, matrix, options, threads):
    """Seconds per epoch, item factors, user factors."""
    output = HOME / "factors.bin"
    words = [options.factors, options.epochs, options.regularization, options.unobserved, 1.0]
    command = [binary, path, output, *map(str, words)]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    factors = numpy.fromfile(output, dtype="<f4").reshape(-1, options.factors)
    seconds = json.loads(done.stdout)["mean_seconds"]
    n_items = matrix.shape[1]
    return seconds, factors[n_items:], factors[:n_items]


def run_implicit(matrix, options, threads, use_cg, settings):
    """The same of `implicit`, whose iterations are timed by its own callback."""
    from implicit.cpu.als import AlternatingLeastSquares

    regularization, alpha = settings
    model = AlternatingLeastSquares(
        factors=options.factors, iterations=options.epochs, regularization=regularization,
        alpha=alpha, use_cg=use_cg, num_threads=threads, random_state=1,
    )
    epochs = []
    model.fit(matrix, show_progress=False, callback=lambda _, seconds, *rest: epochs.append(seconds))
    return statistics.mean(epochs[1:]), model.user_factors, model.item_factors


def best_settings(matrix, tests, options):
    """What suits `implicit` best, by NDCG@10 on the test items themselves."""
    grid = [(r, a) for r in (0.01, 1.0, 10.0, 50.0) for a in (1.0, 5.0, 20.0)]

    def score(settings):
        _, users, items = run_implicit(matrix, options, os.cpu_count(), True, settings)
        return quality(matrix, tests, users, items)[0]

    return max(grid, key=score)


def bench_binary():
    command = ["cargo", "bench", "--bench", "ials", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    return next(m["executable"] for m in messages if m.get("target", {}).get("name") == "ials" and m.get("executable"))


def compare(name, matrix, tests, binary, options):
    path = HOME / f"{name}.txt"
    coo = matrix.tocoo()
    with open(path, "w") as file:
        file.write(f"{matrix.shape[0]} {matrix.shape[1]}\n")
        numpy.savetxt(file, numpy.stack([coo.row, coo.col], axis=1), fmt="%d")
    settings = best_settings(matrix, tests, options)
    print(f"\n{name}: {matrix.shape[0]} users, {matrix.shape[1]} items, {matrix.nnz} observations, "
          f"k = {options.factors}, {options.epochs} epochs; implicit: regularization, alpha = {settings}")
    for threads in (1, 2):
        runs = {"ours": [], "implicit, conjugate gradient": [], "implicit, exact": []}
        figures = {}
        for _ in range(options.runs):
            for kind in runs:
                if kind == "ours":
                    seconds, users, items = run_ours(binary, path, matrix, options, threads)
                else:
                    exact = kind.endswith("exact")
                    seconds, users, items = run_implicit(matrix, options, threads, not exact, settings)
                runs[kind].append(seconds)
                figures[kind] = (users, items)
        own = statistics.median(runs["ours"])
        for kind, seconds in runs.items():
            ndcg, recall = quality(matrix, tests, *figures[kind])
            median = statistics.median(seconds)
            print(f"  {threads} thread(s)  {kind:30} {median:8.4f} s/epoch  {median / own:5.2f} of ours  "
                  f"NDCG@10 {ndcg:.4f}  Recall@20 {recall:.4f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--regularization", type=float, default=0.006)
    parser.add_argument("--unobserved", type=float, default=0.2)
    options = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    HOME.mkdir(parents=True, exist_ok=True)
    binary = bench_binary()
    compare("movielens", *movielens(), binary, options)
    compare("synthetic", *synthetic(), binary, options)


if __name__ == "__main__":
    main()
