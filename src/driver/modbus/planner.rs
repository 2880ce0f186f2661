//! From points to requests: neighbours are read together, within what the device allows.
//!
//! Pure. A [`Group`] holds the points of one unit, table and period, and what has been learned about
//! them: registers that the device refuses ([`Group::refused`] finds them by halving) and places where two
//! parts are answered only separately. Invariants: a point is never split over two requests, no request
//! reads across a write-only or read-to-clear register, and every readable point is in exactly one block.

use std::ops::Range;
use std::time::Duration;

use super::register::{Register, Table};
use super::wire::Ask;
use super::{Device, Plan};

/// One request of the poll set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Index of the device in its plan.
    pub device: usize,
    /// Which table.
    pub table: Table,
    /// First wire address.
    pub start: u16,
    /// How many registers or bits.
    pub count: u16,
    /// How often.
    pub period: Duration,
    /// The points in it.
    pub members: Vec<Member>,
    /// The device has refused this: it is tried again rarely.
    pub hole: bool,
    /// Which members of the group these are.
    range: Range<usize>,
    /// The part of an open search that this block tests.
    node: Option<usize>,
}

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The point of this index in its device.
    Point(usize),
    /// A register that tells something of points.
    Companion(Register),
}

/// A point, or a register beside points, in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// What it is.
    pub target: Target,
    /// First wire address.
    pub address: u16,
    /// How many registers or bits.
    pub width: u16,
    read_to_clear: bool,
}

/// Addresses from the first to before the second.
type Span = (u32, u32);

/// The points of one unit, table and period.
#[derive(Debug, Clone)]
pub struct Group {
    device: usize,
    table: Table,
    period: Duration,
    limit: u32,
    max_gap: u32,
    members: Vec<Member>,
    barriers: Vec<Span>,
    holes: Vec<Span>,
    cuts: Vec<u32>,
    search: Vec<Node>,
}

#[derive(Debug, Clone)]
struct Node {
    range: Range<usize>,
    verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Open,
    Good,
    Hole,
    Split(usize, usize),
}

/// What follows from an answer or a refusal.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing changes.
    Keep,
    /// These take the place of the refused block, at once.
    Split(Box<[Block; 2]>),
    /// Something was learned: [`Group::blocks`] is to be asked again.
    Replan,
}

impl Block {
    /// Whether reading it changes what it holds.
    #[must_use]
    pub fn clears(&self) -> bool {
        self.members.iter().any(|member| member.read_to_clear)
    }

    /// How far a member lies behind the first address.
    #[must_use]
    pub fn offset(&self, member: &Member) -> usize {
        usize::from(member.address - self.start)
    }

    /// The request.
    #[must_use]
    pub const fn ask(&self) -> Ask {
        Ask::span(self.table, self.start, self.count)
    }
}

impl Member {
    fn new(target: Target, register: &Register) -> Self {
        Self {
            target,
            address: register.address,
            width: register.width(),
            read_to_clear: register.read_to_clear,
        }
    }

    /// By address; companions before the points that need them.
    fn order(&self) -> (Span, usize) {
        let place = match self.target {
            Target::Companion(_) => 0,
            Target::Point(position) => position + 1,
        };
        (self.span(), place)
    }

    fn span(&self) -> Span {
        let start = u32::from(self.address);
        (start, start + u32::from(self.width))
    }
}

fn meets(a: Span, b: Span) -> bool {
    a.0 < b.1 && b.0 < a.1
}

fn span_of(register: &Register, address: u16) -> Span {
    let start = u32::from(address);
    (start, start + u32::from(register.width()))
}

/// The groups of a whole plan.
#[must_use]
pub fn groups(plan: &Plan) -> Vec<Group> {
    let mut groups = Vec::new();
    for (index, device) in plan.devices.iter().enumerate() {
        if !plan.transport.is_broadcast(device.unit) {
            groups.extend(device_groups(index, device));
        }
    }
    groups
}

/// The groups of one unit; points of models that have no place yet are in none.
pub(super) fn device_groups(index: usize, device: &Device) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (table, period, member) in readings(device) {
        let same = |group: &&mut Group| group.table == table && group.period == period;
        match groups.iter_mut().find(same) {
            Some(group) => group.members.push(member),
            None => groups.push(Group::new(index, device, table, period, member)),
        }
    }
    for group in &mut groups {
        group.members.sort_by_key(Member::order);
    }
    groups
}

/// Everything that is read of a unit, with its period: the points, and each register beside them once.
fn readings(device: &Device) -> Vec<(Table, Duration, Member)> {
    let bound = || device.points.iter().enumerate().filter(|(_, point)| point.is_bound());
    let mut companions: Vec<(Register, Duration)> = Vec::new();
    for (_, point) in bound() {
        for beside in &point.rules.companions {
            let period = beside.poll.unwrap_or(point.poll);
            match companions.iter_mut().find(|(register, _)| *register == beside.register) {
                Some((_, known)) => *known = period.min(*known),
                None => companions.push((beside.register, period)),
            }
        }
    }
    let points = bound().filter(|(_, point)| point.access.readable());
    let points = points.map(|(position, point)| {
        (point.register.table, point.poll, Member::new(Target::Point(position), &point.register))
    });
    let beside = companions.into_iter().map(|(register, period)| {
        (register.table, period, Member::new(Target::Companion(register), &register))
    });
    beside.chain(points).collect()
}

impl Group {
    /// Index of the unit whose points these are.
    #[must_use]
    pub const fn device(&self) -> usize {
        self.device
    }

    fn new(index: usize, device: &Device, table: Table, period: Duration, first: Member) -> Self {
        let (limit, max_gap) = match table {
            Table::Coil | Table::Discrete => (u32::from(device.max_bits), 16 * u32::from(device.max_gap)),
            Table::Input | Table::Holding => (u32::from(device.max_registers), u32::from(device.max_gap)),
            // One object per request; whatever stands in an answer comes with it.
            Table::Identity => (1, 0),
            Table::Call(_) => (u32::MAX, u32::MAX),
        };
        Self {
            device: index,
            table,
            period,
            limit,
            max_gap,
            members: vec![first],
            barriers: barriers(device, table),
            holes: Vec::new(),
            cuts: Vec::new(),
            search: Vec::new(),
        }
    }

    /// The requests that read every point of the group, as few as what is known allows.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for index in 0..self.members.len() {
            match ranges.last_mut() {
                Some(range) if self.joins(range, index) => range.end = index + 1,
                _ => ranges.push(index..index + 1),
            }
        }
        ranges.into_iter().map(|range| self.block(range, None)).collect()
    }

    /// Whether the member at `index` can be read together with those of `range`, which come before it.
    fn joins(&self, range: &Range<usize>, index: usize) -> bool {
        let next = &self.members[index];
        let (start, end) = self.span(range);
        let (next_start, next_end) = next.span();
        if next_start < end {
            // They share registers: together they are one thing, however wide.
            return true;
        }
        let apart = |span: Span| self.holes.iter().any(|hole| meets(*hole, span));
        let sole = self.members[range.clone()].iter().any(|member| member.read_to_clear);
        let gap = (end, next_start);
        next_end.max(end) - start <= self.limit
            && next_start - end <= self.max_gap
            && !sole
            && !next.read_to_clear
            && !apart((start, end))
            && !apart((next_start, next_end))
            && !self.barriers.iter().chain(&self.holes).any(|barrier| meets(*barrier, gap))
            && !self.cuts.iter().any(|cut| start < *cut && *cut <= next_start)
    }

    fn span(&self, range: &Range<usize>) -> Span {
        let members = &self.members[range.clone()];
        let start = members.first().map_or(0, |member| member.span().0);
        (start, members.iter().map(|member| member.span().1).max().unwrap_or(start))
    }

    fn block(&self, range: Range<usize>, node: Option<usize>) -> Block {
        let (start, end) = self.span(&range);
        Block {
            device: self.device,
            table: self.table,
            start: start as u16,
            count: (end - start) as u16,
            period: self.period,
            members: self.members[range.clone()].to_vec(),
            hole: self.holes.iter().any(|hole| meets(*hole, (start, end))),
            range,
            node,
        }
    }

    /// The device has refused this block for its addresses.
    pub fn refused(&mut self, block: &Block) -> Step {
        if block.hole {
            return Step::Keep;
        }
        let node = match self.node_of(block) {
            Some(node) if self.search[node].verdict == Verdict::Hole => return Step::Keep,
            Some(node) => node,
            None => self.open(block.range.clone()),
        };
        let Some(middle) = self.middle(&block.range) else {
            self.search[node].verdict = Verdict::Hole;
            self.holes.push(self.span(&block.range));
            self.settle();
            return if self.search.is_empty() { Step::Replan } else { Step::Keep };
        };
        let halves = [block.range.start..middle, middle..block.range.end];
        let [low, high] = halves.map(|range| {
            let node = self.open(range.clone());
            (node, self.block(range, Some(node)))
        });
        self.search[node].verdict = Verdict::Split(low.0, high.0);
        Step::Split(Box::new([low.1, high.1]))
    }

    /// The device has answered this block.
    pub fn answered(&mut self, block: &Block) -> Step {
        if block.hole {
            let span = self.span(&block.range);
            self.holes.retain(|hole| !meets(*hole, span));
            return Step::Replan;
        }
        let Some(node) = self.node_of(block) else { return Step::Keep };
        self.search[node].verdict = Verdict::Good;
        if self.settle() { Step::Replan } else { Step::Keep }
    }

    /// The part of the open search that this block tests; none once the search it was made for has ended.
    fn node_of(&self, block: &Block) -> Option<usize> {
        block.node.filter(|node| self.search.get(*node).is_some_and(|node| node.range == block.range))
    }

    fn open(&mut self, range: Range<usize>) -> usize {
        self.search.push(Node { range, verdict: Verdict::Open });
        self.search.len() - 1
    }

    /// Where to halve: the member nearest to the middle that shares no register with those before it.
    fn middle(&self, range: &Range<usize>) -> Option<usize> {
        let centre = range.start + range.len() / 2;
        (range.start + 1..range.end)
            .filter(|index| self.members[*index].span().0 >= self.span(&(range.start..*index)).1)
            .min_by_key(|index| index.abs_diff(centre))
    }

    /// Draws the conclusions once every part of the search has its verdict.
    fn settle(&mut self) -> bool {
        if self.search.is_empty() || self.search.iter().any(|node| node.verdict == Verdict::Open) {
            return false;
        }
        let search = std::mem::take(&mut self.search);
        for node in &search {
            // Both halves are answered, but not the whole: what lies between them must not be read, or the
            // whole is longer than the device likes.
            if let Verdict::Split(low, high) = node.verdict
                && search[low].verdict == Verdict::Good
                && search[high].verdict == Verdict::Good
            {
                self.cuts.push(self.span(&search[high].range).0);
            }
        }
        true
    }
}

/// What no request of this table may read along: write-only points, and read-to-clear ones of any period.
fn barriers(device: &Device, table: Table) -> Vec<Span> {
    let mut spans = Vec::new();
    let here = device.points.iter().filter(|point| point.register.table == table && point.is_bound());
    for point in here {
        let register = &point.register;
        if !point.access.readable() || register.read_to_clear {
            spans.push(span_of(register, register.address));
        }
        if point.access.writable() && register.write_address != register.address {
            spans.push(span_of(register, register.write_address));
        }
    }
    spans
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
