//! A file system in memory that fails and crashes when told to.
//!
//! Durable is what was synced, and of what was not synced any part, in any order: that is all that a disk
//! promises. A failed sync leaves what was written readable and never durable. Names are durable once
//! their directory was synced, before that up to any point.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::journal::files::{File, Files};
use crate::journal::lock;

/// What happens at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, once.
    Error(i32),
    /// The machine or the process stops: this call and all later ones do nothing.
    Stop,
}

#[derive(Clone, Default)]
pub(crate) struct World {
    disk: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names since the directory was synced.
    changes: Vec<Change>,
    nodes: Vec<Node>,
    calls: u64,
    faults: BTreeMap<u64, Fault>,
    stopped: bool,
    held: bool,
    /// Bytes that the disk takes.
    room: Option<usize>,
}

#[derive(Clone)]
enum Change {
    Set(PathBuf, usize),
    Gone(PathBuf),
}

#[derive(Default)]
struct Node {
    cached: Vec<u8>,
    durable: Vec<u8>,
    writes: Vec<(usize, Vec<u8>)>,
}

struct Open {
    world: World,
    node: usize,
}

struct Held(World);

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.0.disk).held = false;
    }
}

fn apply(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    if bytes.len() < offset + written.len() {
        bytes.resize(offset + written.len(), 0);
    }
    bytes[offset..offset + written.len()].copy_from_slice(written);
}

fn change(names: &mut BTreeMap<PathBuf, usize>, change: &Change) {
    match change {
        Change::Set(name, node) => {
            // A rename takes the older name of the same file away.
            names.retain(|_, known| known != node);
            names.insert(name.clone(), *node);
        }
        Change::Gone(name) => {
            names.remove(name);
        }
    }
}

impl World {
    pub(crate) fn fault(&self, call: u64, fault: Fault) {
        lock(&self.disk).faults.insert(call, fault);
    }

    pub(crate) fn calls(&self) -> u64 {
        lock(&self.disk).calls
    }

    pub(crate) fn stopped(&self) -> bool {
        lock(&self.disk).stopped
    }

    pub(crate) fn set_room(&self, room: Option<usize>) {
        lock(&self.disk).room = room;
    }

    /// The process was killed: what it wrote is there.
    pub(crate) fn restart(&self) {
        let mut state = lock(&self.disk);
        (state.stopped, state.held) = (false, false);
        state.faults.clear();
    }

    /// The power failed: what was synced is there, and of the rest what `random` chooses.
    pub(crate) fn power_cycle(&self, random: &mut fastrand::Rng) {
        let state = &mut *lock(&self.disk);
        let kept = random.usize(..=state.changes.len());
        for made in state.changes.drain(..).take(kept) {
            change(&mut state.durable_names, &made);
        }
        state.names = state.durable_names.clone();
        for node in &mut state.nodes {
            for (offset, written) in std::mem::take(&mut node.writes) {
                let part = match random.u8(..4) {
                    0 => 0,
                    1 => random.usize(..=written.len()),
                    _ => written.len(),
                };
                apply(&mut node.durable, offset, &written[..part]);
            }
            node.cached = node.durable.clone();
        }
        (state.stopped, state.held) = (false, false);
        state.faults.clear();
    }

    /// Changes a file behind everybody's back.
    pub(crate) fn edit(&self, name: &str, act: impl FnOnce(&mut Vec<u8>)) {
        let state = &mut *lock(&self.disk);
        let path = state.names.keys().find(|path| path.ends_with(name)).unwrap().clone();
        let node = &mut state.nodes[state.names[&path]];
        act(&mut node.cached);
        node.durable = node.cached.clone();
    }

    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) {
        let state = &mut *lock(&self.disk);
        state.nodes.push(Node { cached: bytes.to_vec(), durable: bytes.to_vec(), writes: Vec::new() });
        let node = state.nodes.len() - 1;
        state.names.insert(path.to_owned(), node);
        state.durable_names.insert(path.to_owned(), node);
    }

    pub(crate) fn drop_file(&self, name: &str) {
        let state = &mut *lock(&self.disk);
        state.names.retain(|path, _| !path.ends_with(name));
        state.durable_names.retain(|path, _| !path.ends_with(name));
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        lock(&self.disk).names.keys().map(name).collect()
    }

    /// Counts a call that changes something, and says whether it fails.
    fn call(&self) -> io::Result<()> {
        let state = &mut *lock(&self.disk);
        let number = state.calls;
        state.calls += 1;
        if state.faults.get(&number) == Some(&Fault::Stop) {
            state.stopped = true;
        }
        match state.faults.get(&number) {
            _ if state.stopped => Err(io::Error::from_raw_os_error(5)),
            Some(Fault::Error(code)) => Err(io::Error::from_raw_os_error(*code)),
            _ => Ok(()),
        }
    }

    fn find(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let node = *lock(&self.disk).names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Open { world: self.clone(), node }))
    }
}

impl Files for World {
    fn make_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let state = lock(&self.disk);
        let inside = state.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        let tell = |(path, node): (&PathBuf, &usize)| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, state.nodes[*node].cached.len() as u64)
        };
        Ok(inside.map(tell).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.call()?;
        let node = {
            let state = &mut *lock(&self.disk);
            state.nodes.push(Node::default());
            let node = state.nodes.len() - 1;
            state.names.insert(path.to_owned(), node);
            state.changes.push(Change::Set(path.to_owned(), node));
            node
        };
        Ok(Box::new(Open { world: self.clone(), node }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.find(path)
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.call()?;
        self.find(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call()?;
        let state = &mut *lock(&self.disk);
        let node = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), node);
        state.changes.push(Change::Set(to.to_owned(), node));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        let state = &mut *lock(&self.disk);
        state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.changes.push(Change::Gone(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.call()?;
        let state = &mut *lock(&self.disk);
        for made in state.changes.drain(..) {
            change(&mut state.durable_names, &made);
        }
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Send + Sync>> {
        if std::mem::replace(&mut lock(&self.disk).held, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Held(self.clone())))
    }
}

impl File for Open {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = lock(&self.world.disk);
        let rest = state.nodes[self.node].cached.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let outcome = self.world.call();
        let state = &mut *lock(&self.world.disk);
        let used: usize = state.names.values().map(|node| state.nodes[*node].cached.len()).sum();
        let offset = offset as usize;
        let node = &mut state.nodes[self.node];
        let grows = (offset + bytes.len()).saturating_sub(node.cached.len());
        let full = state.room.is_some_and(|room| used + grows > room);
        let outcome = if full { Err(io::Error::from_raw_os_error(28)) } else { outcome };
        // A write that fails or is interrupted may have written a part.
        let len = if outcome.is_ok() { bytes.len() } else { bytes.len() / 2 };
        if !full {
            apply(&mut node.cached, offset, &bytes[..len]);
            node.writes.push((offset, bytes[..len].to_vec()));
        }
        outcome
    }

    fn sync(&self) -> io::Result<()> {
        let outcome = self.world.call();
        let stopped = self.world.stopped();
        let node = &mut lock(&self.world.disk).nodes[self.node];
        match &outcome {
            Ok(()) => {
                for (offset, written) in node.writes.drain(..) {
                    apply(&mut node.durable, offset, &written);
                }
            }
            // The pages count as clean now, and never reach the disk.
            Err(_) if !stopped => node.writes.clear(),
            Err(_) => {}
        }
        outcome
    }

    fn size(&self) -> io::Result<u64> {
        Ok(lock(&self.world.disk).nodes[self.node].cached.len() as u64)
    }
}
