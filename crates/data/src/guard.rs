//! Panics of a decoder that is not ours, as errors.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`, whose panic becomes an error with its message. Nothing is printed about it.
///
/// For decoders that panic on damaged files. What they leave behind must not be used.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                before(info);
            }
        }));
    });
    let outer = IS_GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(outer);
    outcome.map_err(|panic| format!("it is damaged ({})", message(panic.as_ref())))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("the decoder failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        assert_eq!(guarded(|| 1), Ok(1));
        let index = std::hint::black_box(3);
        let error = guarded(|| [1, 2][index]).unwrap_err();
        assert!(
            error.starts_with("it is damaged (index out of bounds"),
            "{error}"
        );
        assert_eq!(
            guarded(|| panic!("no page")),
            Err::<(), _>("it is damaged (no page)".to_owned())
        );
        let nested = guarded(|| guarded(|| panic!("inner")).is_err() && IS_GUARDED.get());
        assert_eq!(nested, Ok(true));
        assert!(!IS_GUARDED.get());
    }
}
