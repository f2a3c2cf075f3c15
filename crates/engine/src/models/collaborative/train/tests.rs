//! Tests of training, and of the equalities that tie fold-in and online items to it.

use crate::models::collaborative::fold_in::FoldIn;
use crate::models::collaborative::online_items::{ItemAccumulator, ItemSolve};
use crate::models::collaborative::train::*;

/// Two groups of users and items: a user likes the items of its own parity, except the withheld diagonal.
fn checkerboard(n: usize) -> TrainingSet {
    let rows: Vec<Vec<(u32, f32)>> = (0..n)
        .map(|u| (0..n).filter(|i| *i != u && i % 2 == u % 2).map(|i| (i as u32, 1.0)).collect())
        .collect();
    TrainingSet::from_rows(n, &rows).unwrap()
}

/// Simulated users with tastes, long and short rows, uneven confidences.
fn world(n_users: usize, n_items: usize) -> TrainingSet {
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let rows: Vec<Vec<(u32, f32)>> = (0..n_users)
        .map(|u| {
            let length = 1 + rng.next_u32() as usize % if u % 5 == 0 { n_items / 2 } else { 20 };
            let mut items: Vec<u32> = (0..length)
                .map(|_| {
                    let any = rng.next_u32() as usize % n_items;
                    let skewed = any * (rng.next_u32() as usize % n_items) / n_items;
                    if rng.next_u32() % 4 == 0 { any } else { skewed / 8 * 8 + u % 8 }
                })
                .map(|i| i.min(n_items - 1) as u32)
                .collect();
            items.sort_unstable();
            items.dedup();
            items.into_iter().map(|i| (i, 0.5 + (i % 3) as f32 * 0.5)).collect()
        })
        .collect();
    TrainingSet::from_rows(n_items, &rows).unwrap()
}

fn small(factors: usize, epochs: usize) -> Hyperparameters {
    Hyperparameters { epochs, regularization: 0.01, ..Hyperparameters::with_factors(factors) }
}

fn run(set: &TrainingSet, hp: &Hyperparameters, warm: Option<&[f32]>) -> (Trained, Vec<f64>) {
    let mut losses = Vec::new();
    let trained = train(set, hp, warm, &mut |p| {
        losses.push(p.loss);
        ControlFlow::Continue(())
    });
    (trained.unwrap(), losses)
}

/// All users against the trained items, as good as exactly; and the loss but for the items' L2.
fn solved_users(set: &TrainingSet, trained: &Trained) -> (Vec<f32>, f64) {
    let k = trained.factors;
    let mut users = vec![0.0; set.n_users() * k];
    let weights = &trained.regularization;
    let loss = solve_users(set, &trained.item_factors, k, weights, EXACT, &mut users);
    (users, loss)
}

const EXACT: Effort = Effort { steps: 400, tolerance: 1e-12 };

fn user_row(set: &TrainingSet, trained: &Trained, user: usize) -> Vec<f32> {
    let k = trained.factors;
    let mut fold_in = FoldIn::new(k);
    let (items, confidences) = set.row(user);
    let events = items
        .iter()
        .zip(confidences)
        .map(|(i, c)| (&trained.item_factors[*i as usize * k..][..k], *c));
    let g = gram(&trained.item_factors, k);
    let mut out = vec![0.0; k];
    fold_in.solve(&g, &trained.regularization, events, None, &mut out);
    out
}

#[test]
fn the_withheld_diagonal_of_a_checkerboard_comes_out_on_top() {
    let n = 20;
    let set = checkerboard(n);
    let (trained, _) = run(&set, &small(4, 16), None);
    for user in 0..n {
        let w = user_row(&set, &trained, user);
        let mut scores = vec![0.0; n];
        numeric::dot_rows(&trained.item_factors, 4, &w, &mut scores);
        let best = (0..n)
            .filter(|i| !set.row(user).0.contains(&(*i as u32)))
            .max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        assert_eq!(best, Some(user));
    }
}

#[test]
fn the_loss_never_rises_and_equals_its_definition() {
    let set = world(60, 40);
    let (trained, losses) = run(&set, &small(8, 10), None);
    assert!(losses.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-5)), "{losses:?}");
    // The definition, at the users that the last item half-step saw, can only be checked after one more user step.
    let (k, weights) = (8, &trained.regularization);
    let (users, loss) = solved_users(&set, &trained);
    let mut exact = 0.0;
    for user in 0..set.n_users() {
        let w = &users[user * k..][..k];
        let (items, confidences) = set.row(user);
        for item in 0..set.n_items() {
            let h = &trained.item_factors[item * k..][..k];
            let score = f64::from(numeric::dot(w, h));
            exact += f64::from(weights.unobserved_weight) * score * score;
            if let Some(at) = items.iter().position(|i| *i as usize == item) {
                exact += f64::from(confidences[at]) * (1.0 - score) * (1.0 - score);
            }
        }
        exact += f64::from(weights.user(items.len())) * f64::from(numeric::sum_squares(w));
    }
    assert!((loss / exact - 1.0).abs() < 1e-4, "{loss} {exact}");
}

#[test]
fn training_is_bit_identical_with_one_and_four_threads() {
    let set = world(300, 120);
    for k in [5, 32] {
        let with_threads = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| run(&set, &small(k, 3), None))
        };
        assert_eq!(with_threads(1), with_threads(4));
    }
}

#[test]
fn fold_in_equals_the_user_half_step_of_training() {
    let set = world(80, 60);
    for k in [1, 7, 16, 64] {
        let (trained, _) = run(&set, &small(k, 4), None);
        let (users, _) = solved_users(&set, &trained);
        for user in 0..set.n_users() {
            let folded = user_row(&set, &trained, user);
            for (left, right) in folded.iter().zip(&users[user * k..][..k]) {
                assert!((left - right).abs() < 1e-4, "k={k} user={user}: {left} {right}");
            }
        }
    }
}

#[test]
fn fold_in_reproduces_the_ranking_of_the_trained_user() {
    let set = world(50, 64);
    let (trained, _) = run(&set, &small(16, 12), None);
    let (users, _) = solved_users(&set, &trained);
    for user in 0..set.n_users() {
        let best = |w: &[f32]| {
            let mut top = numeric::TopK::new(5);
            for (i, h) in trained.item_factors.chunks(16).enumerate() {
                // Rounded, so that ties within float noise break by index on both sides.
                top.push((numeric::dot(w, h) * 1e3).round(), i as u32);
            }
            top.into_sorted_vec().into_iter().map(|(i, _)| i).collect::<Vec<_>>()
        };
        let (folded, solved) = (user_row(&set, &trained, user), &users[user * 16..][..16]);
        let common = best(&folded).iter().filter(|i| best(solved).contains(i)).count();
        assert!(common >= 4, "user {user}");
    }
}

#[test]
fn the_online_item_solve_equals_the_item_half_step_for_fixed_users() {
    let set = world(80, 60);
    let k = 16;
    let (trained, _) = run(&set, &small(k, 4), None);
    let (users, _) = solved_users(&set, &trained);
    let by_item = set.transposed();
    let mut batch = vec![0.0; set.n_items() * k];
    solve_items(&by_item, &users, k, &trained.regularization, EXACT, &mut batch);
    let mut solver = ItemSolve::new(k);
    for item in 0..set.n_items() {
        let mut sums = ItemAccumulator::new(k);
        let (row, confidences) = by_item.row(item);
        for (user, confidence) in row.iter().zip(confidences) {
            sums.add(&users[*user as usize * k..][..k], *confidence);
        }
        let mut h = vec![0.0; k];
        solver.solve(&sums, &trained.user_gram, &trained.regularization, None, &mut h);
        for (left, right) in h.iter().zip(&batch[item * k..][..k]) {
            assert!((left - right).abs() < 1e-4, "item {item}: {left} {right}");
        }
    }
}

#[test]
fn a_warm_start_converges_faster() {
    let set = world(200, 100);
    let (cold, losses) = run(&set, &small(8, 8), None);
    let (_, warm) = run(&set, &small(8, 1), Some(&cold.item_factors));
    assert!(warm[0] < losses[0] && warm[0] <= losses[7] * 1.0001);
}

#[test]
fn empty_sets_and_unobserved_items_give_zero_factors() {
    let empty = TrainingSet::from_rows(0, &[]).unwrap();
    assert!(run(&empty, &small(4, 2), None).0.item_factors.is_empty());
    let silent = TrainingSet::from_rows(3, &[vec![], vec![]]).unwrap();
    let (trained, losses) = run(&silent, &small(4, 2), None);
    assert_eq!(trained.item_factors, vec![0.0; 12]);
    assert_eq!(losses, [0.0, 0.0]);
    let one = TrainingSet::from_rows(2, &[vec![(1, 1.0)]]).unwrap();
    let (trained, _) = run(&one, &small(1, 4), None);
    assert_eq!(trained.item_factors[0], 0.0);
    assert!(trained.item_factors[1] != 0.0);
}

#[test]
fn training_stops_when_told_and_rejects_bad_hyperparameters() {
    let set = checkerboard(6);
    let mut calls = 0;
    let stopped = train(&set, &small(2, 9), None, &mut |p| {
        calls += 1;
        if p.epoch == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((stopped, calls), (None, 2));
    let mut go = |_| ControlFlow::Continue(());
    assert_eq!(train(&set, &small(0, 1), None, &mut go), None);
}
