//! The figures: files of /proc and /sys in, values out.
//!
//! The root of the file systems is handed in, so that tests read files of their own; only the space on disks
//! is asked of the kernel. Files are read in one go and at most `MAX_FILE` bytes of them.
//! Formats: proc(5) of the Linux manual; `scaling` of hwmon and thermal zones from Documentation/hwmon/sysfs-interface
//! and Documentation/driver-api/thermal; `get_throttled` from the Raspberry Pi documentation (vcgencmd).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::config::{Figure, FigureWord};
use crate::model::{Reason, Value};

/// The most bytes of a file that are read.
const MAX_FILE: u64 = 64 << 10;

/// Names under which processors have their temperature, the best first.
const PROCESSORS: [&str; 7] =
    ["cpu-thermal", "cpu_thermal", "x86_pkg_temp", "coretemp", "k10temp", "soc-thermal", "soc_thermal"];

/// The firmware's word about voltage and throttling, on kernels of the Raspberry Pi.
const THROTTLED: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";

/// Bits of that word: now, and since the start in the upper half. 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft temperature limit.
const UNDER_VOLTAGE: u32 = 1;
const SLOWED: u32 = 0b1110;
const BEFORE: u32 = 0b1111 << 16;

const MIB: f64 = 1_048_576.0;

/// Processor time since the start, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTime {
    busy: u64,
    total: u64,
}

/// Reads figures below one root.
#[derive(Debug)]
pub struct Reader {
    root: PathBuf,
}

impl Reader {
    /// A reader of `/`, or of a copy of its /proc and /sys.
    #[must_use]
    pub const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// A figure. `before` is the processor time of the last reading of the point, and is replaced by that of this one.
    ///
    /// # Errors
    /// `NotAvailable` when the box has no such figure, `Undecodable` when its file is not as it should be.
    pub fn read(&self, figure: &Figure, before: &mut Option<CpuTime>) -> Result<Value, Reason> {
        match figure {
            Figure::Temperature(sensor) => self.temperature(sensor.as_deref()).map(Value::Float),
            Figure::DiskUsed(path) => {
                disk(path).map(|(total, left)| Value::Float(share(total - left, total)))
            }
            Figure::DiskFree(path) => disk(path).map(|(_, left)| Value::Float(left / MIB)),
            Figure::Plain(word) => self.plain(*word, before),
        }
    }

    fn plain(&self, word: FigureWord, before: &mut Option<CpuTime>) -> Result<Value, Reason> {
        let field = |path: &str, index: usize| {
            let text = self.text(path)?;
            let number = text.split_ascii_whitespace().nth(index).and_then(|field| field.parse::<f64>().ok());
            number.filter(|number| number.is_finite()).ok_or(Reason::Undecodable)
        };
        let number = match word {
            FigureWord::Load1 => field("proc/loadavg", 0)?,
            FigureWord::Load5 => field("proc/loadavg", 1)?,
            FigureWord::Load15 => field("proc/loadavg", 2)?,
            FigureWord::Uptime => field("proc/uptime", 0)?,
            FigureWord::MemoryFree => self.memory()?.1 / MIB,
            FigureWord::MemoryUsed => {
                let (total, free) = self.memory()?;
                share(total - free, total)
            }
            FigureWord::CpuUsed => {
                let now = cpu_time(&self.text("proc/stat")?).ok_or(Reason::Undecodable)?;
                let then = before.replace(now).ok_or(Reason::NotYetRead)?;
                let total =
                    now.total.checked_sub(then.total).filter(|ticks| *ticks > 0).ok_or(Reason::NotYetRead)?;
                share(now.busy.saturating_sub(then.busy) as f64, total as f64)
            }
            FigureWord::UnderVoltage => return self.under_voltage().map(Value::Bool),
            FigureWord::Throttled => return Ok(Value::Bool(self.throttled()? & SLOWED != 0)),
            FigureWord::ThrottledBefore => return Ok(Value::Bool(self.throttled()? & BEFORE != 0)),
            FigureWord::Temperature | FigureWord::DiskUsed | FigureWord::DiskFree => {
                return Err(Reason::NotAvailable);
            }
        };
        Ok(Value::Float(number))
    }

    /// Total and available memory in bytes.
    fn memory(&self) -> Result<(f64, f64), Reason> {
        let text = self.text("proc/meminfo")?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let number = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
            number.map(|kib| kib * 1024.0).ok_or(Reason::Undecodable)
        };
        Ok((field("MemTotal")?, field("MemAvailable")?))
    }

    /// A temperature by the name of its sensor: thermal zones, then hwmon.
    fn temperature(&self, sensor: Option<&str>) -> Result<f64, Reason> {
        let sensors = self.sensors();
        let named = |name: &str| sensors.iter().find(|(own, _)| own == name).map(|(_, path)| path);
        let found = match sensor {
            Some(name) => named(name),
            None => PROCESSORS.iter().find_map(|name| named(name)).or_else(|| {
                // A box with a single sensor shows its processor.
                sensors.first().filter(|_| sensors.len() == 1).map(|(_, path)| path)
            }),
        };
        let text = read(found.ok_or(Reason::NotAvailable)?)?;
        let millidegrees: i64 = text.trim().parse().map_err(|_| Reason::Undecodable)?;
        Ok(millidegrees as f64 / 1000.0)
    }

    /// The temperature sensors by their names, with the files that hold thousandths of degrees.
    fn sensors(&self) -> Vec<(String, PathBuf)> {
        let classes = [("sys/class/thermal", "type", "temp"), ("sys/class/hwmon", "name", "temp1_input")];
        let mut sensors = Vec::new();
        for (folder, name, value) in classes {
            for place in folders(&self.root.join(folder)) {
                if let (Ok(name), true) = (read(&place.join(name)), place.join(value).exists()) {
                    sensors.push((name.trim().to_owned(), place.join(value)));
                }
            }
        }
        sensors
    }

    fn throttled(&self) -> Result<u32, Reason> {
        let text = self.text(THROTTLED)?;
        let digits = text.trim().trim_start_matches("0x");
        u32::from_str_radix(digits, 16).map_err(|_| Reason::Undecodable)
    }

    /// The firmware's word, or that of the kernel's driver rpi_volt.
    fn under_voltage(&self) -> Result<bool, Reason> {
        match self.throttled() {
            Ok(word) => return Ok(word & UNDER_VOLTAGE != 0),
            Err(Reason::NotAvailable) => {}
            Err(reason) => return Err(reason),
        }
        let mut chips = folders(&self.root.join("sys/class/hwmon")).into_iter();
        let chip = chips.find(|chip| read(&chip.join("name")).is_ok_and(|name| name.trim() == "rpi_volt"));
        match read(&chip.ok_or(Reason::NotAvailable)?.join("in0_lcrit_alarm"))?.trim() {
            "0" => Ok(false),
            "1" => Ok(true),
            _ => Err(Reason::Undecodable),
        }
    }

    fn text(&self, path: &str) -> Result<String, Reason> {
        read(&self.root.join(path))
    }
}

/// The folders in a folder, in the order of their names.
fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.sort();
    found
}

fn read(path: &Path) -> Result<String, Reason> {
    let mut text = String::new();
    let file = File::open(path).map_err(|_| Reason::NotAvailable)?;
    file.take(MAX_FILE).read_to_string(&mut text).map_err(|_| Reason::NotAvailable)?;
    Ok(text)
}

/// The first line of /proc/stat: user nice system idle iowait irq softirq steal; guest times are in user.
fn cpu_time(text: &str) -> Option<CpuTime> {
    let fields = text.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let ticks: Vec<u64> = fields.take(8).map(|field| field.parse().ok()).collect::<Option<_>>()?;
    let total = ticks.iter().try_fold(0_u64, |sum, ticks| sum.checked_add(*ticks))?;
    let idle = ticks.get(3)?.checked_add(ticks.get(4).copied().unwrap_or(0))?;
    Some(CpuTime { busy: total.checked_sub(idle)?, total })
}

/// Size of a disk, and what is left for programs, in bytes.
fn disk(path: &Path) -> Result<(f64, f64), Reason> {
    let about = rustix::fs::statvfs(path).map_err(|_| Reason::NotAvailable)?;
    let unit = about.f_frsize as f64;
    Ok((about.f_blocks as f64 * unit, about.f_bavail as f64 * unit))
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole * 100.0).clamp(0.0, 100.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn figure(word: FigureWord) -> Figure {
        Figure::Plain(word)
    }

    /// A root with these files.
    fn root(files: &[(&str, &str)]) -> (tempfile::TempDir, Reader) {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let reader = Reader::new(directory.path().to_path_buf());
        (directory, reader)
    }

    #[test]
    fn figures_of_a_raspberry_pi() {
        let (_directory, reader) = root(&[
            ("proc/loadavg", "0.52 0.41 0.30 1/213 4711\n"),
            ("proc/uptime", "90061.25 350000.00\n"),
            ("proc/meminfo", "MemTotal:        4000000 kB\nMemFree:  1 kB\nMemAvailable:    3000000 kB\n"),
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone0/temp", "48312\n"),
            ("sys/class/hwmon/hwmon1/name", "rp1_adc\n"),
            ("sys/class/hwmon/hwmon1/temp1_input", "51000\n"),
            (THROTTLED, "50005\n"),
        ]);
        let read = |figure: Figure| reader.read(&figure, &mut None);
        assert_eq!(read(figure(FigureWord::Load5)), Ok(Value::Float(0.41)));
        assert_eq!(read(figure(FigureWord::Uptime)), Ok(Value::Float(90061.25)));
        assert_eq!(read(figure(FigureWord::MemoryUsed)), Ok(Value::Float(25.0)));
        assert_eq!(read(figure(FigureWord::MemoryFree)), Ok(Value::Float(2929.6875)));
        assert_eq!(read(Figure::Temperature(None)), Ok(Value::Float(48.312)));
        assert_eq!(read(Figure::Temperature(Some("rp1_adc".into()))), Ok(Value::Float(51.0)));
        assert_eq!(read(Figure::Temperature(Some("none".into()))), Err(Reason::NotAvailable));
        // 0x50005: under-voltage and throttled, now and before.
        for word in [FigureWord::UnderVoltage, FigureWord::Throttled, FigureWord::ThrottledBefore] {
            assert_eq!(read(figure(word)), Ok(Value::Bool(true)), "{word:?}");
        }
    }

    #[test]
    fn what_the_box_does_not_give_is_not_available() {
        let (_directory, reader) = root(&[
            ("proc/stat", "cpu 1 2\n"),
            ("proc/loadavg", "high\n"),
            ("sys/class/hwmon/hwmon0/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon0/in0_lcrit_alarm", "1\n"),
        ]);
        let read = |word| reader.read(&figure(word), &mut None);
        assert_eq!(read(FigureWord::UnderVoltage), Ok(Value::Bool(true)), "from rpi_volt");
        assert_eq!(read(FigureWord::Throttled), Err(Reason::NotAvailable));
        assert_eq!(read(FigureWord::Uptime), Err(Reason::NotAvailable));
        assert_eq!(read(FigureWord::Load1), Err(Reason::Undecodable));
        assert_eq!(read(FigureWord::CpuUsed), Err(Reason::Undecodable));
        assert_eq!(reader.read(&Figure::Temperature(None), &mut None), Err(Reason::NotAvailable));
        let gone = Figure::DiskUsed("/no/such/folder".into());
        assert_eq!(reader.read(&gone, &mut None), Err(Reason::NotAvailable));
    }

    #[test]
    fn processor_time_is_that_since_the_last_reading() {
        let (directory, reader) = root(&[("proc/stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1\n")]);
        let mut before = None;
        let used = figure(FigureWord::CpuUsed);
        assert_eq!(reader.read(&used, &mut before), Err(Reason::NotYetRead));
        assert_eq!(reader.read(&used, &mut before), Err(Reason::NotYetRead), "no time has passed");
        std::fs::write(directory.path().join("proc/stat"), "cpu  150 0 150 950 150 0 0 0 0 0\n").unwrap();
        assert_eq!(reader.read(&used, &mut before), Ok(Value::Float(25.0)));
    }

    #[test]
    fn this_machine_has_its_figures() {
        let reader = Reader::new("/".into());
        for figure in
            [figure(FigureWord::Uptime), figure(FigureWord::MemoryFree), Figure::DiskFree("/".into())]
        {
            let value = reader.read(&figure, &mut None).unwrap().as_f64().unwrap();
            assert!(value > 0.0, "{figure:?}");
        }
        let Ok(Value::Float(used)) = reader.read(&Figure::DiskUsed("/".into()), &mut None) else { panic!() };
        assert!((0.0..=100.0).contains(&used));
    }

    proptest! {
        #[test]
        fn no_file_panics(text in ".*|cpu [0-9 ]{0,60}|0x[0-9a-f]{0,12}") {
            let _ = cpu_time(&text);
            let (_directory, reader) = root(&[("proc/meminfo", &text), ("proc/loadavg", &text), (THROTTLED, &text)]);
            for word in [FigureWord::MemoryUsed, FigureWord::Load15, FigureWord::Throttled] {
                let _ = reader.read(&figure(word), &mut None);
            }
        }
    }
}
