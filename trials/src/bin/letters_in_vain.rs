//! A reader of dead letters that was woken in vain does not grow.
use mycelia_actors::prelude::*;
use std::process::ExitCode;

struct Desk;
impl Subsystem for Desk {}
struct Note;
impl Handler<Note> for Desk {
    type Reply = ();
    async fn handle(&mut self, _: Note, _: &mut Context<Self>) {}
}
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let runtime = Runtime::new();
    let letters = runtime.dead_letters(10);
    let mailbox = Mailbox::bounded(1).overflow(OverflowPolicy::DropNewest);
    let desk = runtime.configure("desk").mailbox(mailbox).spawn(Desk).unwrap();
    desk.suspend();
    desk.tell(Note).unwrap();
    let mut letter = std::pin::pin!(letters.recv());
    assert!(futures::poll!(letter.as_mut()).is_pending());
    // Another reader takes the letter that this one is woken for.
    desk.tell(Note).unwrap();
    drop(letters.try_recv());
    assert!(futures::poll!(letter.as_mut()).is_pending());
    let before = figures::live();
    for _ in 0..100_000 {
        assert!(futures::poll!(letter.as_mut()).is_pending());
    }
    let grown = figures::live() - before;
    figures::judge("bytes after 100 000 polls in vain", grown, "0", grown < 1024);
    figures::verdict()
}
