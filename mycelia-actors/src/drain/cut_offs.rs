//! What a drain has cut off.

use std::collections::HashMap;
use std::ptr;
use std::sync::Arc;

use crate::actor::Actor;
use crate::error::CutOff;
use crate::lifecycle::Exit;

/// The list, subsystem by subsystem.
#[derive(Default)]
pub(crate) struct CutOffs {
    all: Vec<(Arc<Actor>, CutOff)>,
    /// Where each is, by its address in memory.
    places: HashMap<usize, usize>,
}

impl CutOffs {
    /// These are told to end, whatever they have left.
    pub(crate) fn note(&mut self, all: &[Arc<Actor>]) {
        for one in all {
            let stats = one.stats();
            let side_tasks = one.ledger.rare_if_any().map(|rare| rare.tasks.waited_for()).unwrap_or_default();
            if stats.queued > 0 || !side_tasks.is_empty() {
                let found = self.find(one);
                // Of two that look after one shutdown, the first to look has seen most.
                found.queued = found.queued.max(stats.queued);
                if found.side_tasks.is_empty() {
                    found.side_tasks = side_tasks;
                }
            }
        }
    }

    /// These have not ended, and are killed.
    pub(crate) fn note_late(&mut self, all: &[Arc<Actor>]) {
        for one in all {
            let found = self.find(one);
            found.in_hand = found.in_hand.max(one.stats().in_hand);
        }
    }

    pub(crate) fn find(&mut self, one: &Arc<Actor>) -> &mut CutOff {
        let place = *self.places.entry(ptr::from_ref(&**one).addr()).or_insert_with(|| {
            self.all.push((Arc::clone(one), CutOff::of(one.name.clone())));
            self.all.len() - 1
        });
        &mut self.all[place].1
    }

    /// With how each of them ended. One that was late, and ended by itself all the same, lost nothing.
    pub(crate) fn list(&self) -> Vec<CutOff> {
        let all = self.all.iter().map(|(one, cut_off)| {
            let mut cut_off = cut_off.clone();
            let exit = one.life.exit();
            cut_off.is_left = exit.is_none();
            cut_off.is_killed = matches!(exit, Some(Exit::Killed));
            if !cut_off.is_killed && !cut_off.is_left {
                // What was in hand then has been handled.
                cut_off.in_hand = 0;
            }
            cut_off
        });
        all.filter(|one| one.queued > 0 || !one.side_tasks.is_empty() || one.is_killed || one.is_left)
            .collect()
    }
}
