//! The learning curve: figures at each step of the cold-start protocol.

use serde::Serialize;

use crate::evaluation::facts::Facts;
use crate::evaluation::measured::Figure;
use crate::evaluation::measured::Measured;
use crate::evaluation::measured::Subset;
use crate::evaluation::protocols::Step;
use crate::evaluation::protocols::StepCases;
use crate::evaluation::summary::Summary;
use crate::evaluation::summary::headline;

/// Events from which on a recommender should be clearly better than popularity.
const CLEARLY_BETTER_AFTER: usize = 1;

/// All models at one step.
#[derive(Debug, Clone, Serialize)]
pub struct CurvePoint {
    /// Revealed events; absent: all before the test.
    pub events: Option<usize>,
    pub summary: Summary,
}

impl CurvePoint {
    /// Such as `1 event` or `warm`.
    pub fn label(&self) -> String {
        match self.events {
            None => "warm".to_owned(),
            Some(1) => "1 event".to_owned(),
            Some(events) => format!("{events} events"),
        }
    }

    /// The headline figure of a model.
    pub fn figure(&self, model: usize, k: usize) -> Option<&Figure> {
        self.summary.models[model].find(&headline(k, false), Subset::All)
    }
}

/// Models by name that walked through the same steps.
pub type Walks = Vec<(String, Vec<StepCases>)>;

/// Figures by step, as means over runs that walked through the same steps.
pub fn learning_curve(runs: &[Walks], ks: &[usize], facts: &Facts, seed: u64) -> Vec<CurvePoint> {
    let steps = runs.first().and_then(|walks| walks.first()).map_or(&[][..], |(_, steps)| steps);
    let measured = |walks: &Walks, at: usize| {
        let models: Vec<_> =
            walks.iter().map(|(name, steps)| (name.clone(), steps[at].cases.clone())).collect();
        Measured::of(&models, ks, facts)
    };
    let point = |(at, step): (usize, &StepCases)| {
        let measured: Vec<Measured> = runs.iter().map(|walks| measured(walks, at)).collect();
        let events = match step.step {
            Step::Events(events) => Some(events),
            Step::Warm => None,
        };
        CurvePoint { events, summary: Summary::of(&Measured::mean(&measured), seed) }
    };
    steps.iter().enumerate().map(point).collect()
}

/// What the curve says, in plain words: against popularity after the first event, and
/// how much of the warm figure is there at the last step before it.
pub fn verdicts(points: &[CurvePoint], k: usize) -> Vec<String> {
    let metric = headline(k, false);
    let mut verdicts = Vec::new();
    let first = points.iter().find(|point| point.events == Some(CLEARLY_BETTER_AFTER));
    for gain in first.iter().flat_map(|point| &point.summary.comparisons) {
        let Some(gained) = gain.figures.iter().find(|figure| figure.metric == metric) else {
            continue;
        };
        let (low, high) = (gained.low.unwrap_or(f64::NAN), gained.high.unwrap_or(f64::NAN));
        verdicts.push(format!(
            "After one event {} is {} {} by {metric}: a difference of {:.4} (95 % interval {low:.4} to {high:.4}).",
            gain.model,
            if low > 0.0 { "above" } else if high < 0.0 { "below" } else { "not told apart from" },
            gain.baseline,
            gained.point,
        ));
    }
    let upto = points.iter().rev().find(|point| point.events.is_some());
    let warm = points.iter().find(|point| point.events.is_none());
    if let (Some(upto), Some(warm)) = (upto, warm)
        && let (Some(reached), Some(full)) = (upto.figure(0, k), warm.figure(0, k))
    {
        verdicts.push(format!(
            "After {} {} has {:.0} % of its warm {metric}: {:.4} of {:.4}.",
            upto.label(),
            upto.summary.models[0].model,
            100.0 * reached.point / full.point,
            reached.point,
            full.point,
        ));
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::evaluation::DatasetBuilder;
    use crate::evaluation::protocols::Case;

    fn steps(hits_by_step: &[bool]) -> Vec<StepCases> {
        let case = |user, is_hit| Case {
            user,
            had: 0..0,
            list: vec![if is_hit { 0 } else { 1 }],
            expected: Vec::new(),
            relevant: vec![0],
            rank: None,
        };
        let plan = [Step::Events(1), Step::Warm];
        let at = |(step, &is_hit): (Step, &bool)| StepCases {
            step,
            cases: vec![case(0, is_hit), case(1, true)],
        };
        plan.into_iter().zip(hits_by_step).map(at).collect()
    }

    #[test]
    fn each_step_has_the_figures_of_every_model_and_the_verdicts_compare_them() {
        let mut builder = DatasetBuilder::default();
        for (user, item) in [("a", "x"), ("b", "y")] {
            builder.add_interaction(user, item, 1.0, Timestamp::default());
        }
        let facts = Facts::new(&builder.build(), 1.0, |_| true);
        let walks = vec![
            ("engine".to_owned(), steps(&[false, true])),
            ("other".to_owned(), steps(&[true, true])),
        ];
        let points = learning_curve(&[walks], &[1], &facts, 1);
        let labels: Vec<String> = points.iter().map(CurvePoint::label).collect();
        assert_eq!(labels, ["1 event", "warm"]);
        assert_eq!(points[0].figure(0, 1).unwrap().point, 0.5);
        assert_eq!(points[0].figure(1, 1).unwrap().point, 1.0);
        let told = verdicts(&points, 1);
        assert!(told[0].contains("not told apart from other"), "{told:?}");
        assert!(told[1].contains("50 % of its warm NDCG@1: 0.5000 of 1.0000"), "{told:?}");
    }
}
