//! Chips of the kernel's gpio-sim, plugged in and out through configfs.

use std::fs;
use std::path::{Path, PathBuf};

/// A chip with named lines.
pub(crate) struct Chip {
    folder: PathBuf,
}

impl Chip {
    /// Plugs in a chip of this label; `hog` is a line that the kernel itself holds.
    pub(crate) fn new(label: &str, lines: &[&str], hog: Option<usize>) -> Self {
        let folder = Path::new("/sys/kernel/config/gpio-sim").join(label);
        let bank = folder.join("bank0");
        fs::create_dir_all(&bank).unwrap();
        fs::write(bank.join("num_lines"), lines.len().to_string()).unwrap();
        fs::write(bank.join("label"), label).unwrap();
        for (number, name) in lines.iter().enumerate() {
            let line = bank.join(format!("line{number}"));
            fs::create_dir(&line).unwrap();
            fs::write(line.join("name"), name).unwrap();
            if hog == Some(number) {
                fs::create_dir(line.join("hog")).unwrap();
                fs::write(line.join("hog/name"), "watchdog-kicker").unwrap();
                fs::write(line.join("hog/direction"), "input").unwrap();
            }
        }
        let chip = Self { folder };
        chip.plug(true);
        chip
    }

    /// Plugs it in or out.
    pub(crate) fn plug(&self, live: bool) {
        fs::write(self.folder.join("live"), if live { "1" } else { "0" }).unwrap();
    }

    fn line(&self, number: usize) -> PathBuf {
        let text = |file: PathBuf| fs::read_to_string(file).unwrap().trim().to_owned();
        let device = text(self.folder.join("dev_name"));
        let chip = text(self.folder.join("bank0/chip_name"));
        Path::new("/sys/devices/platform").join(device).join(chip).join(format!("sim_gpio{number}"))
    }

    /// Lets the outside world pull a line.
    pub(crate) fn pull(&self, number: usize, up: bool) {
        fs::write(self.line(number).join("pull"), if up { "pull-up" } else { "pull-down" }).unwrap();
    }

    /// The file by which a line is pulled, for many pulls.
    pub(crate) fn pull_file(&self, number: usize) -> PathBuf {
        self.line(number).join("pull")
    }

    /// The file that shows the level of a line, for many looks.
    pub(crate) fn value_file(&self, number: usize) -> PathBuf {
        self.line(number).join("value")
    }

    /// The level of a line.
    pub(crate) fn level(&self, number: usize) -> bool {
        fs::read_to_string(self.value_file(number)).unwrap().trim() == "1"
    }

    /// Waits for a level, and lets the gateway in this thread work meanwhile.
    pub(crate) async fn until(&self, number: usize, level: bool) {
        let begun = std::time::Instant::now();
        while self.level(number) != level {
            assert!(begun.elapsed() < crate::stage::PATIENCE, "line {number} does not become {level}");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Chip {
    fn drop(&mut self) {
        self.plug(false);
        let bank = self.folder.join("bank0");
        let lines = fs::read_dir(&bank).unwrap().flatten().map(|entry| entry.path());
        for line in lines.filter(|path| path.is_dir()).collect::<Vec<_>>() {
            let _ = fs::remove_dir(line.join("hog"));
            fs::remove_dir(line).unwrap();
        }
        fs::remove_dir(bank).unwrap();
        fs::remove_dir(&self.folder).unwrap();
    }
}
