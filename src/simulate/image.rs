//! The registers and bits of one simulated unit: only those that its configuration names.
//!
//! Invariant: blocks of a table are sorted, do not touch each other and hold at least one word, so a span
//! that is defined lies within one block. Bits are words of 0 or 1.

use std::ops::Range;

use crate::driver::modbus::register::Table;

/// The four tables of a unit.
#[derive(Debug, Default)]
pub(super) struct Image {
    tables: [Vec<Block>; 4],
}

#[derive(Debug)]
struct Block {
    start: usize,
    words: Vec<u16>,
}

/// Which of the four; what a function of its own reads is in none.
const fn index(table: Table) -> Option<usize> {
    match table {
        Table::Coil => Some(0),
        Table::Discrete => Some(1),
        Table::Input => Some(2),
        Table::Holding => Some(3),
        Table::Identity | Table::Call(_) => None,
    }
}

impl Image {
    /// Makes room for `spans` of addresses. Holes of up to `gap` addresses between two spans are filled with
    /// zeros.
    #[must_use]
    pub(super) fn new(spans: impl IntoIterator<Item = (Table, Range<usize>)>, gap: usize) -> Self {
        let mut sorted: [Vec<Range<usize>>; 4] = Default::default();
        for (table, span) in spans {
            if let Some(index) = index(table).filter(|_| !span.is_empty()) {
                sorted[index].push(span);
            }
        }
        Self { tables: sorted.map(|spans| merge(spans, gap)) }
    }

    /// The contents of `count` addresses; `None` when one of them is not there.
    #[must_use]
    pub(super) fn get(&self, table: Table, address: u16, count: u16) -> Option<&[u16]> {
        let blocks = &self.tables[index(table)?];
        let (block, span) = locate(blocks, address, count)?;
        blocks[block].words.get(span)
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, table: Table, address: u16, count: u16) -> Option<&mut [u16]> {
        let blocks = &mut self.tables[index(table)?];
        let (block, span) = locate(blocks, address, count)?;
        blocks[block].words.get_mut(span)
    }
}

fn merge(mut spans: Vec<Range<usize>>, gap: usize) -> Vec<Block> {
    spans.sort_by_key(|span| span.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end + gap => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged.into_iter().map(|span| Block { start: span.start, words: vec![0; span.len()] }).collect()
}

fn locate(blocks: &[Block], address: u16, count: u16) -> Option<(usize, Range<usize>)> {
    let first = usize::from(address);
    let block = blocks.partition_point(|block| block.start <= first).checked_sub(1)?;
    let from = first - blocks[block].start;
    let to = from + usize::from(count);
    (to <= blocks[block].words.len()).then_some((block, from..to))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_named_addresses_are_there() {
        let spans = [
            (Table::Holding, 10..12),
            (Table::Holding, 12..14),
            (Table::Holding, 20..21),
            (Table::Coil, 5..6),
        ];
        let mut image = Image::new(spans.clone(), 0);
        assert_eq!(image.get(Table::Holding, 10, 4), Some(&[0, 0, 0, 0][..]));
        assert_eq!(image.get(Table::Holding, 10, 5), None);
        assert_eq!(image.get(Table::Holding, 9, 1), None);
        assert_eq!(image.get(Table::Input, 10, 1), None);
        image.get_mut(Table::Holding, 20, 1).unwrap()[0] = 7;
        assert_eq!(image.get(Table::Holding, 20, 1), Some(&[7][..]));
        assert!(Image::new(spans, 6).get(Table::Holding, 10, 11).is_some(), "a hole of six is filled");
    }

    proptest! {
        #[test]
        fn an_address_is_there_when_a_span_covers_it(
            spans in prop::collection::vec((0usize..200, 0usize..20), 0..20), address in 0u16..230, count in 1u16..30,
        ) {
            let image = Image::new(spans.iter().map(|(start, n)| (Table::Input, *start..start + n)), 0);
            let covered = |a: usize| spans.iter().any(|(start, n)| (*start..start + n).contains(&a));
            let all = (0..count).all(|i| covered(usize::from(address + i)));
            prop_assert_eq!(image.get(Table::Input, address, count).is_some(), all);
        }
    }
}
