//! Keeping the panics of users' code inside.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Runs code of a user. `Err` with the text of its panic, if it panicked.
///
/// What is half done then is dropped by the caller, or was never shared; nothing else sees it.
#[inline]
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Arc<str>> {
    catch_unwind(AssertUnwindSafe(work)).map_err(text)
}

#[cold]
fn text(panic: Box<dyn Any + Send>) -> Arc<str> {
    let text = if let Some(text) = panic.downcast_ref::<&str>() {
        Arc::from(*text)
    } else if let Some(text) = panic.downcast_ref::<String>() {
        Arc::from(text.as_str())
    } else {
        Arc::from("(no text)")
    };
    // The payload may be of any type, and its drop may panic, with a payload of any type.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
    text
}

#[cfg(all(test, not(mycelia_loom)))]
mod tests {
    use super::contain;

    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("in the payload's drop");
        }
    }

    #[test]
    fn panics_of_every_sort_stay_inside() {
        assert_eq!(contain(|| 1), Ok(1));
        assert_eq!(
            contain(|| panic!("one")).map_err(|text| text.to_string()),
            Err::<(), _>("one".to_owned())
        );
        assert_eq!(
            contain(|| panic!("{}", 2)).map_err(|text| text.to_string()),
            Err::<(), _>("2".to_owned())
        );
        assert!(contain(|| std::panic::panic_any(Payload)).is_err());
    }
}
