//! An allocator that keeps large blocks for the next that wants one of their size.
//!
//! A training step asks for the same large buffers each time. glibc either maps each anew, and the
//! kernel clears and faults in all its pages again, or grows its heap, where blocks of many sizes
//! leave holes that cost memory. Here a large block is a mapping of its own that is kept when it is
//! freed, up to as much as the program ever had in use at once; what is kept beyond is given back
//! before anything new is mapped. Small blocks are the system's allocator's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::{Mutex, MutexGuard};

/// Smallest block that is kept, bytes.
const LARGE: usize = 1 << 20;

/// How much may be kept beyond the most that was in use at once, bytes.
const SLACK: usize = 32 << 20;

/// Most blocks that are kept.
const PLACES: usize = 1024;

/// The allocator, to be declared in a program's root.
///
/// ```
/// # use finetune_kernels::allocator::Keeping;
/// #[global_allocator]
/// static ALLOCATOR: Keeping = Keeping::new();
/// ```
#[derive(Debug)]
pub struct Keeping {
    kept: Mutex<Kept>,
}

/// A mapping that nobody uses.
#[derive(Debug, Clone, Copy)]
struct Idle {
    address: usize,
    length: usize,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    /// The first `count` of them, the longest idle first.
    idle: [Idle; PLACES],
    count: usize,
    idle_bytes: usize,
    used_bytes: usize,
    most_used_bytes: usize,
}

impl Keeping {
    /// One that keeps nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        const NONE: Idle = Idle {
            address: 0,
            length: 0,
        };
        Self {
            kept: Mutex::new(Kept {
                idle: [NONE; PLACES],
                count: 0,
                idle_bytes: 0,
                used_bytes: 0,
                most_used_bytes: 0,
            }),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing in the guarded code panics halfway, and an allocator must not panic.
        self.kept
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A block of at least `length` bytes, and whether it is fresh from the kernel and so all zeros;
    /// null where there is none.
    fn take(&self, length: usize) -> (*mut u8, bool) {
        let mut kept = self.kept();
        kept.used_bytes += length;
        kept.most_used_bytes = kept.most_used_bytes.max(kept.used_bytes);
        if let Some(address) = kept.find(length) {
            return (address as *mut u8, false);
        }
        while kept.count > 0 && kept.used_bytes + kept.idle_bytes > kept.most_used_bytes + SLACK {
            let oldest = kept.remove(0);
            unmap(oldest);
        }
        let address = map(length);
        if address.is_null() {
            kept.used_bytes -= length;
        }
        (address, true)
    }

    fn give(&self, block: Idle) {
        let mut kept = self.kept();
        kept.used_bytes -= block.length;
        if kept.count == PLACES {
            let oldest = kept.remove(0);
            unmap(oldest);
        }
        let count = kept.count;
        kept.idle[count] = block;
        kept.count += 1;
        kept.idle_bytes += block.length;
    }
}

impl Default for Keeping {
    fn default() -> Self {
        Self::new()
    }
}

impl Kept {
    /// Takes the block of that length that was used last: it may still be in a cache.
    fn find(&mut self, length: usize) -> Option<usize> {
        let place = self.idle[..self.count]
            .iter()
            .rposition(|idle| idle.length == length)?;
        Some(self.remove(place).address)
    }

    fn remove(&mut self, place: usize) -> Idle {
        let removed = self.idle[place];
        self.idle.copy_within(place + 1..self.count, place);
        self.count -= 1;
        self.idle_bytes -= removed.length;
        removed
    }
}

/// The length of the mapping for a large block, the same for all sizes of its class: an eighth of a
/// power of two is rounded up, so that buffers of nearly one size can follow each other. `None` where
/// it is not for us.
fn mapping(layout: Layout) -> Option<usize> {
    const PAGE: usize = 4096;
    let size = layout.size();
    if size < LARGE || layout.align() > PAGE || size > isize::MAX as usize / 2 {
        return None;
    }
    let step = (1_usize << size.ilog2()) / 8;
    Some(size.div_ceil(step) * step)
}

/// Maps memory of zeros; null where the kernel has none.
#[allow(unsafe_code)]
fn map(length: usize) -> *mut u8 {
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no memory of ours;
    // the advice concerns that mapping alone, and may be ignored.
    unsafe {
        let address = libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if address == libc::MAP_FAILED {
            return std::ptr::null_mut();
        }
        libc::madvise(address, length, libc::MADV_HUGEPAGE);
        address.cast()
    }
}

#[allow(unsafe_code)]
fn unmap(block: Idle) {
    // SAFETY: the block is a whole mapping of ours that is not in use and not kept any more.
    unsafe {
        libc::munmap(block.address as *mut libc::c_void, block.length);
    }
}

// SAFETY: A block comes either from the system's allocator or from `take`, and `mapping` decides
// which by the layout alone, which is the same when it is freed. A block from `take` is a mapping of
// our own of at least the layout's size, aligned to a page, in no other hands: `take` removes it from
// the idle ones, and only `dealloc` puts it back. Nothing here allocates.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Keeping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match mapping(layout) {
            Some(length) => self.take(length).0,
            // SAFETY: the caller's promise is the one wanted.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(length) = mapping(layout) else {
            // SAFETY: the caller's promise is the one wanted.
            return unsafe { System.alloc_zeroed(layout) };
        };
        let (block, fresh) = self.take(length);
        if !fresh {
            // SAFETY: the block is not null where it is not fresh, and as large as the layout.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match mapping(layout) {
            Some(length) => self.give(Idle {
                address: block as usize,
                length,
            }),
            // SAFETY: the caller's promise is the one wanted, and `alloc` came here as well.
            None => unsafe { System.dealloc(block, layout) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 64).unwrap()
    }

    /// A block of that size whose bytes are all `fill`.
    #[allow(unsafe_code)]
    fn block(keeping: &Keeping, size: usize, fill: u8) -> *mut u8 {
        // SAFETY: the size is not 0, and the block is written within it.
        unsafe {
            let block = keeping.alloc(layout(size));
            assert!(!block.is_null());
            block.write_bytes(fill, size);
            block
        }
    }

    #[allow(unsafe_code)]
    fn free(keeping: &Keeping, block: *mut u8, size: usize) {
        // SAFETY: it was made with that layout and is not used afterwards.
        unsafe { keeping.dealloc(block, layout(size)) }
    }

    #[allow(unsafe_code)]
    fn bytes<'a>(block: *mut u8, size: usize) -> &'a [u8] {
        // SAFETY: the tests read no block that they have freed.
        unsafe { std::slice::from_raw_parts(block, size) }
    }

    #[test]
    fn a_freed_block_is_taken_again_by_its_own_size() {
        let keeping = Keeping::new();
        let first = block(&keeping, 5 * MIB, 1);
        free(&keeping, first, 5 * MIB);
        // A class is an eighth of a power of two wide: 5 MiB less a little is the same.
        let again = block(&keeping, 5 * MIB - 1000, 2);
        assert_eq!(first, again);
        let other = block(&keeping, 5 * MIB, 3);
        assert_ne!(first, other);
        assert!(bytes(again, 5 * MIB - 1000).iter().all(|byte| *byte == 2));
        free(&keeping, again, 5 * MIB - 1000);
        free(&keeping, other, 5 * MIB);
    }

    #[test]
    #[allow(unsafe_code)]
    fn zeros_are_zeros_in_a_used_block() {
        let keeping = Keeping::new();
        let used = block(&keeping, 2 * MIB, 255);
        free(&keeping, used, 2 * MIB);
        // SAFETY: the size is not 0.
        let zeros = unsafe { keeping.alloc_zeroed(layout(2 * MIB)) };
        assert_eq!(zeros, used);
        assert!(bytes(zeros, 2 * MIB).iter().all(|byte| *byte == 0));
        free(&keeping, zeros, 2 * MIB);
    }

    #[test]
    fn no_more_is_kept_than_was_ever_used_at_once() {
        let keeping = Keeping::new();
        let at_once: Vec<_> = (0..4).map(|_| block(&keeping, 64 * MIB, 1)).collect();
        for block in at_once {
            free(&keeping, block, 64 * MIB);
        }
        // 256 MiB were in use at once, and 32 may be kept beyond.
        let other = block(&keeping, 96 * MIB, 1);
        let kept = *keeping.kept();
        assert!(kept.used_bytes + kept.idle_bytes <= 288 * MIB);
        assert_eq!((kept.used_bytes, kept.count), (96 * MIB, 3));
        free(&keeping, other, 96 * MIB);
    }

    #[test]
    fn threads_get_blocks_of_their_own() {
        static KEEPING: Keeping = Keeping::new();
        let threads = (1..9_u8).map(|fill| {
            std::thread::spawn(move || {
                for round in 0..50 {
                    let size = MIB + round % 5 * 300_000;
                    let block = block(&KEEPING, size, fill);
                    std::thread::yield_now();
                    assert!(bytes(block, size).iter().all(|byte| *byte == fill));
                    free(&KEEPING, block, size);
                }
            })
        });
        for thread in threads.collect::<Vec<_>>() {
            thread.join().unwrap();
        }
        assert_eq!(KEEPING.kept().used_bytes, 0);
    }
}
