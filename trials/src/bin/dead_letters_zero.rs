//! A reader that waits gets each letter, also where none are stored.
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
    let letters = runtime.dead_letters(0);
    let mailbox = Mailbox::bounded(1).overflow(OverflowPolicy::DropNewest);
    let desk = runtime.configure("desk").mailbox(mailbox).spawn(Desk).unwrap();
    desk.suspend();
    desk.tell(Note).unwrap();
    let mut received = 0;
    for _ in 0..100 {
        let mut letter = std::pin::pin!(letters.recv());
        // The reader waits. Another one takes the letter that it is woken for, so it waits on.
        assert!(futures::poll!(letter.as_mut()).is_pending());
        desk.tell(Note).unwrap();
        drop(letters.try_recv());
        desk.tell(Note).unwrap();
        received += u32::from(futures::poll!(letter).is_ready());
    }
    let seen = (received, runtime.missed_dead_letters());
    figures::judge(
        "received and missed of 100 letters, for each of which a reader waits",
        seen,
        "(100, 0)",
        seen == (100, 0),
    );
    figures::verdict()
}
