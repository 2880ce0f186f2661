//! Simulated buses of the machine: a folder of files per channel, which the driver reads in the bus's place.
//!
//! The driver's `stand_in` says what the files are. Values are written anew ten times a second; outputs are
//! written by the gateway only. Absent: the chips' own protocols, which the driver's tests and the kernel's
//! simulators serve. Invariant: an unplugged channel has no folder, so nothing of it can be read.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::frame::Framing;
use super::line::LineLoad;
use super::plug::{Plug, Switch};
use super::world::{behaviour_of, output_of, seed_of};
use super::{Builder, Channel, StartError, file_name};
use crate::driver::local::{Plan, stand_in};
use crate::model::{Behaviour, Conversion, Motion, PointId, PointTable, Value, ValueKind};

/// How often the files are written.
const PERIOD: Duration = Duration::from_millis(100);

/// One simulated bus.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    start: Instant,
    cells: Mutex<Vec<Cell>>,
}

#[derive(Debug)]
struct Cell {
    id: PointId,
    device: Arc<str>,
    /// Its place in the device's list, the name of its file.
    place: usize,
    kind: ValueKind,
    raw_kind: ValueKind,
    output: bool,
    conversion: Conversion,
    motion: Motion,
    depends: Option<PointId>,
    held: Option<Value>,
    /// The text that was written last.
    written: String,
}

impl Folder {
    fn new(
        path: PathBuf,
        points: &PointTable,
        plan: &Plan,
        behaviours: &BTreeMap<PointId, Behaviour>,
        seed: u64,
    ) -> Result<Self, StartError> {
        let mut cells = Vec::new();
        for device in &plan.devices {
            for (place, planned) in device.points.iter().enumerate() {
                let point = points.get(planned.id);
                let conversion = Conversion { range: None, ..planned.conversion.clone() };
                let behaviour = behaviour_of(point, &conversion, behaviours);
                let unsuited = |problem| StartError::Behaviour { point: Arc::clone(&point.name), problem };
                cells.push(Cell {
                    id: point.id,
                    device: Arc::clone(&device.name),
                    place,
                    kind: point.kind,
                    raw_kind: planned.form.kind,
                    output: point.access.writable(),
                    motion: Motion::new(&behaviour, point.kind, seed_of(seed, point.id)).map_err(unsuited)?,
                    depends: output_of(points, point, behaviours)?,
                    conversion,
                    held: None,
                    written: String::new(),
                });
            }
        }
        Ok(Self { path, start: Instant::now(), cells: Mutex::new(cells) })
    }

    /// Writes every value that has changed.
    fn write(&self) -> io::Result<()> {
        let mut cells = self.cells();
        let since = self.start.elapsed();
        for at in 0..cells.len() {
            let folder = self.path.join(&*cells[at].device);
            fs::create_dir_all(&folder)?;
            let drive = cells[at].depends.map_or(0.0, |output| self.drive(&cells, output));
            let cell = &mut cells[at];
            let value = cell.held.clone().unwrap_or_else(|| cell.motion.at(since, drive));
            let missing = !folder.join(cell.place.to_string()).exists();
            let raw = cell.conversion.invert(&value, cell.raw_kind != ValueKind::Float).ok();
            let text = raw.map_or_else(String::new, |raw| raw.to_string());
            let due = if cell.output { cell.held.take().is_some() } else { text != cell.written };
            if due || missing {
                stand_in::replace(&folder, cell.place, &text)?;
                cell.written = text;
            }
        }
        Ok(())
    }

    /// What an output's file says, as a share of on.
    fn drive(&self, cells: &[Cell], output: PointId) -> f64 {
        let cell = cells.iter().find(|cell| cell.id == output);
        let value = cell.and_then(|cell| self.value_of(cell).0);
        value.and_then(|value| value.as_f64()).map_or(0.0, |value| value.clamp(0.0, 1.0))
    }

    /// The value of a point and the raw one in its file.
    fn value_of(&self, cell: &Cell) -> (Option<Value>, Option<Value>) {
        let file = self.path.join(&*cell.device).join(cell.place.to_string());
        let text = fs::read_to_string(file).unwrap_or_default();
        match Value::parse(&text, cell.raw_kind) {
            Ok(raw) => (cell.conversion.apply(&raw).0, Some(raw)),
            Err(_) => (None, None),
        }
    }

    /// Holds a point at a value, given as text.
    pub(super) fn set(&self, point: PointId, text: &str) -> Result<(), String> {
        {
            let mut cells = self.cells();
            let cell =
                cells.iter_mut().find(|cell| cell.id == point).ok_or("no simulated bus has the point")?;
            let value = Value::parse(text, cell.kind)?;
            let whole = cell.raw_kind != ValueKind::Float;
            cell.conversion.invert(&value, whole).map_err(|error| error.to_string())?;
            cell.held = Some(value);
        }
        self.write().map_err(|error| error.to_string())
    }

    /// Lets a point move by itself again.
    pub(super) fn release(&self, point: PointId) {
        self.cells().iter_mut().filter(|cell| cell.id == point).for_each(|cell| cell.held = None);
    }

    /// The value of a point and the raw one, where the bus has it.
    pub(super) fn look(&self, point: PointId) -> Option<(Option<Value>, Option<Value>)> {
        self.cells().iter().find(|cell| cell.id == point).map(|cell| self.value_of(cell))
    }

    fn cells(&self) -> MutexGuard<'_, Vec<Cell>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>, switch: Arc<Switch>) {
        let mut plugs = switch.watch();
        let mut ticks = tokio::time::interval(PERIOD);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // The switch lives as long as this task.
                _ = plugs.changed() => {}
            }
            let result = match switch.get() {
                Plug::In => self.write(),
                Plug::Out(_) => remove(&self.path),
                Plug::Stop => break,
            };
            if let Err(error) = result {
                tracing::warn!(folder = %self.path.display(), %error, "the simulated bus cannot be written");
            }
        }
        if let Err(error) = remove(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "the simulated bus cannot be removed");
        }
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Builder<'_> {
    /// Serves a bus of the machine in a folder of its own.
    pub(super) fn serve_local(
        &mut self,
        points: &PointTable,
        plan: &Plan,
        behaviours: &BTreeMap<PointId, Behaviour>,
    ) -> Result<(), StartError> {
        let path = self.links()?.join(format!("{}.bus", file_name(&plan.name)));
        let endpoint = path.display().to_string();
        let failed = |source| StartError::Channel {
            channel: Arc::clone(&plan.name),
            at: path.display().to_string(),
            source,
        };
        let switch = Arc::new(Switch::new().map_err(failed)?);
        let folder = Arc::new(Folder::new(path.clone(), points, plan, behaviours, self.options.seed)?);
        folder.write().map_err(failed)?;
        self.simulation.tasks.push(tokio::spawn(Arc::clone(&folder).run(Arc::clone(&switch))));
        self.simulation.folders.push(folder);
        let (name, load) = (Arc::clone(&plan.name), Arc::new(Mutex::new(LineLoad::default())));
        let kind = plan.word;
        let channel = Channel { name, kind, framing: Framing::Tcp, endpoint, units: 0..0, switch, load };
        self.simulation.channels.push(channel);
        Ok(())
    }
}
