//! What a summary says of the engine, in plain words: against the best plain model, and against all of them.

use crate::evaluation::served;
use crate::evaluation::summary::Comparison;
use crate::evaluation::summary::Summary;

/// How the first model compares with another one, by the interval of their difference.
enum Judgement {
    Better,
    Worse,
    NotToldApart,
}

/// A sentence on the plain model that is best by the metric, and one on all of them if there are several.
pub fn verdicts(summary: &Summary, metric: &str) -> Vec<String> {
    let is_plain = |gain: &&Comparison| !served::is_served(&gain.baseline);
    let plain: Vec<&Comparison> = summary.comparisons.iter().filter(is_plain).collect();
    let point =
        |gain: &Comparison| summary.figure(&gain.baseline, metric).map_or(f64::NAN, |it| it.point);
    let best = plain.iter().max_by(|a, b| point(a).total_cmp(&point(b)));
    let of_best = best.and_then(|gain| of_one(summary, gain, metric, plain.len()));
    let of_all = (plain.len() > 1).then(|| of_all(summary, &plain, metric));
    of_best.into_iter().chain(of_all).collect()
}

fn judged(summary: &Summary, gain: &Comparison, metric: &str) -> Option<Judgement> {
    let difference = summary.gain(&gain.baseline, metric)?;
    let (low, high) = difference.low.zip(difference.high)?;
    Some(match (low, high) {
        _ if low > 0.0 => Judgement::Better,
        _ if high < 0.0 => Judgement::Worse,
        _ => Judgement::NotToldApart,
    })
}

/// Such as `By NDCG@10, engine ranks better than popularity: 0.0500 against 0.0240, ...`.
fn of_one(summary: &Summary, gain: &Comparison, metric: &str, of: usize) -> Option<String> {
    let Comparison { model, baseline, .. } = gain;
    let name = match of {
        1 => baseline.clone(),
        _ => format!("{baseline}, the best of {of} plain models"),
    };
    let words = match judged(summary, gain, metric)? {
        Judgement::Better => format!("{model} ranks better than {name}"),
        Judgement::Worse => format!("{model} ranks worse than {name}"),
        Judgement::NotToldApart => format!("these data do not tell {model} apart from {name}"),
    };
    let difference = summary.gain(baseline, metric)?;
    Some(format!(
        "By {metric}, {words}: {:.4} against {:.4}, a difference of {:.4} (95 % interval {:.4} to {:.4}).",
        summary.figure(model, metric)?.point,
        summary.figure(baseline, metric)?.point,
        difference.point,
        difference.low?,
        difference.high?,
    ))
}

fn of_all(summary: &Summary, plain: &[&Comparison], metric: &str) -> String {
    let (mut better, mut worse, mut alike) = (0, Vec::new(), Vec::new());
    for gain in plain {
        match judged(summary, gain, metric) {
            Some(Judgement::Better) => better += 1,
            Some(Judgement::Worse) => worse.push(gain.baseline.as_str()),
            Some(Judgement::NotToldApart) | None => alike.push(gain.baseline.as_str()),
        }
    }
    let mut words = format!("{better} of {} plain models rank worse than it", plain.len());
    for (names, what) in [(alike, "not told apart"), (worse, "better than it")] {
        if !names.is_empty() {
            words += &format!("; {what}: {}", names.join(", "));
        }
    }
    format!("{words}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::measured::Figure;
    use crate::evaluation::measured::Subset;
    use crate::evaluation::summary::ModelFigures;

    fn figure(point: f64, low: f64, high: f64) -> Figure {
        let (metric, low, high) = ("NDCG@1".to_owned(), Some(low), Some(high));
        Figure { metric, k: Some(1), subset: Subset::All, point, low, high, n: 7 }
    }

    /// An engine of .25 against models: name, figure, what the engine gains at least and at most.
    fn summary(models: &[(&str, f64, f64, f64)]) -> Summary {
        let model = |(name, point): (&str, f64)| ModelFigures {
            model: name.to_owned(),
            figures: vec![figure(point, 0.1, 0.4)],
        };
        let gain = |&(name, point, low, high): &(&str, f64, f64, f64)| Comparison {
            model: "engine".to_owned(),
            baseline: name.to_owned(),
            figures: vec![figure(0.25 - point, low, high)],
        };
        let others = models.iter().map(|&(name, point, ..)| (name, point));
        Summary {
            users: 7,
            cases: 7,
            models: std::iter::once(("engine", 0.25)).chain(others).map(model).collect(),
            comparisons: models.iter().map(gain).collect(),
        }
    }

    #[test]
    fn the_verdict_follows_the_interval() {
        let of = |low, high| verdicts(&summary(&[("popularity", 0.2, low, high)]), "NDCG@1");
        assert_eq!(
            of(0.01, 0.1),
            [
                "By NDCG@1, engine ranks better than popularity: 0.2500 against 0.2000, a difference \
              of 0.0500 (95 % interval 0.0100 to 0.1000)."
            ]
        );
        assert!(of(-0.1, -0.01)[0].contains("engine ranks worse than popularity"));
        assert!(of(-0.1, 0.1)[0].contains("do not tell engine apart from popularity"));
    }

    #[test]
    fn the_best_plain_model_is_named_and_the_engine_as_served_is_none() {
        let told = verdicts(
            &summary(&[
                (served::SERVED, 0.24, 0.0, 0.1),
                ("popularity", 0.1, 0.1, 0.2),
                ("sequence", 0.2, -0.1, 0.1),
            ]),
            "NDCG@1",
        );
        assert!(told[0].contains("apart from sequence, the best of 2 plain models"), "{told:?}");
        assert_eq!(told[1], "1 of 2 plain models rank worse than it; not told apart: sequence.");
    }
}
