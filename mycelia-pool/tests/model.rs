//! Random acquires, releases and trims against a plain count.
#![cfg(not(mycelia_loom))]

use mycelia_pool::{Exhaustion, Pool};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Acquire,
    Release(usize),
    ReleaseElsewhere(usize),
    Warm(usize),
    Trim,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Acquire),
        4 => any::<usize>().prop_map(Step::Release),
        1 => any::<usize>().prop_map(Step::ReleaseElsewhere),
        1 => (0_usize..40).prop_map(Step::Warm),
        1 => Just(Step::Trim),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 256 }, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn the_counts_agree_and_no_value_has_two_holders(
        capacity in 0_usize..200,
        fails: bool,
        steps in prop::collection::vec(step(), 0..if cfg!(miri) { 30 } else { 400 }),
    ) {
        let exhaustion = if fails { Exhaustion::Fail } else { Exhaustion::Grow };
        let pool: Pool<Vec<usize>> = Pool::builder().capacity(capacity).exhaustion(exhaustion).build();
        let mut held = Vec::new();
        let (mut acquired, mut most) = (0, 0);
        for (stamp, step) in steps.into_iter().enumerate() {
            match step {
                Step::Acquire => match pool.acquire() {
                    Ok(mut guard) => {
                        prop_assert!(guard.is_empty(), "a value came out that somebody still holds, or unclean");
                        guard.push(stamp);
                        held.push((stamp, guard));
                        acquired += 1;
                    }
                    Err(error) => {
                        prop_assert!(fails && held.len() == capacity);
                        prop_assert_eq!(error.capacity, capacity);
                    }
                },
                Step::Release(index) if !held.is_empty() => drop(held.swap_remove(index % held.len())),
                Step::ReleaseElsewhere(index) if !held.is_empty() => {
                    let (_, guard) = held.swap_remove(index % held.len());
                    std::thread::spawn(move || drop(guard)).join().unwrap();
                }
                Step::Warm(slots) => prop_assert!(pool.warm(slots) <= slots),
                Step::Trim => pool.trim(),
                Step::Release(_) | Step::ReleaseElsewhere(_) => {}
            }
            most = most.max(held.len() as u64);
            let stats = pool.stats();
            prop_assert_eq!((stats.acquired, stats.in_use, stats.high_water), (acquired, held.len() as u64, most));
            prop_assert!(stats.created >= stats.in_use);
            prop_assert!(!fails || stats.created <= capacity as u64);
            for (stamp, guard) in &held {
                prop_assert_eq!(&**guard, &[*stamp]);
            }
        }
    }
}
