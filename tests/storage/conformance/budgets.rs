//! Privacy budgets: what is spent is kept, and never more than there is.

use std::sync::Arc;

use engine::domain::Timestamp;
use personalization::storage::Budgets;
use personalization::storage::Chain;
use personalization::storage::NamespaceStore;
use personalization::storage::Position;
use personalization::storage::SpendOutcome;
use personalization::storage::Spending;

use super::NOW;
use super::create;
use super::default_of;
use super::is_no_namespace;

const START: Timestamp = NOW;
const LIMIT: u64 = 1_000;

fn spending(id: &str, after_ms: i64, nano_rho: u64) -> Spending {
    Spending {
        spending_id: id.to_owned(),
        spent_at: START.plus_millis(after_ms),
        analyst: "ada".to_owned(),
        query: format!("{{\"cost\":{nano_rho}}}"),
        nano_rho,
        log_end: Position { sequence: 7, chain: Chain::from_column(-5), revision: 0 },
    }
}

/// What is spent adds up to the limit and no further, and is known after a reopen.
pub fn what_is_spent_is_kept_and_never_above_the_limit<S: Budgets + NamespaceStore>(
    open: impl Fn() -> Arc<S>,
) {
    let store = open();
    let partition = default_of(&*store);
    let spend = |store: &S, one: &Spending| store.spend(&partition, one, START, LIMIT).unwrap();
    let (first, second) = (spending("1", 0, 600), spending("2", 1, 400));
    assert_eq!(spend(&store, &first), SpendOutcome { is_spent: true, spent: 600 });
    let refused = SpendOutcome { is_spent: false, spent: 600 };
    assert_eq!(spend(&store, &spending("x", 1, 401)), refused);
    assert_eq!(spend(&store, &spending("x", 1, u64::MAX)), refused);
    assert_eq!(spend(&store, &second), SpendOutcome { is_spent: true, spent: 1_000 });
    assert!(!spend(&store, &spending("x", 2, 1)).is_spent);
    drop(store);
    let store = open();
    assert!(!spend(&store, &spending("x", 2, 1)).is_spent);
    let ledger = store.ledger(&partition, START, 10).unwrap();
    assert_eq!((ledger.spent, ledger.spendings), (1_000, vec![second, first]));
    let told = store.ledger(&partition, START, 1).unwrap();
    assert_eq!((told.spent, told.spendings.len()), (1_000, 1));
    let later = START.plus_millis(1);
    assert_eq!(store.ledger(&partition, later, 10).unwrap().spent, 400, "a period from then on");
}

/// An answer is given to the same query of its period only, and not before it was stored.
pub fn answers_are_given_again_within_their_period(
    store: &(impl Budgets + NamespaceStore + ?Sized),
) {
    let partition = default_of(store);
    let (first, again) = (spending("1", 0, 10), spending("2", 1, 10));
    for one in [&first, &again] {
        store.spend(&partition, one, START, LIMIT).unwrap();
        assert_eq!(store.released(&partition, &first.query, START).unwrap(), None);
    }
    store.keep_answer(&partition, "2", "[2]").unwrap();
    store.keep_answer(&partition, "1", "[1]").unwrap();
    let released = store.released(&partition, &first.query, START).unwrap().unwrap();
    assert_eq!((released.spending, &*released.answer), (first.clone(), "[1]"));
    assert_eq!(store.released(&partition, "another", START).unwrap(), None);
    let next = START.plus_millis(1_000);
    assert_eq!(store.released(&partition, &first.query, next).unwrap(), None);
    store.spend(&partition, &spending("3", 1_000, 10), next, LIMIT).unwrap();
    assert_eq!(store.released(&partition, &first.query, START).unwrap(), None, "it is removed");
    assert_eq!(store.ledger(&partition, START, 10).unwrap().spent, 30, "what was spent stays");
}

/// A namespace has a ledger of its own, which goes with it.
pub fn a_ledger_is_of_one_namespace_and_goes_with_it(
    store: &(impl Budgets + NamespaceStore + ?Sized),
) {
    let (shop, default) = (create(store, "shop"), default_of(store));
    assert!(store.spend(&shop, &spending("1", 0, LIMIT), START, LIMIT).unwrap().is_spent);
    assert!(store.spend(&default, &spending("1", 0, LIMIT), START, LIMIT).unwrap().is_spent);
    store.delete(&shop).unwrap();
    assert!(is_no_namespace(store.ledger(&shop, START, 1)));
    assert!(is_no_namespace(store.spend(&shop, &spending("2", 0, 1), START, LIMIT)));
    assert!(is_no_namespace(store.keep_answer(&shop, "1", "[]")));
    assert!(is_no_namespace(store.released(&shop, "", START)));
    let again = create(store, "shop");
    assert_eq!(store.ledger(&again, START, 1).unwrap().spent, 0);
}

/// However many spend at the same time through these handles, they spend the limit and no more.
pub fn spendings_at_the_same_time_never_pass_the_limit<S: Budgets + NamespaceStore>(
    stores: &[Arc<S>],
) {
    let partition = default_of(&*stores[0]);
    let spent: u64 = std::thread::scope(|scope| {
        let spend = |thread: usize| {
            let (store, partition) = (&stores[thread % stores.len()], &partition);
            scope.spawn(move || {
                let one = |n| spending(&format!("{thread}-{n}"), n, 30);
                let outcomes = (0..10).map(|n| store.spend(partition, &one(n), START, LIMIT));
                let spent = outcomes.filter(|outcome| outcome.as_ref().unwrap().is_spent);
                30 * spent.count() as u64
            })
        };
        let threads: Vec<_> = (0..6).map(spend).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(spent, 990);
    assert_eq!(stores[0].ledger(&partition, START, 0).unwrap().spent, 990);
}
