//! Plays a scene with all contenders in turn, over and over, and collects the figures.

use crate::contenders::Entry;
use crate::cost::Cost;
use crate::failure::Failure;
use crate::meter::Pass;
use crate::resident::Resident;
use crate::scene::Scene;
use crate::statistics::Spread;
use crate::versions::version_of;

/// What one contender did in one scene.
#[derive(Debug)]
pub struct Row {
    /// The contender's name.
    pub contender: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What was measured.
    pub figures: Figures,
}

/// The figures of a row.
#[derive(Clone, Copy, Debug)]
pub enum Figures {
    /// Of a scene that takes time.
    Cost {
        /// What an operation takes.
        times: Times,
        /// What one of the scene [beside](Scene::beside) takes, if there is one.
        beside: Option<Times>,
        /// Heap requests per operation.
        allocations: f64,
    },
    /// Of the scene that takes memory.
    Memory {
        /// Bytes per actor that never had a message.
        idle: Spread,
        /// Bytes per actor after its first message.
        used: Spread,
    },
}

/// What an operation takes.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Nanoseconds on the clock.
    pub ns: Spread,
    /// Nanoseconds of processor time, of all threads together.
    pub cpu_ns: Spread,
}

impl Times {
    fn of(costs: &[Cost]) -> Self {
        let ns = Spread::of(costs.iter().map(|cost| cost.ns));
        Self { ns, cpu_ns: Spread::of(costs.iter().map(|cost| cost.cpu_ns)) }
    }
}

impl Figures {
    /// What contenders are compared by: nanoseconds, or bytes of the idle actor.
    pub fn compared(&self) -> Spread {
        match *self {
            Self::Cost { times, .. } => times.ns,
            Self::Memory { idle, .. } => idle,
        }
    }
}

/// A failure, and where it happened.
#[derive(Debug)]
pub struct Failed {
    /// The scene.
    pub scene: &'static str,
    /// The contender.
    pub contender: &'static str,
    /// What went wrong.
    pub failure: Failure,
}

/// Plays a scene `runs` times with everyone: run 1 of all contenders, then run 2 of all, so that whatever else
/// the machine does falls on all alike. Contenders that lack what the scene needs are left out. `progress` is called before
/// each round.
pub fn play(
    scene: Scene,
    contenders: &[Entry],
    runs: usize,
    progress: impl Fn(usize),
) -> Result<Vec<Row>, Failed> {
    let contenders: Vec<_> = contenders.iter().copied().filter(|entry| scene.is_for(entry)).collect();
    let contenders = &contenders[..];
    let figures = match scene {
        Scene::Memory => memory(contenders, runs, progress),
        _ => cost(scene, contenders, runs, progress),
    };
    let figures =
        figures.map_err(|(entry, failure)| Failed { scene: scene.name(), contender: entry.name, failure })?;
    let row = |(entry, figures): (&Entry, Figures)| Row {
        contender: entry.name,
        version: version_of(entry.package),
        figures,
    };
    Ok(contenders.iter().zip(figures).map(row).collect())
}

/// One [`Figures`] for each contender, or the one that failed.
type Outcome<'a> = Result<Vec<Figures>, (&'a Entry, Failure)>;

fn cost(scene: Scene, contenders: &[Entry], runs: usize, progress: impl Fn(usize)) -> Outcome<'_> {
    let round = || {
        in_turn(contenders, |entry| {
            let beside = scene.beside().map(|beside| (entry.play)(beside, Pass::Time)).transpose()?;
            Ok((beside, (entry.play)(scene, Pass::Time)?))
        })
    };
    // Run 0 warms up the program and is not counted.
    progress(0);
    round()?;
    let mut series = vec![(Vec::new(), Vec::new()); contenders.len()];
    for run in 1..=runs {
        progress(run);
        for ((costs_beside, costs), (beside, cost)) in series.iter_mut().zip(round()?) {
            costs_beside.extend(beside);
            costs.push(cost);
        }
    }
    let counted = in_turn(contenders, |entry| (entry.play)(scene, Pass::Allocations))?;
    let figures = |((beside, costs), counted): ((Vec<_>, Vec<_>), Cost)| Figures::Cost {
        times: Times::of(&costs),
        beside: scene.beside().map(|_| Times::of(&beside)),
        allocations: counted.allocations,
    };
    Ok(series.into_iter().zip(counted).map(figures).collect())
}

fn memory(contenders: &[Entry], runs: usize, progress: impl Fn(usize)) -> Outcome<'_> {
    let mut series = vec![Vec::new(); contenders.len()];
    for run in 1..=runs {
        progress(run);
        let residents = in_turn(contenders, |entry| Resident::in_child(entry.name))?;
        series.iter_mut().zip(residents).for_each(|(series, resident)| series.push(resident));
    }
    let figures = |series: Vec<Resident>| Figures::Memory {
        idle: Spread::of(series.iter().map(|resident| resident.idle)),
        used: Spread::of(series.iter().map(|resident| resident.used)),
    };
    Ok(series.into_iter().map(figures).collect())
}

fn in_turn<T>(
    contenders: &[Entry],
    play: impl Fn(&Entry) -> Result<T, Failure>,
) -> Result<Vec<T>, (&Entry, Failure)> {
    contenders.iter().map(|entry| play(entry).map_err(|failure| (entry, failure))).collect()
}
