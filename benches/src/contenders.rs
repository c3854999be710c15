//! Everyone who takes part, one file each, and the table by which the program finds them.

pub mod actix;
pub mod by_hand;
pub mod directory;
pub mod flume;
pub mod kameo;
pub mod kanal;
pub mod mycelia;
pub mod ractor;
pub mod tokio_mpsc;
pub mod xtra;

use crate::contender::Contender;
use crate::cost::Cost;
use crate::failure::Failure;
use crate::meter::Pass;
use crate::resident::Resident;
use crate::scene::Scene;
use crate::scenes::memory;

/// A contender, its types forgotten. The scenes behind the two functions are compiled for it alone.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name in tables and on the command line.
    pub name: &'static str,
    /// The package whose version is printed.
    pub package: &'static str,
    /// What must be known to judge its figures fairly.
    pub notes: fn() -> &'static str,
    /// Whether its messages say on whose behalf they were sent.
    pub knows_callers: bool,
    /// Plays a scene once: the cost of one operation.
    pub play: fn(Scene, Pass) -> Result<Cost, Failure>,
    /// Measures memory in this very process, which must be a fresh one.
    pub measure_memory: fn() -> Result<Resident, Failure>,
}

impl Entry {
    const fn of<C: Contender>() -> Self {
        Self {
            name: C::NAME,
            package: C::PACKAGE,
            notes: C::notes,
            knows_callers: C::KNOWS_CALLERS,
            play: |scene, pass| scene.play::<C>(pass),
            measure_memory: || C::run(memory::play),
        }
    }
}

/// All contenders, in the order of the tables.
pub const ALL: &[Entry] = &[
    Entry::of::<mycelia::Mycelia<2>>(),
    Entry::of::<mycelia::Mycelia<1>>(),
    Entry::of::<kameo::Kameo>(),
    Entry::of::<ractor::Ractor>(),
    Entry::of::<actix::Actix<1>>(),
    Entry::of::<actix::Actix<2>>(),
    Entry::of::<xtra::Xtra>(),
    Entry::of::<tokio_mpsc::TokioMpsc>(),
    Entry::of::<flume::Flume>(),
    Entry::of::<kanal::Kanal>(),
];
