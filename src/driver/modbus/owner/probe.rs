//! Finding silent units again, and finding one's place with a unit that left an answer out.
//!
//! On a serial line nothing in an answer says which request it belongs to, beyond unit, function and
//! length. After a lost answer the unit is therefore first asked something whose answer has another shape:
//! when that comes, the lost one, which would have come before it, can come no more. Where all that is read
//! has one shape, an echo (function 8) is asked for instead.

use super::{Opener, Owner};
use crate::driver::modbus::planner::Block;
use crate::driver::modbus::register::Table;
use crate::driver::modbus::wire::link::Terms;
use crate::driver::modbus::wire::{Answer, Ask, ExchangeError};

/// So many different shapes are kept per unit.
const MAX_CANDIDATES: usize = 4;

/// By device, what it can be asked to see whether it is there: short ones first, each of another shape.
/// Empty for a device that has nothing to read, or only registers that reading would clear.
pub(super) fn candidates<'a>(devices: usize, blocks: impl Iterator<Item = &'a Block>) -> Vec<Vec<Ask>> {
    let mut asks: Vec<Vec<Ask>> = vec![Vec::new(); devices];
    for block in blocks.filter(|block| !block.clears()) {
        let (table, address) = (block.table, block.start);
        if !matches!(table, Table::Coil | Table::Discrete | Table::Input | Table::Holding) {
            asks[block.device].push(block.ask());
            continue;
        }
        // A first word, a first pair, the whole: all parts of what is read anyway.
        let counts = [1, if table.is_bits() { 9 } else { 2 }, block.count];
        let fitting = counts.into_iter().filter(|count| *count <= block.count);
        asks[block.device].extend(fitting.map(|count| Ask::Read { table, address, count }));
    }
    for asks in &mut asks {
        asks.sort_by_key(Ask::answer_pdu_len);
        let mut shapes = Vec::new();
        asks.retain(|ask| {
            let new = shapes.len() < MAX_CANDIDATES && !shapes.contains(&ask.shape());
            shapes.extend(new.then(|| ask.shape()));
            new
        });
    }
    asks
}

impl<O: Opener> Owner<O> {
    /// Asks a silent unit for a sign of life.
    pub(super) async fn probe(&mut self, device: usize) {
        let Some(ask) = self.distinct(device).or_else(|| self.probes[device].first().cloned()) else {
            return;
        };
        let timeout = self.health.probe_timeout(device, self.plan.devices[device].timeout);
        let terms = Terms { timeout, short_recovery: true, ..self.terms(device) };
        if let Err(ExchangeError::Down(reason)) = self.exchange(device, &ask, terms).await
            && self.fruitless > 1
        {
            self.lost(&reason);
        }
    }

    /// One exchange with a unit, after what makes sure that a lost answer cannot be taken for this one.
    pub(super) async fn ask(&mut self, device: usize, ask: &Ask) -> Result<Answer, ExchangeError> {
        self.regain(device, ask).await?;
        let terms = self.terms(device);
        self.exchange(device, ask, terms).await
    }

    /// Before `ask` is read from a unit: makes sure that a lost answer cannot be taken for its answer.
    ///
    /// # Errors
    /// When the unit does not answer that either.
    async fn regain(&mut self, device: usize, ask: &Ask) -> Result<(), ExchangeError> {
        if !self.missing[device].contains(&ask.shape()) || !self.keeps_line() {
            return Ok(());
        }
        let distinct = self.distinct(device);
        let alike = distinct.is_none();
        // Where everything that is read has one shape, an echo tells its answer from all others.
        let ask = distinct.unwrap_or_else(|| Ask::Echo { word: fastrand::u16(..) });
        let terms = self.terms(device);
        match self.exchange(device, &ask, terms).await {
            Ok(_) | Err(ExchangeError::Exception(_)) => Ok(()),
            Err(error @ ExchangeError::Down(_)) => Err(error),
            Err(_) if alike => {
                // Some units leave out what they do not know. The lost answer has had as much time again,
                // and what came of it meanwhile was thrown away.
                self.missing[device].clear();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Something to ask whose answer cannot be mistaken for the one that is missing.
    fn distinct(&self, device: usize) -> Option<Ask> {
        let missing = &self.missing[device];
        self.probes[device].iter().find(|ask| !missing.contains(&ask.shape())).cloned()
    }
}
