//! Everyone in turn, round after round: whatever else the machine does meets all alike.

use std::time::{Duration, Instant};

use mycelia_benches::allocations;
use mycelia_benches::statistics::Spread;

use crate::course::Tally;
use crate::player::Player;
use crate::scene::Scene;
use crate::stage::Stage;

/// How long one contender's part of a round is.
const TURN: Duration = Duration::from_millis(20);

/// At least so many lookups are watched when heap requests are counted.
const WATCHED: usize = 256;

/// What came out for one contender.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) contender: &'static str,
    /// Nanoseconds per operation.
    pub(crate) ns: Spread,
    /// Heap requests per operation.
    pub(crate) allocations: f64,
}

/// Plays a scene on some stages, and gives the rows of each.
pub(crate) fn race(stages: &[&Stage], scene: Scene, rounds: usize) -> Result<Vec<Vec<Row>>, String> {
    let mut lanes: Vec<Vec<Lane<'_>>> = Vec::new();
    for stage in stages {
        lanes.push(stage.players.iter().map(|player| Lane::new(stage, &**player, scene)).collect());
    }
    for lane in lanes.iter_mut().flatten() {
        lane.warm_up()?;
    }
    for _ in 0..rounds {
        for lane in lanes.iter_mut().flatten() {
            lane.turn()?;
        }
    }
    Ok(lanes.iter().map(|lanes| lanes.iter().map(Lane::row).collect()).collect())
}

/// One contender on one stage.
struct Lane<'a> {
    stage: &'a Stage,
    player: &'a dyn Player,
    scene: Scene,
    /// Which visit comes next.
    next: usize,
    /// How many visits a turn has.
    visits: usize,
    costs: Vec<f64>,
    allocations: f64,
}

impl<'a> Lane<'a> {
    fn new(stage: &'a Stage, player: &'a dyn Player, scene: Scene) -> Self {
        Self { stage, player, scene, next: 0, visits: 0, costs: Vec::new(), allocations: 0.0 }
    }

    /// Finds out how many visits fill a turn, and then counts heap requests. None of this is a measurement of time.
    fn warm_up(&mut self) -> Result<(), String> {
        let mut visits = 16;
        let mut took = self.play(visits)?;
        while took < TURN / 4 {
            visits *= 2;
            took = self.play(visits)?;
        }
        self.visits = (visits as f64 * TURN.as_secs_f64() / took.as_secs_f64()).ceil() as usize;
        let watched = self.visits.clamp(WATCHED, 64 * WATCHED);
        allocations::start_counting();
        let played = self.play(watched);
        self.allocations = allocations::stop_counting() as f64 / watched as f64;
        played.map(drop)
    }

    fn turn(&mut self) -> Result<(), String> {
        let took = self.play(self.visits)?;
        self.costs.push(took.as_nanos() as f64 / self.visits as f64);
        Ok(())
    }

    /// The next so many visits. What they find must be what they have to.
    fn play(&mut self, visits: usize) -> Result<Duration, String> {
        let course = self.stage.course(self.scene, self.player.start());
        let mut expected = course.expected(self.next, visits);
        if !matches!(self.scene, Scene::Values | Scene::Names) {
            expected.read = 0;
        }
        let began = Instant::now();
        let mut tally = Tally::default();
        for lap in course.visits(self.next, visits) {
            tally += self.player.play(self.scene, lap);
        }
        let took = began.elapsed();
        if tally != expected {
            let (table, scene, name) = (self.stage.table, self.scene.name(), self.player.name());
            return Err(format!(
                "{table}, {scene}: {name} counts {tally:?} after {visits} lookups, and not {expected:?}"
            ));
        }
        self.next = course.after(self.next, visits);
        Ok(took)
    }

    fn row(&self) -> Row {
        Row {
            contender: self.player.name(),
            ns: Spread::of(self.costs.iter().copied()),
            allocations: self.allocations,
        }
    }
}
