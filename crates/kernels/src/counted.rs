//! Counting the work of a network without doing it.
//!
//! While [`count`] runs, products (convolutions, linear layers, attention) are not computed: they add up
//! what they would do, and give zeros of the right shape. So no weight is read or even made, and a network
//! of any size is counted in the time that its other operations take for one image.

use std::cell::Cell;

/// The work of products.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Multiplications, each with an addition.
    pub multiply_accumulates: u64,
    /// Values that they give.
    pub outputs: u64,
}

thread_local! {
    static WORK: Cell<Option<Work>> = const { Cell::new(None) };
}

/// Runs a forward pass and counts its products, in this thread. What it returns has the right shape only.
pub fn count<R>(run: impl FnOnce() -> R) -> (R, Work) {
    /// Ends the count, even if `run` panics.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            WORK.set(None);
        }
    }
    WORK.set(Some(Work::default()));
    let _end = End;
    let result = run();
    (result, WORK.get().unwrap_or_default())
}

/// Whether products are counted and not computed.
#[must_use]
pub fn is_counting() -> bool {
    WORK.get().is_some()
}

/// Adds the work of a product that gives `outputs` values, each a sum of `terms` products.
pub fn add(outputs: usize, terms: usize) {
    if let Some(mut work) = WORK.get() {
        work.multiply_accumulates += outputs as u64 * terms as u64;
        work.outputs += outputs as u64;
        WORK.set(Some(work));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_only_while_it_is_asked_for() {
        add(5, 5);
        assert!(!is_counting());
        let ((), work) = count(|| {
            assert!(is_counting());
            add(2, 3);
            add(4, 5);
        });
        assert_eq!((work.multiply_accumulates, work.outputs), (26, 6));
        assert!(!is_counting());
        assert!(std::panic::catch_unwind(|| count(|| panic!("on purpose"))).is_err());
        assert!(!is_counting());
    }
}
