//! Every way to end a subsystem against every state of an ask: a table of what the asker hears (DESIGN.md, 5.1, 5.5, 5.6).
//!
//! Nothing here runs by itself: subsystems run while the scene lets them, clocks are advanced by hand, and the asker is
//! polled when its waker was called, and not otherwise. An ask that nobody ends would hear of its deadline, which no cell
//! but those that say so expects.
#![cfg(not(mycelia_loom))]

mod scene;
mod subsystems;

use std::sync::atomic::Ordering::SeqCst;

use mycelia_actors::{AskFailure, Refusal};
use tokio::task::yield_now;

use scene::{DEADLINE, Heard, Nothing, Scene, tokio};

/// Where the ask is when the subsystem is ended. `Kept` and those below are for `ask_with` only.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Made, and polled for the first time afterwards.
    Unpolled,
    /// In line for room in the full mailbox.
    InLine,
    /// In the mailbox.
    Queued,
    /// Taken out of the mailbox by the loop, behind the message in hand.
    Taken,
    /// With the handler, which awaits something.
    InHand,
    /// Handled; the asker was woken and has not looked.
    Replied,
    /// Handled; the duty to reply is in the subsystem's state.
    Kept,
    /// Handled; the duty to reply is outside, whence the reply comes afterwards.
    AwayKept,
    /// Handled; the duty to reply is outside, and dropped there afterwards.
    AwayDropped,
    /// Handled; the duty to reply is outside, and nobody does anything about it.
    AwayForgotten,
}

/// How the subsystem is ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Stop,
    StopNow,
    Kill,
    /// The handler of the message in hand panics (or of another, if there is none), and there is no factory.
    Panic,
    /// The same with a factory.
    PanicRestarts,
    Restart,
    RestartNoFactory,
    /// A restart whose `started` fails.
    RestartFails,
    Shutdown,
    /// A shutdown whose time is up before the handler is done.
    ShutdownLate,
    RuntimeDropped,
    /// The tokio runtime goes, with it the task that looks at deadlines: in no particular order.
    TokioDropped,
    /// The tokio runtime of the subsystem goes; that of the asker stays.
    TokioOfOneDropped,
    /// `started` waits, and then fails.
    StartFails,
    StartPanics,
    StartKilled,
    SuspendStop,
    SuspendStopNow,
    SuspendKill,
}

/// What the asker hears.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The reply.
    Reply,
    /// Refused: it is stopping, or has ended. The message comes back.
    Stopped,
    /// Undelivered.
    Undeliv,
    Panicked,
    Killed,
    /// Unanswered.
    Unansw,
    /// If it is heard in line, the message comes back; otherwise it was accepted.
    Deadline,
    /// No such case.
    X,
}

const STATES: [State; 10] = {
    use State::*;
    [Unpolled, InLine, Queued, Taken, InHand, Replied, Kept, AwayKept, AwayDropped, AwayForgotten]
};

#[rustfmt::skip]
const TABLE: [(Way, [End; STATES.len()]); 19] = {
    use End::*;
    use Way::*;
    [
    //                    Unpolled InLine   Queued   Taken    InHand    Replied Kept      AwayKept AwayDropped AwayForgotten
    (Stop,              [ Stopped, Stopped, Reply,   Reply,   Reply,    Reply,  Deadline, Reply,   Unansw,     Deadline ]),
    (StopNow,           [ Stopped, Stopped, Undeliv, Undeliv, Reply,    Reply,  Unansw,   Reply,   Unansw,     Deadline ]),
    (Kill,              [ Stopped, Stopped, Undeliv, Undeliv, Killed,   Reply,  Killed,   Reply,   Killed,     Deadline ]),
    (Panic,             [ Stopped, Stopped, Undeliv, Undeliv, Panicked, Reply,  Unansw,   Reply,   Unansw,     Deadline ]),
    (PanicRestarts,     [ Reply,   Reply,   Reply,   Reply,   Panicked, Reply,  Unansw,   Reply,   Unansw,     Deadline ]),
    (Restart,           [ Reply,   Reply,   Reply,   Reply,   Reply,    Reply,  Unansw,   Reply,   Unansw,     Deadline ]),
    (RestartNoFactory,  [ Reply,   Reply,   Reply,   Reply,   Reply,    Reply,  Deadline, Reply,   Unansw,     Deadline ]),
    (RestartFails,      [ Stopped, Stopped, Undeliv, Undeliv, Reply,    Reply,  Unansw,   Reply,   Unansw,     Deadline ]),
    (Shutdown,          [ Stopped, Stopped, Reply,   Reply,   Reply,    Reply,  Deadline, Reply,   Unansw,     Deadline ]),
    (ShutdownLate,      [ Stopped, Stopped, Undeliv, Undeliv, Killed,   Reply,  Unansw,   Reply,   Unansw,     Deadline ]),
    (RuntimeDropped,    [ Stopped, Stopped, Undeliv, Undeliv, Killed,   Reply,  Killed,   Reply,   Killed,     Deadline ]),
    (TokioDropped,      [ Stopped, Stopped, Undeliv, Undeliv, Killed,   Reply,  Unansw,   Reply,   Unansw,     Deadline ]),
    (TokioOfOneDropped, [ Stopped, Stopped, Undeliv, Undeliv, Killed,   Reply,  Unansw,   Reply,   Unansw,     Deadline ]),
    (StartFails,        [ Stopped, Stopped, Undeliv, X,       X,        X,      X,        X,       X,          X        ]),
    (StartPanics,       [ Stopped, Stopped, Undeliv, X,       X,        X,      X,        X,       X,          X        ]),
    (StartKilled,       [ Stopped, Stopped, Undeliv, X,       X,        X,      X,        X,       X,          X        ]),
    (SuspendStop,       [ Stopped, Stopped, Reply,   Reply,   Reply,    Reply,  Deadline, Reply,   Unansw,     Deadline ]),
    (SuspendStopNow,    [ Stopped, Stopped, Undeliv, Undeliv, Reply,    Reply,  Unansw,   Reply,   Unansw,     Deadline ]),
    (SuspendKill,       [ Stopped, Stopped, Undeliv, Undeliv, Killed,   Reply,  Killed,   Reply,   Killed,     Deadline ]),
    ]
};

/// How it is asked. All cells are the same for all.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Ask,
    AskWith,
    Path,
}

/// What the asker does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Asker {
    Hears,
    /// Its deadline passes before the end, and it has not looked yet.
    IsLate,
    /// Its deadline passes before the end, and it hears of that.
    GivesUp,
    GoesBefore,
    /// It goes when its ask has ended, of which it has not heard.
    GoesAfter,
}

const ASKERS: [Asker; 5] = [Asker::Hears, Asker::IsLate, Asker::GivesUp, Asker::GoesBefore, Asker::GoesAfter];

/// What becomes of the message: a column of the ledger.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    NeverSent,
    Returned,
    Expired,
    Undelivered,
    Handled,
    Failed,
}

/// What is heard, if anybody hears, and what becomes of the message.
type Outcome = (Option<End>, Fate);

fn expected(end: End, state: State, asker: Asker) -> Outcome {
    let unsent = matches!(state, State::Unpolled | State::InLine);
    let over = matches!(asker, Asker::IsLate | Asker::GivesUp | Asker::GoesBefore);
    let fate = match (end, asker) {
        (_, Asker::GoesBefore) if unsent => Fate::NeverSent,
        (_, Asker::GoesAfter) if state == State::Unpolled => Fate::NeverSent,
        // A refusal that nobody has seen is none.
        (End::Stopped, Asker::GoesAfter) => Fate::NeverSent,
        (_, Asker::GivesUp) if state == State::InLine => Fate::Returned,
        (End::Stopped, _) => Fate::Returned,
        (End::Undeliv, _) => Fate::Undelivered,
        (End::Reply, _) if over && state.is_behind_another() => Fate::Expired,
        (End::Killed | End::Panicked, _) if state == State::InHand => Fate::Failed,
        _ => Fate::Handled,
    };
    let heard = match asker {
        Asker::GoesBefore | Asker::GoesAfter => None,
        Asker::IsLate | Asker::GivesUp if state == State::Replied => Some(end),
        // What it hears first, when it looks at last.
        Asker::IsLate if end == End::Stopped => Some(end),
        Asker::IsLate | Asker::GivesUp => Some(End::Deadline),
        Asker::Hears => Some(end),
    };
    (heard, fate)
}

/// Plays the cells of these ways, and returns those that are not as the table says.
fn play(ways: impl Fn(Way) -> bool) -> Vec<String> {
    let (mut wrong, mut cells) = (Vec::new(), 0);
    for (way, ends) in TABLE.into_iter().filter(|&(way, _)| ways(way)) {
        for (state, end) in STATES.into_iter().zip(ends).filter(|&(_, end)| end != End::X) {
            for form in [Form::Ask, Form::AskWith, Form::Path] {
                if form != Form::AskWith && state.is_handed_away() {
                    continue;
                }
                for asker in ASKERS {
                    if matches!(asker, Asker::IsLate | Asker::GivesUp) && state == State::Unpolled {
                        continue;
                    }
                    cells += 1;
                    let (came, should) =
                        (Scene::new(way, state).play(form, asker), expected(end, state, asker));
                    if came != should {
                        wrong.push(format!(
                            "{way:?}, {state:?}, {form:?}, {asker:?}: {came:?}, not {should:?}"
                        ));
                    }
                }
            }
        }
    }
    assert!(cells > 50, "{cells}");
    wrong
}

#[test]
fn every_end_is_heard_and_accounted_for() {
    let wrong = play(|_| true);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_asker_hears_the_truth_when_tokio_goes() {
    for _ in 0..8 {
        // Tokio drops its tasks in an order that depends on their numbers.
        drop(tokio().spawn(async {}));
        let wrong = play(|way| way == Way::TokioDropped);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn a_tokio_that_goes_ends_only_its_own() {
    let scene = Scene::new(Way::TokioOfOneDropped, State::InHand);
    let mut asking = scene.ask(Form::Ask);
    let third = tokio();
    // The first ask of a runtime made outside of tokio: its deadline, and all later ones, are looked at here.
    assert!(third.block_on(async { asking.poll() }).is_none());
    scene.settle();
    third.block_on(yield_now());
    drop(third);
    scene.gate.open();
    assert_eq!(End::of(scene.hear(asking)), End::Reply, "subsystem and asker are still there");
}

#[test]
fn the_states_are_what_they_say() {
    use State::*;
    for state in STATES {
        let scene = Scene::new(Way::Stop, state);
        let mut asking = scene.ask(if state.is_handed_away() { Form::AskWith } else { Form::Ask });
        scene.reach(&mut asking);
        let stats = scene.address.stats();
        let room = (0..).take_while(|_| scene.address.tell(Nothing).is_ok()).count();
        // Waiting, queued (in the mailbox or taken out of it), in hand; and the room in a mailbox of two.
        let should = match state {
            InLine => (1, 2, 1, 0),
            Queued => (0, 1, 1, 1),
            Taken => (0, 1, 1, 2),
            InHand => (0, 0, 1, 2),
            Unpolled | Replied | Kept | AwayKept | AwayDropped | AwayForgotten => (0, 0, 0, 2),
        };
        assert_eq!((stats.waiting, stats.queued, stats.in_hand, room), should, "{state:?}");
        assert_eq!(scene.log.finished.load(SeqCst), u32::from(state == Replied || state.is_handed_away()));
        // With the duty handed away, it is told that its message was handled.
        let is_rung = state == Unpolled || state == Replied || state.is_handed_away();
        assert_eq!(asking.bell.0.load(SeqCst), is_rung, "{state:?}");
    }
}

impl End {
    fn of(heard: Heard) -> Self {
        match heard {
            Ok(7) => Self::Reply,
            Ok(other) => panic!("{other}"),
            Err((AskFailure::Refused(Refusal::Stopped), _)) => Self::Stopped,
            Err((AskFailure::Undelivered, _)) => Self::Undeliv,
            Err((AskFailure::Panicked, _)) => Self::Panicked,
            Err((AskFailure::Killed, _)) => Self::Killed,
            Err((AskFailure::Unanswered, _)) => Self::Unansw,
            Err((AskFailure::Deadline(within), _)) if within == DEADLINE => Self::Deadline,
            Err((other, _)) => panic!("{other}"),
        }
    }
}

impl State {
    fn is_handed_away(self) -> bool {
        matches!(self, Self::Kept | Self::AwayKept | Self::AwayDropped | Self::AwayForgotten)
    }

    /// Whether another message is in hand.
    fn is_behind_another(self) -> bool {
        matches!(self, Self::InLine | Self::Queued | Self::Taken)
    }
}

impl Way {
    /// Whether it ends the subsystem before it has started.
    fn is_at_start(self) -> bool {
        matches!(self, Self::StartFails | Self::StartPanics | Self::StartKilled)
    }

    /// Whether it gives those in line their messages back while another is in hand.
    fn closes_at_once(self) -> bool {
        use Way::*;
        matches!(
            self,
            Stop | StopNow | Kill | Shutdown | StartKilled | SuspendStop | SuspendStopNow | SuspendKill
        )
    }

    fn has_factory(self) -> bool {
        matches!(self, Self::PanicRestarts | Self::Restart | Self::RestartFails)
    }
}
