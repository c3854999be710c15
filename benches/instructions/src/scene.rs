//! The list of scenes.

use crate::runtime_scenes::{ask, crowd, hop, path, route, spawn, tell, tell_many};
use crate::thread_scenes::{channel, pool, queue};

/// One operation, repeated.
#[derive(Clone, Copy)]
pub(crate) struct Scene {
    /// The name on the command line and in the table.
    pub(crate) name: &'static str,
    /// How often the operation is repeated.
    pub(crate) operations: u64,
    /// Plays the scene, and fails unless every operation had its effect.
    pub(crate) play: fn(u64) -> Result<(), String>,
}

/// All scenes, in the order of the table.
pub(crate) const SCENES: [Scene; 11] = [
    Scene { name: "tell", operations: 1_000_000, play: tell },
    Scene { name: "tell_many", operations: 1_000_000, play: tell_many },
    Scene { name: "route", operations: 1_000_000, play: route },
    Scene { name: "path", operations: 500_000, play: path },
    Scene { name: "ask", operations: 100_000, play: ask },
    Scene { name: "hop", operations: 200_000, play: hop },
    Scene { name: "spawn", operations: 50_000, play: spawn },
    Scene { name: "crowd", operations: 50_000, play: crowd },
    Scene { name: "pool", operations: 1_000_000, play: pool },
    Scene { name: "queue", operations: 1_000_000, play: queue },
    Scene { name: "channel", operations: 1_000_000, play: channel },
];

impl Scene {
    /// Finds a scene by its name.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let known = || SCENES.map(|scene| scene.name).join(", ");
        let found = SCENES.into_iter().find(|scene| scene.name == name);
        found.ok_or_else(|| format!("{name} is not one of {}", known()))
    }
}
