#!/usr/bin/env python3
"""Contextual bandits: this engine and Vowpal Wabbit, in one run.

Streams: `digits` (scikit-learn's, 10 arms, five passes, 8,985 events) and `synth20`
(20 classes, 20,000 events); the reward is 1 if the arm is the class. Printed for each
strategy: the progressive average reward over five seeds, and events a second of choosing
and learning on one thread. Then the same data as a logged stream by replay: the Open
Bandit log, if its path is given.

- VW's settings are `--cb_explore_adf -q ua` with first, squarecb, softmax, epsilon and
  regcbopt. For each, the best of a small grid on the first seed is what runs on all
  seeds: the comparison flatters VW. Ours are the engine's defaults.
- VW is timed twice: its Python calls, predict and learn on text, as a service in Python
  would use it; and its own C++ driver over a cache file of the decisions of that run,
  which has no text to parse and learns (and so predicts) each once. The faster counts.
- Ours is timed with everything a record goes through in the engine: features, choice
  with propensities, learning the selection, learning the reward.

    python3 crates/engine/benches/vw/compare.py [--seeds 5] [--streams digits,synth20] [--obd FILE]

Needs Python 3.9 or later; makes a virtual environment with `vowpalwabbit` and
`scikit-learn` below target/ and builds the release bench.
"""

import argparse
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
HOME = TARGET / "vw"
PACKAGES = ["vowpalwabbit==9.11.9", "scikit-learn==1.9.1"]


def in_virtual_environment():
    """Runs this script again where VW is installed."""
    python = HOME / "venv" / "bin" / "python"
    if pathlib.Path(sys.prefix) == HOME / "venv":
        return
    if not python.exists():
        venv.create(HOME / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    os.execv(python, [str(python), *sys.argv])


in_virtual_environment()

import numpy  # noqa: E402
import sklearn.datasets  # noqa: E402
import vowpalwabbit  # noqa: E402


def digits():
    x, y = sklearn.datasets.load_digits(return_X_y=True)
    x = numpy.round(x / 16, 5)
    order = [numpy.random.default_rng(100 + p).permutation(len(y)) for p in range(5)]
    order = numpy.concatenate(order)
    return x[order], y[order], 10


def synth20():
    x, y = sklearn.datasets.make_classification(
        20_000, n_features=20, n_informative=15, n_redundant=5, n_classes=20,
        n_clusters_per_class=1, class_sep=2.0, flip_y=0, random_state=0,
    )
    return numpy.round(x / 4, 5), y, 20


STREAMS = {"digits": digits, "synth20": synth20}

GRID = {
    "first": [f"--first {n} -l {rate}" for n, rate in [(300, 2), (500, 2), (2000, 2), (2000, 0.5)]],
    "squarecb": ["--squarecb -l 0.5", "--squarecb -l 2", "--squarecb --gamma_scale 1000 -l 2"],
    "softmax": [f"--softmax --lambda {n} -l {rate}" for n in (10, 20, 50) for rate in (0.5, 2)],
    "epsilon": [f"--epsilon {n} -l {rate}" for n in (0.02, 0.05) for rate in (0.5, 2)],
    "regcbopt": [
        f"--regcbopt --mellowness 0.001 --cb_min_cost -1 --cb_max_cost 0 -l {rate}"
        for rate in (0.5, 2)
    ],
}


class Wabbit:
    """One run of VW over a stream: it predicts, is told the reward of its choice, learns."""

    def __init__(self, arguments, arms, seed):
        common = f"--cb_explore_adf -q ua --quiet --random_seed {seed} {arguments}"
        self.workspace = vowpalwabbit.Workspace(common)
        self.random = numpy.random.default_rng(1_000 + seed)
        self.actions = [f"|a {arm}" for arm in range(arms)]

    def run(self, shared, labels, log=None):
        """Average reward and events a second."""
        won = 0
        started = time.perf_counter()
        for line, label in zip(shared, labels):
            shown = self.workspace.predict([line, *self.actions])
            shown = numpy.asarray(shown)
            arm = int(self.random.choice(len(shown), p=shown / shown.sum()))
            reward = int(arm == label)
            won += reward
            actions = list(self.actions)
            actions[arm] = f"0:{-reward}:{shown[arm]:.6g} {actions[arm]}"
            example = [line, *actions]
            self.workspace.learn(example)
            if log is not None:
                log.append("\n".join(example) + "\n\n")
        seconds = time.perf_counter() - started
        self.workspace.finish()
        return won / len(labels), len(labels) / seconds


def driver_rate(arguments, log, runs=3):
    """Events a second of VW's own driver over a cache of these decisions."""
    path, cache = HOME / "log.txt", HOME / "log.cache"
    path.write_text("".join(log))
    cache.unlink(missing_ok=True)
    common = f"--cb_explore_adf -q ua --quiet {arguments} -d {path} --cache_file {cache}"
    rates = []
    # The first run writes the cache.
    for _run in range(runs + 1):
        started = time.perf_counter()
        # Given a file, it learns all of it here.
        workspace = vowpalwabbit.Workspace(common)
        workspace.run_parser()
        rates.append(len(log) / (time.perf_counter() - started))
        assert workspace.get_weighted_examples() == len(log), "all of the log was learnt"
        workspace.finish()
    return max(rates[1:])


def wabbit(x, labels, arms, seeds):
    shared = ["shared |u " + " ".join(f"{i}:{v:g}" for i, v in enumerate(row) if v) for row in x]
    results = {}
    for name, grid in GRID.items():
        log, tried = [], []
        for arguments in grid:
            log = []
            tried.append((*Wabbit(arguments, arms, 1).run(shared, labels, log), arguments, log))
        reward, rate, arguments, log = max(tried, key=lambda run: run[0])
        rewards, rates = [reward], [rate]
        for seed in range(2, seeds + 1):
            again = Wabbit(arguments, arms, seed).run(shared, labels)
            rewards.append(again[0])
            rates.append(again[1])
        driver = driver_rate(arguments, log)
        results[name] = (rewards, max(rates), driver, arguments)
        report(f"vw {name}", rewards, max(max(rates), driver), f"python {max(rates):,.0f}/s, {arguments}")
    return results


def report(name, rewards, rate, note=""):
    spread = statistics.stdev(rewards) if len(rewards) > 1 else 0.0
    print(f"  {name:24} reward {statistics.mean(rewards):.4f} (sd {spread:.4f})"
          f"  {rate:>10,.0f} events/s  {note}", flush=True)


def ours(arguments):
    command = ["cargo", "bench", "-p", "personalization-engine", "-q", "--bench", "bandit", "--", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def compare(name, seeds):
    x, labels, arms = STREAMS[name]()
    path = HOME / f"{name}.csv"
    rows = (f"{label}," + ",".join(f"{v:g}" for v in row) for label, row in zip(labels, x))
    path.write_text("\n".join(rows) + "\n")
    print(f"{name}: {len(labels)} events, {x.shape[1]} features, {arms} arms, {seeds} seeds", flush=True)
    engine = []
    for run in ours(["stream", str(path), str(arms), str(seeds)]):
        engine.append((run["rewards"], run["events_per_second"], run["strategy"]))
        report(run["strategy"], run["rewards"], run["events_per_second"])
    vw = wabbit(x, labels, arms, seeds)
    mean = statistics.mean
    best_vw = max(vw.items(), key=lambda item: mean(item[1][0]))
    fastest_vw = max(max(python, driver) for _r, python, driver, _a in vw.values())
    best = max(engine, key=lambda run: mean(run[0]))
    print(f"  best of ours {best[2]} {mean(best[0]):.4f}, best of VW {best_vw[0]} {mean(best_vw[1][0]):.4f}: "
          f"ratio {mean(best[0]) / mean(best_vw[1][0]):.3f}")
    print(f"  throughput of {best[2]} over the fastest setting of VW: {best[1] / fastest_vw:.2f}, "
          f"over VW's best: {best[1] / max(best_vw[1][1:3]):.2f}", flush=True)


def replay(path, seeds):
    """Rounds of a uniformly random log in which a policy chooses as was chosen."""
    log = json.loads(pathlib.Path(path).read_text())
    rounds = list(zip(log["action"], log["reward"], log["position"]))
    csv = HOME / "obd.csv"
    csv.write_text("".join(f"{action},{reward},{position}\n" for action, reward, position in rounds))
    arms = max(log["action"]) + 1
    mean_logged = statistics.mean(log["reward"])
    print(f"Open Bandit log: {len(rounds)} rounds, {sum(log['reward'])} clicks, {arms} arms, "
          f"logged rate {mean_logged:.4f} (too few clicks to tell policies apart)")
    for run in ours(["replay", str(csv), str(arms), str(seeds)]):
        print(f"  {run['strategy']:24} {run['matched']} rounds matched, {run['clicks']} clicks")
    rewards = matched = 0
    for seed in range(1, seeds + 1):
        workspace = vowpalwabbit.Workspace(
            f"--cb_explore_adf -q ua --quiet --squarecb --random_seed {seed}")
        random = numpy.random.default_rng(seed)
        actions = [f"|a {arm}" for arm in range(arms)]
        for action, reward, position in rounds:
            line = f"shared |u p{position}"
            shown = numpy.asarray(workspace.predict([line, *actions]))
            arm = int(random.choice(arms, p=shown / shown.sum()))
            if arm != action:
                continue
            matched, rewards = matched + 1, rewards + reward
            example = list(actions)
            example[arm] = f"0:{-reward}:{shown[arm]:.6g} {example[arm]}"
            workspace.learn([line, *example])
        workspace.finish()
    print(f"  {'vw squarecb':24} {matched} rounds matched, {rewards} clicks", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--streams", default="digits,synth20")
    parser.add_argument("--obd", help="obd log as JSON with action, reward, position")
    given = parser.parse_args()
    subprocess.run(["cargo", "bench", "-p", "personalization-engine", "-q", "--no-run", "--bench", "bandit"], cwd=ROOT, check=True)
    for name in filter(None, given.streams.split(",")):
        compare(name, given.seeds)
    if given.obd:
        replay(given.obd, given.seeds)


if __name__ == "__main__":
    main()
