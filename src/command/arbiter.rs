//! Who holds an output now, and what it shall be. Pure: no tasks, no clocks; the time is handed in.
//!
//! Whoever holds an output owns a slot of its class: interlocks, people, alarms, programs, remote clients, in
//! the order of the configuration. Under the slots lies the setpoint: what somebody asked for last without
//! holding on to it. The highest live slot decides, then the setpoint, then the safe state. A slot may end by
//! itself; where nobody else holds the output then, its safe state is taken and the setpoint forgotten, for
//! whoever was in charge has fallen silent. Releasing gives the output to the next in line.
//!
//! Invariants: [`Output::target`] is always that of the highest slot that is live as of the last
//! [`Output::advance`]; a command that somebody else's slot stands against is refused with the holder's name, and never
//! stored to surprise someone later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::{ControlClass, ControlOrder, Origin, Value};

/// The most slots of one output; alarms and interlocks alone can be several.
pub const MAX_SLOTS: usize = 256;

/// What the slot of a class counts where nothing else is said; smaller ones count more.
pub const USUAL_PRIORITY: u8 = 8;

/// Somebody's hold on an output.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// What entitles its owner.
    pub class: ControlClass,
    /// Which of a class counts more: the smaller number, and among equal ones the older slot.
    pub priority: u8,
    /// Whose it is: the name of an alarm or an interlock, a client, an address.
    pub owner: Arc<str>,
    /// What the output shall be; `None` leaves it as it is and lets nobody else act.
    pub value: Option<Value>,
    /// When it ends by itself.
    pub until: Option<Instant>,
    /// Why it is held, in words.
    pub reason: Option<Arc<str>>,
}

/// One writable point and its owners.
#[derive(Debug, Clone, Default)]
pub struct Output {
    order: ControlOrder,
    /// The one that counts most first: by class, by priority, by age.
    slots: Vec<Slot>,
    setpoint: Option<Value>,
    safe: Option<Value>,
    /// Whether anything has been written since the start.
    begun: bool,
    stopping: bool,
}

/// Who asks for what, as the arbiter sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The class of who asks.
    pub class: ControlClass,
    /// Who asks.
    pub owner: Arc<str>,
    /// Whether the output is to be held, and not merely set.
    pub holds: bool,
}

impl Slot {
    /// Whether this is the slot of that owner. People share one: whoever stands at the page is in charge.
    fn is_of(&self, class: ControlClass, owner: &str) -> bool {
        self.class == class && (class == ControlClass::Manual || *self.owner == *owner)
    }

    /// Who holds the output, in words: for refusals.
    fn words(&self, now: Instant) -> String {
        let Self { class, owner, until, reason, .. } = self;
        let mut words = match class {
            ControlClass::Interlock => format!("interlock `{owner}` stands against it"),
            ControlClass::Alarm => format!("held by alarm `{owner}`"),
            ControlClass::Manual => format!("held by hand, {owner}"),
            ControlClass::Automatic | ControlClass::Remote => format!("held by {owner}"),
        };
        if let Some(until) = until {
            let left = until.saturating_duration_since(now);
            words.push_str(&format!(", for {} s more", left.as_secs_f64().ceil()));
        }
        if let Some(reason) = reason {
            words.push_str(": ");
            words.push_str(reason);
        }
        words
    }
}

impl Output {
    /// An output that belongs to nobody yet.
    #[must_use]
    pub fn new(safe: Option<Value>, order: ControlOrder) -> Self {
        Self { order, safe, ..Self::default() }
    }

    /// What the output shall be; `None` when nobody has said, or when it is to be left as it is.
    #[must_use]
    pub fn target(&self) -> Option<&Value> {
        let top = self.slots.first();
        if self.stopping {
            let forced = top.filter(|slot| slot.class == ControlClass::Interlock);
            return forced.and_then(|slot| slot.value.as_ref()).or(self.safe.as_ref());
        }
        match top {
            // Nothing is left as it is before it has been made safe once.
            Some(Slot { value: None, .. }) if !self.begun => self.safe.as_ref(),
            Some(slot) => slot.value.as_ref(),
            None => self.setpoint.as_ref().or(self.safe.as_ref()),
        }
    }

    /// Who holds the output, if anyone.
    #[must_use]
    pub fn holder(&self) -> Option<&Slot> {
        self.slots.first()
    }

    /// All holds, the one that counts first.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The setpoint that counts where nobody holds the output.
    #[must_use]
    pub fn setpoint(&self) -> Option<&Value> {
        self.setpoint.as_ref()
    }

    /// Whether the target counts more than a command that is still under way.
    #[must_use]
    pub fn overrules_commands(&self) -> bool {
        self.stopping || !self.slots.is_empty()
    }

    /// Whether the gateway stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// In whose name the target is written.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match self.holder() {
            Some(slot) if slot.class == ControlClass::Interlock => Origin::Interlock(Arc::clone(&slot.owner)),
            Some(slot) if slot.class == ControlClass::Alarm && !self.stopping => {
                Origin::Alarm(Arc::clone(&slot.owner))
            }
            _ => Origin::Gateway,
        }
    }

    /// In whose right the target is written: the holder's, or the gateway's, which everybody overrules.
    #[must_use]
    pub fn claim(&self) -> Claim {
        match self.holder() {
            Some(slot) => Claim { class: slot.class, owner: Arc::clone(&slot.owner), holds: true },
            None => Claim { class: ControlClass::Remote, owner: "gateway".into(), holds: false },
        }
    }

    /// The class whose priority a write of the target has. Nobody waits for it, so what is safe comes first.
    #[must_use]
    pub fn urgency(&self) -> ControlClass {
        match self.holder() {
            Some(slot) if !self.stopping => slot.class,
            _ => ControlClass::Interlock,
        }
    }

    /// Ends what has ended by now, and says whether anything did.
    pub fn advance(&mut self, now: Instant) -> bool {
        let ended = |slot: &Slot| slot.until.is_some_and(|until| until <= now);
        let controlling = self.slots.first().is_some_and(ended);
        let before = self.slots.len();
        self.slots.retain(|slot| !ended(slot));
        if controlling && self.slots.is_empty() {
            self.setpoint = None;
        }
        self.slots.len() < before
    }

    /// When the next slot ends by itself.
    #[must_use]
    pub fn next_end(&self) -> Option<Instant> {
        self.slots.iter().filter_map(|slot| slot.until).min()
    }

    /// Whether a command may pass now.
    ///
    /// # Errors
    /// Names what stands in the way.
    pub fn admit(&self, claim: &Claim, now: Instant) -> Result<(), String> {
        if self.stopping {
            return Err("the gateway is stopping".into());
        }
        let rank = self.order.rank(claim.class);
        let against = |slot: &&Slot| {
            let own = slot.is_of(claim.class, &claim.owner);
            // Whoever wants to hold it passes those that count less; a mere setpoint passes nobody.
            !own && (!claim.holds || self.order.rank(slot.class) <= rank)
        };
        match self.slots.iter().find(against) {
            Some(slot) => Err(slot.words(now)),
            None if claim.holds && self.slots.len() >= MAX_SLOTS => {
                Err(format!("{MAX_SLOTS} hold this output already"))
            }
            None => Ok(()),
        }
    }

    /// Who holds the output against a command that was admitted before and has not been written.
    #[must_use]
    pub fn overruling(&self, claim: &Claim) -> Option<&Slot> {
        let rank = self.order.rank(claim.class);
        self.slots.first().filter(|slot| {
            let passes = claim.holds && rank < self.order.rank(slot.class);
            !slot.is_of(claim.class, &claim.owner) && !passes
        })
    }

    /// Somebody takes the output, or changes what they hold. Says whether the output is theirs now or was before.
    pub fn hold(&mut self, slot: Slot) -> bool {
        let own = self.slots.iter().position(|own| own.is_of(slot.class, &slot.owner));
        if let Some(place) = own {
            if self.slots[place].priority == slot.priority {
                self.slots[place] = slot;
                return place == 0;
            }
            self.slots.remove(place);
        }
        let weight = |slot: &Slot| (self.order.rank(slot.class), slot.priority);
        let place = self.slots.partition_point(|own| weight(own) <= weight(&slot));
        self.slots.insert(place, slot);
        place == 0
    }

    /// Where an alarm holds the output with something else than the safe state, it does so until then at most.
    pub fn limit_alarm(&mut self, until: Instant) {
        let safe = self.safe.as_ref();
        if let Some(slot) = self.slots.first_mut().filter(|slot| slot.class == ControlClass::Alarm)
            && slot.value.as_ref() != safe
        {
            slot.until.get_or_insert(until);
        }
    }

    /// Somebody lets go of the output. Says whether it was theirs.
    pub fn release(&mut self, class: ControlClass, owner: &str) -> bool {
        let was = self.slots.first().is_some_and(|slot| slot.is_of(class, owner));
        self.slots.retain(|slot| !slot.is_of(class, owner));
        was
    }

    /// What an asker holds, if anything.
    #[must_use]
    pub fn held_by(&self, class: ControlClass, owner: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.is_of(class, owner))
    }

    /// A command has been written. Whoever holds the output has changed what they hold; of everybody else it is
    /// the setpoint.
    pub fn settle(&mut self, claim: &Claim, value: Value) {
        match self.slots.iter_mut().find(|slot| slot.is_of(claim.class, &claim.owner)) {
            Some(slot) => slot.value = Some(value),
            None => self.setpoint = Some(value),
        }
    }

    /// Something has been written, and the device has taken it.
    pub fn begin(&mut self) {
        self.begun = true;
    }

    /// The setpoint counts no more.
    pub fn forget(&mut self) {
        self.setpoint = None;
    }

    /// The gateway stops: only interlocks and the safe state count from here on.
    pub fn stop(&mut self) {
        self.stopping = true;
    }
}

/// When something that begins now and lasts so long ends.
#[must_use]
pub fn end_of(now: Instant, lasts: Duration) -> Instant {
    /// Far enough away to be for ever, where the clock cannot count as far as it was asked to.
    const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
    now.checked_add(lasts).unwrap_or_else(|| now + FAR)
}

#[cfg(test)]
#[path = "arbiter_tests.rs"]
mod tests;
