//! Everything as one page.

use super::question::Question;
use super::results::Results;
use engine::evaluation::report::Inside;
use engine::evaluation::report::LearningCurve;
use engine::evaluation::report::Page;

/// What the page shows.
pub fn page<'a>(question: &'a Question, results: &'a Results) -> Page<'a> {
    let Results { summary, costs, analyses, .. } = results;
    let (dataset, task) = (&question.dataset, &question.task);
    let count = |n: usize| n.to_string();
    let curve = analyses.curve.as_deref().zip(analyses.plan.as_deref());
    let inside = analyses.ablations.as_ref().zip(analyses.tradeoff.as_ref());
    let inside = inside.zip(analyses.inside.as_ref());
    Page {
        protocol: question.protocol,
        k: question.ks[0],
        data: vec![
            ("users", count(dataset.users.len())),
            ("items", count(dataset.items.len())),
            ("rows", count(dataset.rows.len())),
            ("positives", count(dataset.positives(task.positive))),
            ("users tested", summary.users.to_string()),
            ("cases", summary.cases.to_string()),
            ("seeds", count(question.seeds.len())),
        ],
        notes: &question.notes,
        summary,
        curve: curve.map(|(points, plan)| LearningCurve { points, plan }),
        inside: inside.map(|((ablations, tradeoff), (protocol, distance))| Inside {
            ablations,
            tradeoff,
            protocol: *protocol,
            distance,
        }),
        seconds: costs
            .iter()
            .map(|cost| cost.map(|cost| (cost.seconds, cost.rows_learnt)))
            .collect(),
        told: results.told(question),
    }
}
