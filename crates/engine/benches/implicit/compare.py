#!/usr/bin/env python3
"""Training of implicit ALS: this engine and the `implicit` library, in one run.

Both get the same observations, factors, iterations and threads, in turns, several times. Printed are
milliseconds per iteration (median over the runs), the median ratio of runs next to each other, the same
ratio for the whole training (ours ends with one more pass over the users), and NDCG@10 and Recall@20 on
each user's newest fifth, with the difference of the NDCGs paired by user and its 95 % interval.

`implicit` runs by conjugate gradient (its default and its fastest) and, with --exact, by Cholesky too.
Both get the same twelve settings to choose from, translated so that they minimize the same loss, by
NDCG@10 on a validation split of the training part, made in the same way. Nobody sees the test items.

    python3 crates/engine/benches/implicit/compare.py [--factors 64 128] [--threads 1 2] [--iterations 16] [--runs 5]

Needs Python 3.9 or later. Where `implicit` is not installed, it goes into a virtual environment
below target/. Builds the bench `ials`, or runs the one given by --binary. Data: examples/movielens
and a synthetic set of the size and shape of MovieLens 1M, made here from a fixed seed.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parents[4]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
HOME = TARGET / "implicit"
VERSION = "0.7.3"

# `implicit` parallelizes over rows and asks for a BLAS that does not; read when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")


def where_implicit_is():
    """Runs this script again in a virtual environment, unless `implicit` is here."""
    if importlib.util.find_spec("implicit"):
        return
    python = HOME / "venv" / "bin" / "python"
    if not python.exists():
        venv.create(HOME / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", f"implicit=={VERSION}"], check=True)
    os.execv(python, [str(python), *sys.argv])


where_implicit_is()

import implicit  # noqa: E402
import numpy  # noqa: E402
import scipy.sparse  # noqa: E402
from implicit.cpu.als import AlternatingLeastSquares  # noqa: E402

# Regularization and alpha of `implicit`.
GRID = [(regularization, alpha) for regularization in (1.0, 10.0, 50.0, 100.0) for alpha in (2.0, 8.0, 30.0)]


def translated(settings, matrix):
    """The same loss in our terms: regularization, unobserved weight, frequency exponent.

    `implicit` weighs every square of a score by 1, that of an observed one by alpha, and wants
    alpha times the sum of the observed. Divided by alpha - 1, with factors in units in which the
    target is 1, that is our loss with L2 weight regularization / alpha and exponent 0; at
    exponent 0 ours is stated on the scale of exponent 1 (`hyperparameters.rs`).
    """
    regularization, alpha = settings
    unobserved = 1.0 / (alpha - 1.0)
    users, items = matrix.shape
    scale = 2.0 * (matrix.nnz + unobserved * users * items) / (users + items)
    return regularization / alpha / scale, unobserved, 0.0


def movielens():
    """Positives in order of time, as `evaluate` takes them."""
    rows = numpy.genfromtxt(ROOT / "examples/movielens/ratings.csv", delimiter=",", skip_header=1)
    rows = rows[numpy.argsort(rows[:, 3], kind="stable")]
    rows = rows[rows[:, 2] >= 4.0]
    users = numpy.unique(rows[:, 0], return_inverse=True)[1]
    items = numpy.unique(rows[:, 1], return_inverse=True)[1]
    return users, items


def synthetic(n_users=6_040, n_items=3_706, observations=800_000, seed=7):
    """Users of 24 tastes over items whose popularity falls off like that of films."""
    rng = numpy.random.default_rng(seed)
    popularity = 1.0 / (numpy.arange(n_items) + 20.0) ** 0.9
    item_tastes = rng.gamma(0.25, size=(n_items, 24))
    activity = rng.lognormal(0.0, 0.95, n_users)
    activity = numpy.clip(activity / activity.sum() * observations, 15, n_items // 3).astype(int)
    users, items = [], []
    for user, count in enumerate(activity):
        taste = rng.dirichlet(numpy.full(24, 0.12))
        weight = popularity * (item_tastes @ taste + 0.05)
        # The largest of uniform^(1/weight) are a draw without replacement.
        keys = numpy.log(rng.random(n_items)) / weight
        users.append(numpy.full(count, user))
        items.append(rng.permutation(numpy.argpartition(-keys, count)[:count]))
    return numpy.concatenate(users), numpy.concatenate(items)


class Split:
    """A matrix of all but each user's newest fifth, those items (at least one), and the rows left."""

    def __init__(self, users, items, shape):
        counts = numpy.bincount(users, minlength=shape[0])
        by_user = numpy.argsort(users, kind="stable")
        ends = numpy.cumsum(counts)
        from_end = numpy.empty(len(users), dtype=int)
        from_end[by_user] = ends[users[by_user]] - 1 - numpy.arange(len(users))
        kept = from_end >= numpy.maximum(counts // 5, 1)[users]
        self.users, self.items = users[kept], items[kept]
        self.matrix = self.sparse(self.users, self.items, shape)
        self.tests = self.sparse(users[~kept], items[~kept], shape)

    @staticmethod
    def sparse(users, items, shape):
        values = numpy.ones(len(users), dtype=numpy.float32)
        matrix = scipy.sparse.csr_matrix((values, (users, items)), shape=shape)
        matrix.data[:] = 1.0
        return matrix

    def quality(self, user_factors, item_factors):
        """NDCG@10 and Recall@20 of each tested user, among all items that the user did not have."""
        gains, recalls = [], []
        discounts = 1.0 / numpy.log2(numpy.arange(2, 12))
        for user in range(self.matrix.shape[0]):
            had, expected = (m.indices[m.indptr[user]:m.indptr[user + 1]] for m in (self.matrix, self.tests))
            if len(had) == 0:
                continue
            # A score that is no number comes last; ties go to the lower index.
            scores = numpy.nan_to_num(item_factors @ user_factors[user], nan=-numpy.inf)
            scores[had] = -numpy.inf
            found = numpy.isin(numpy.argsort(-scores, kind="stable")[:20], expected)
            gains.append(found[:10] @ discounts / discounts[:len(expected)].sum())
            recalls.append(found.sum() / len(expected))
        return numpy.array(gains), numpy.array(recalls)

    def write(self, path):
        """The file that the bench `ials` reads."""
        matrix = self.matrix.tocoo()
        with open(path, "w") as file:
            file.write(f"{matrix.shape[0]} {matrix.shape[1]}\n")
            numpy.savetxt(file, numpy.stack([matrix.row, matrix.col], axis=1), fmt="%d")


def run_ours(binary, path, n_items, factors, iterations, threads, settings):
    """Seconds per iteration and of the whole training, user factors, item factors."""
    output = HOME / "factors.bin"
    words = [path, output, factors, iterations, *settings]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    done = subprocess.run([binary, *map(str, words)], check=True, capture_output=True, text=True,
                          env=environment)
    both = numpy.fromfile(output, dtype="<f4").reshape(-1, factors)
    figures = json.loads(done.stdout)
    return (figures["mean_seconds"], figures["seconds"]), both[n_items:], both[:n_items]


def run_implicit(matrix, factors, iterations, threads, use_cg, settings):
    """The same of `implicit`, whose iterations are timed by its own callback."""
    regularization, alpha = settings
    model = AlternatingLeastSquares(
        factors=factors, iterations=iterations, regularization=regularization, alpha=alpha,
        use_cg=use_cg, num_threads=threads, random_state=1,
    )
    seconds, start = [], time.perf_counter()
    model.fit(matrix, show_progress=False, callback=lambda _, passed, *rest: seconds.append(passed))
    whole = time.perf_counter() - start
    return (statistics.mean(seconds[1:]), whole), model.user_factors, model.item_factors


def compare(name, rows, factors, binary, options):
    users, items = rows
    shape = (users.max() + 1, items.max() + 1)
    split = Split(users, items, shape)
    path = HOME / f"{name}.txt"
    validation = Split(split.users, split.items, shape)
    validation.write(path)

    def ours(on, threads, settings):
        own = translated(settings, on.matrix)
        return run_ours(binary, path, shape[1], factors, options.iterations, threads, own)

    def theirs(on, threads, settings, use_cg=True):
        return run_implicit(on.matrix, factors, options.iterations, threads, use_cg, settings)

    def best(train):
        both = max(options.threads)
        return max(GRID, key=lambda settings: validation.quality(*train(validation, both, settings)[1:])[0].mean())

    own, other = best(ours), best(theirs)
    split.write(path)
    print(f"\n{name}: {shape[0]} users, {shape[1]} items, {split.matrix.nnz} observations, k = {factors}, "
          f"{options.iterations} iterations\n  chosen on validation, regularization and alpha: ours {own}, "
          f"implicit {other}")
    kinds = {"ours": lambda threads: ours(split, threads, own),
             "implicit, conjugate gradient": lambda threads: theirs(split, threads, other)}
    if options.exact:
        kinds["implicit, exact"] = lambda threads: theirs(split, threads, other, use_cg=False)
    for threads in options.threads:
        seconds, figures = {kind: [] for kind in kinds}, {}
        for _ in range(options.runs):
            for kind, run in kinds.items():
                passed, *factors_of = run(threads)
                seconds[kind].append(passed)
                figures[kind] = factors_of
        gains = {}
        for kind in kinds:
            gains[kind], found = split.quality(*figures[kind])
            ratios, wholes = (
                [theirs[which] / ours[which] for theirs, ours in zip(seconds[kind], seconds["ours"])]
                for which in (0, 1)
            )
            median = statistics.median(iteration for iteration, _ in seconds[kind])
            line = (f"  {threads} thread(s)  {kind:28}  {median * 1e3:7.2f} ms/iteration  "
                    f"NDCG@10 {gains[kind].mean():.4f}  Recall@20 {found.mean():.4f}")
            if kind != "ours":
                gap = gains["ours"] - gains[kind]
                margin = 1.96 * gap.std() / len(gap) ** 0.5
                line += (f"  time x ours: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
                         f"whole training {statistics.median(wholes):.2f}; "
                         f"ours - theirs: NDCG {gap.mean():+.4f} +- {margin:.4f}")
            print(line, flush=True)


def bench_binary():
    command = ["cargo", "bench", "-p", "personalization-engine", "--bench", "ials", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    return next(m["executable"] for m in messages
                if m.get("target", {}).get("name") == "ials" and m.get("executable"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factors", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--iterations", type=int, default=16)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--exact", action="store_true", help="implicit's Cholesky solver too")
    parser.add_argument("--data", nargs="+", choices=["movielens", "synthetic"], default=["movielens", "synthetic"])
    parser.add_argument("--binary", help="the bench `ials`, built already")
    options = parser.parse_args()
    HOME.mkdir(parents=True, exist_ok=True)
    binary = options.binary or bench_binary()
    print(f"implicit {implicit.__version__}, numpy {numpy.__version__}, {os.cpu_count()} processors")
    for name in options.data:
        rows = {"movielens": movielens, "synthetic": synthetic}[name]()
        for factors in options.factors:
            compare(name, rows, factors, binary, options)


if __name__ == "__main__":
    main()
