//! Keeping the panics of users' code inside.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Runs code of a user. `Err` with the text of its panic, if it panicked, which the panic hook has printed.
///
/// What is half done then is dropped by the caller, or was never shared; nothing else may see it.
///
/// ```
/// use mycelia_core::contain;
///
/// assert_eq!(contain(|| 1 + 1), Ok(2));
/// let text = contain(|| -> u32 { panic!("at attempt {}", 2) }).unwrap_err();
/// assert_eq!(&*text, "at attempt 2");
/// ```
///
/// # Errors
/// The text of the panic, or `(no text)` if its payload is of another type.
#[inline]
pub fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Arc<str>> {
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
    discard(panic);
    text
}

/// Drops a payload. It may be of any type, and its drop may panic, with a payload of any type; the third is leaked.
fn discard(panic: Box<dyn Any + Send>) {
    let again = |panic| catch_unwind(AssertUnwindSafe(|| drop::<Box<dyn Any + Send>>(panic)));
    if let Err(panic) = again(panic).or_else(again) {
        std::mem::forget(panic);
    }
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
