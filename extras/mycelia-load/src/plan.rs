//! What will be sent when: the phases of a scenario, after what the command line changes.

use std::time::Duration;

use crate::scenario::{Phase, Scenario};

/// What the command line changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    /// How long all of it takes, in place of what the phases say.
    pub(crate) duration: Option<Duration>,
    /// The highest rate, in place of the scenario's; all others change with it.
    pub(crate) rate: Option<f64>,
    /// All durations and numbers of messages by this.
    pub(crate) scale: f64,
}

/// Why the plan cannot be changed so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("`--{0}` must be above 0")]
    NotAbove0(&'static str),
    #[error(
        "`--duration`: the scenario counts messages, and has no duration; use `--scale`, or give it a `--rate`"
    )]
    NoDuration,
    #[error("nothing would be sent")]
    Nothing,
    #[error("these would be more than {MOST_MESSAGES} messages, or longer than a year")]
    TooMuch,
}

const MOST_MESSAGES: u64 = 1_000_000_000_000;
const YEAR: f64 = 366.0 * 86_400.0;

/// The phases, one after another.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) phases: Vec<Pace>,
    pub(crate) senders: u64,
    pub(crate) workers: usize,
    /// By how much the rates have been changed, for the criteria that go with them. `None` if there were none before.
    pub(crate) rates_changed: Option<f64>,
}

/// How fast, and how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// The message of number `i` is due `i / rate` seconds after the beginning.
    OnSchedule { rate: f64, seconds: f64 },
    /// Each is due when the one before has been handed over.
    AtFullSpeed { messages: u64 },
}

impl Pace {
    pub(crate) fn messages(self) -> u64 {
        match self {
            Self::OnSchedule { rate, seconds } => (rate * seconds).round() as u64,
            Self::AtFullSpeed { messages } => messages,
        }
    }

    /// Seconds, if it is known how long this takes.
    pub(crate) fn seconds(self) -> Option<f64> {
        match self {
            Self::OnSchedule { seconds, .. } => Some(seconds),
            Self::AtFullSpeed { .. } => None,
        }
    }

    pub(crate) fn rate(self) -> Option<f64> {
        match self {
            Self::OnSchedule { rate, .. } => Some(rate),
            Self::AtFullSpeed { .. } => None,
        }
    }
}

impl Plan {
    pub(crate) fn new(scenario: &Scenario, changes: &Changes) -> Result<Self, PlanError> {
        let is_above_0 = |number: f64| number.is_finite() && number > 0.0;
        if !is_above_0(changes.scale) {
            return Err(PlanError::NotAbove0("scale"));
        }
        if changes.rate.is_some_and(|rate| !is_above_0(rate)) {
            return Err(PlanError::NotAbove0("rate"));
        }
        if changes.duration.is_some_and(|duration| duration.is_zero()) {
            return Err(PlanError::NotAbove0("duration"));
        }
        let highest = scenario.phases.iter().filter_map(|phase| phase.rate).fold(0.0, f64::max);
        let rates_changed = changes.rate.filter(|_| highest > 0.0).map_or(1.0, |rate| rate / highest);
        let mut phases: Vec<_> =
            scenario.phases.iter().map(|phase| pace(phase, changes.rate, rates_changed)).collect();
        let seconds: f64 = phases.iter().filter_map(|phase| phase.seconds()).sum();
        let longer = match changes.duration {
            Some(_) if seconds == 0.0 => return Err(PlanError::NoDuration),
            Some(duration) => duration.as_secs_f64() / seconds,
            None => 1.0,
        };
        for phase in &mut phases {
            match phase {
                Pace::OnSchedule { seconds, .. } => *seconds *= changes.scale * longer,
                Pace::AtFullSpeed { messages } => {
                    *messages = ((*messages as f64 * changes.scale).round() as u64).max(1);
                }
            }
        }
        let had_rates = changes.rate.is_none() || scenario.phases.iter().all(|phase| phase.rate.is_some());
        let plan = Self {
            senders: scenario.senders,
            workers: scenario.subsystems.count,
            rates_changed: had_rates.then_some(rates_changed),
            phases,
        };
        let messages: f64 = plan.phases.iter().map(|phase| phase.messages() as f64).sum();
        if messages > MOST_MESSAGES as f64 || plan.seconds().is_some_and(|seconds| seconds > YEAR) {
            return Err(PlanError::TooMuch);
        }
        if messages == 0.0 { Err(PlanError::Nothing) } else { Ok(plan) }
    }

    /// Which phase the message of this number belongs to.
    pub(crate) fn phase_of(&self, number: u64) -> usize {
        let mut before = 0;
        let is_of = |phase: &Pace| {
            before += phase.messages();
            number < before
        };
        self.phases.iter().position(is_of).unwrap_or(self.phases.len() - 1)
    }

    /// Which worker gets it: every sender sends to all of them, in turns.
    pub(crate) fn worker_of(&self, number: u64) -> usize {
        (number / self.senders % self.workers as u64) as usize
    }

    pub(crate) fn messages(&self) -> u64 {
        self.phases.iter().map(|phase| phase.messages()).sum()
    }

    /// Seconds, if it is known how long all of it takes.
    pub(crate) fn seconds(&self) -> Option<f64> {
        self.phases.iter().map(|phase| phase.seconds()).sum()
    }

    /// Messages that are due so many seconds after the beginning, if all of it is on schedule.
    pub(crate) fn due_by(&self, seconds: f64) -> Option<f64> {
        let mut left = seconds;
        let mut due = 0.0;
        for phase in &self.phases {
            let Pace::OnSchedule { rate, seconds } = *phase else { return None };
            due += rate * left.clamp(0.0, seconds);
            left -= seconds;
        }
        Some(due)
    }
}

fn pace(phase: &Phase, rate: Option<f64>, rates_changed: f64) -> Pace {
    match (phase.rate, phase.seconds, phase.messages) {
        (Some(rate), Some(seconds), _) => Pace::OnSchedule { rate: rate * rates_changed, seconds },
        (.., messages) => {
            let messages = messages.unwrap_or_default();
            match rate {
                Some(rate) => Pace::OnSchedule { rate, seconds: messages as f64 / rate },
                None => Pace::AtFullSpeed { messages },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(name: &str, changes: Changes) -> Plan {
        Plan::new(&Scenario::find(name, &[]).unwrap(), &changes).unwrap()
    }

    #[test]
    fn scale_shortens_and_rate_speeds_up() {
        let unchanged = Changes { scale: 1.0, ..Changes::default() };
        let burst = plan("burst", unchanged.clone());
        assert_eq!((burst.messages(), burst.seconds()), (3 * 6_000 + 2 * 600_000, Some(300.0)));
        let short = plan("burst", Changes { scale: 0.1, ..unchanged.clone() });
        assert_eq!((short.messages(), short.seconds()), (121_800, Some(30.0)));
        let fast = plan("burst", Changes { rate: Some(20_000.0), ..unchanged.clone() });
        assert_eq!((fast.phases[0].rate(), fast.phases[1].rate()), (Some(200.0), Some(20_000.0)));
        let minute = plan("burst", Changes { duration: Some(Duration::from_secs(60)), ..unchanged });
        assert_eq!(minute.phases[1], Pace::OnSchedule { rate: 10_000.0, seconds: 12.0 });
        let due = [0.0, 6.0, 13.0, 60.0, 99.0].map(|seconds| minute.due_by(seconds).unwrap());
        assert_eq!(due, [0.0, 600.0, 11_200.0, 243_600.0, 243_600.0]);
    }

    #[test]
    fn a_number_of_messages_takes_as_long_as_it_takes_unless_it_has_a_rate() {
        let storm = Scenario::find("storm", &[]).unwrap();
        let mut changes = Changes { scale: 0.5, ..Changes::default() };
        let plan = Plan::new(&storm, &changes).unwrap();
        assert_eq!(plan.phases, [Pace::AtFullSpeed { messages: 500_000 }]);
        changes.duration = Some(Duration::from_secs(1));
        assert!(matches!(Plan::new(&storm, &changes), Err(PlanError::NoDuration)));
        changes.rate = Some(1000.0);
        let plan = Plan::new(&storm, &changes).unwrap();
        assert_eq!(
            (&plan.phases[..], plan.rates_changed),
            (&[Pace::OnSchedule { rate: 1000.0, seconds: 0.5 }][..], None)
        );
    }
    #[test]
    fn messages_know_their_phase_and_their_worker() {
        let burst = plan("burst", Changes { scale: 0.01, ..Changes::default() });
        let phases = [0, 59, 60, 6059, 6060, 6119, 6120, 12_179].map(|number| burst.phase_of(number));
        assert_eq!(phases, [0, 0, 1, 1, 2, 2, 3, 4]);
        let storm = plan("storm", Changes { scale: 1.0, ..Changes::default() });
        for sender in 0..2 {
            let workers: std::collections::HashSet<_> =
                (sender..100).step_by(2).map(|number| storm.worker_of(number)).collect();
            assert_eq!(workers.len(), 8, "each sender sends to all");
        }
    }

    #[test]
    fn too_little_and_too_much_are_refused() {
        let refused = |scale, rate| {
            let changes = Changes { scale, rate, ..Changes::default() };
            Plan::new(&Scenario::find("burst", &[]).unwrap(), &changes).unwrap_err().to_string()
        };
        assert_eq!(refused(1e-9, None), "nothing would be sent");
        for text in [refused(1.0, Some(1e300)), refused(1e9, None)] {
            assert!(text.contains("more than"), "{text}");
        }
    }
}
