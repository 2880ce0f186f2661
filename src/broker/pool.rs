//! A few spare buffers, so that busy connections need no allocation per write and idle ones hold none.

use std::sync::Mutex;

use super::sync::lock;

/// Buffers kept at most.
const SPARE: usize = 16;

/// Largest buffer kept, in bytes.
const LARGEST: usize = 256 << 10;

/// Capacity of a new buffer, in bytes.
const FIRST: usize = 4 << 10;

/// Spare buffers.
#[derive(Default)]
pub(super) struct Pool {
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    /// An empty buffer with some capacity.
    pub(super) fn take(&self) -> Vec<u8> {
        lock(&self.spare).pop().unwrap_or_else(|| Vec::with_capacity(FIRST))
    }

    /// Gives a buffer back; its contents are forgotten.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        if (1..=LARGEST).contains(&buffer.capacity()) {
            buffer.clear();
            let mut spare = lock(&self.spare);
            if spare.len() < SPARE {
                spare.push(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_bounded_number_of_bounded_buffers() {
        let pool = Pool::default();
        for _ in 0..100 {
            pool.give(vec![1; 100]);
            pool.give(Vec::new());
            pool.give(Vec::with_capacity(LARGEST + 1));
        }
        assert_eq!(lock(&pool.spare).len(), SPARE);
        let buffer = pool.take();
        assert!(buffer.is_empty() && buffer.capacity() >= 100);
    }
}
