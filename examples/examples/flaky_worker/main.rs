//! A flaky worker under supervision: watch it fail, back off, recover, and escalate.
//!
//! An `office` has a `printer`, which panics while its device is broken. The printer is restarted, at once and then after
//! pauses that double; what waits in its mailbox stays there. After three restarts in ten seconds it has failed for good, and
//! that is a failure of the office: which restarts too, with a new printer (and, being an office, a new device). When that does
//! not help either, the office ends, and says why.
//!
//! ```text
//! cargo run --example flaky_worker
//! ```

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mycelia_actors::prelude::*;

/// Prints a line with the time since the program began.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn say(self, line: impl std::fmt::Display) {
        println!("{:5.2} s  {line}", self.0.elapsed().as_secs_f64());
    }
}

/// What the office owns in the world outside. It survives every restart.
#[derive(Default)]
struct Device {
    /// Pages it will still jam on.
    jams: AtomicU32,
    /// How many devices the office will be able to buy.
    spares: AtomicU32,
}

impl Device {
    fn jams_now(&self) -> bool {
        let left = self.jams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.is_ok()
    }
}

struct Printer {
    clock: Clock,
    device: Arc<Device>,
}

impl Subsystem for Printer {
    async fn started(&mut self, _: &mut Context<Self>) -> Result<(), BoxError> {
        self.clock.say("  printer: started");
        Ok(())
    }
}

/// A page to print.
struct Page(u32);

impl Handler<Page> for Printer {
    type Reply = ();
    async fn handle(&mut self, Page(number): Page, _: &mut Context<Self>) {
        assert!(!self.device.jams_now(), "paper jam on page {number}");
        self.clock.say(format_args!("  printer: page {number}"));
    }
}

struct Office {
    clock: Clock,
    device: Arc<Device>,
    printer: Option<Address<Printer>>,
}

impl Subsystem for Office {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        self.clock.say("office: opens, with a printer");
        let restart = Restart::one_for_one()
            .at_most(3, Duration::from_secs(10))
            .backoff(Duration::from_millis(200), Duration::from_secs(1));
        let (clock, device) = (self.clock, Arc::clone(&self.device));
        let printer = cx.configure("printer").restart(restart);
        let printer = printer.spawn_with(move || Printer { clock, device: Arc::clone(&device) })?;
        self.printer = Some(printer);
        Ok(())
    }
}

/// Asks for the printer that the office has at the moment.
struct Hire;

impl Handler<Hire> for Office {
    type Reply = Option<Address<Printer>>;
    async fn handle(&mut self, _: Hire, _: &mut Context<Self>) -> Self::Reply {
        self.printer.clone()
    }
}

/// Sends five pages, while the device jams on so many of the first, and waits until the printer has handled or lost them.
async fn act(clock: Clock, office: &Address<Office>, device: &Device, jams: u32) -> Result<Stats, BoxError> {
    match jams {
        u32::MAX => clock.say("five pages; the device jams on every one"),
        _ => clock.say(format_args!("five pages; the device jams {jams} times")),
    }
    device.jams.store(jams, Ordering::Relaxed);
    let printer = office.ask(Hire).await?.ok_or("the office has no printer")?;
    printer.tell_many((1..=5).map(Page))?;
    let is_busy = |stats: Stats| stats.queued + stats.in_hand > 0;
    while printer.exit().is_none() && is_busy(printer.stats()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let stats = printer.stats();
    if let Some(exit) = printer.exit() {
        clock.say(format_args!("  printer: {exit}"));
    }
    clock.say(format_args!("  printer: so far {stats}; restarts {}", stats.restarts));
    Ok(stats)
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let clock = Clock(Instant::now());
    // What the runtime contains, a panic hook still prints: here one line is enough.
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>().map_or("?", String::as_str);
        clock.say(format_args!("  printer: panics: {text}"));
    }));
    let device = Arc::new(Device::default());
    let runtime = Runtime::new();
    let (shared, restart) = (Arc::clone(&device), Restart::one_for_one().at_most(1, Duration::from_secs(60)));
    let make = move || {
        // A new office, a new device: while there are spares.
        if shared
            .spares
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |spares| spares.checked_sub(1))
            .is_ok()
        {
            shared.jams.store(0, Ordering::Relaxed);
        }
        Office { clock, device: Arc::clone(&shared), printer: None }
    };
    let office = runtime.configure("office").restart(restart).spawn_with(make)?;
    office.started().await?;

    println!("-- a bad moment: it restarts, backs off, and recovers");
    let first = act(clock, &office, &device, 3).await?;
    println!(
        "-- a bad device: the three restarts above count still, so the printer fails for good, and the office begins anew"
    );
    device.spares.store(1, Ordering::Relaxed);
    let second = act(clock, &office, &device, u32::MAX).await?;
    let third = act(clock, &office, &device, 0).await?;
    println!("-- a second bad device: the office has failed for good, too");
    let last = act(clock, &office, &device, u32::MAX).await?;
    let exit = office.ended().await;
    clock.say(format_args!("office: {exit}"));
    runtime.shutdown().await?;

    let all = [first, second, third, last];
    let adds_up = all.iter().all(|stats| stats.sent == stats.accounted());
    println!("every page has one fate: {}", if adds_up { "the ledgers add up" } else { "NO" });
    Ok(if adds_up { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
