//! Boots the kernel with this machine's files as its root and this program as its first test.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What runs in there: mounts what a kernel shows, runs the inner tests, leaves their exit code, powers off.
const INIT: &str = r#"#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root RUST_BACKTRACE=0
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
mount -t configfs configfs /sys/kernel/config
mount -t tmpfs tmpfs /run
ip link set lo up 2>/dev/null
"$HIL_TESTS" --ignored --test-threads=1 --nocapture ${HIL_FILTER//,/ } >"$HIL_FOLDER/log" 2>&1
echo $? >"$HIL_FOLDER/exit"
sync
echo o >/proc/sysrq-trigger
sleep 10
"#;

/// The folder with the kernel and its modules, where there is one.
fn kernel() -> Option<PathBuf> {
    let named = std::env::var_os("IOGATE_HIL").map(PathBuf::from);
    let beside = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = Some(beside.join("tests/.hil"));
    let shared = beside.ancestors().map(|folder| Some(folder.join("shared/hil")));
    let found =
        [named, built].into_iter().chain(shared).flatten().find(|folder| folder.join("linux-uml").is_file());
    found.filter(|_| rustix::process::getuid().is_root())
}

#[test]
fn the_drivers_work_on_the_kernels_own_interfaces() {
    let Some(hil) = kernel() else {
        println!("not run: there is no user-mode kernel (bash tests/kernel.sh), or this is not root");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let init = folder.path().join("init");
    std::fs::write(&init, INIT).unwrap();
    std::fs::set_permissions(&init, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let tests = std::env::current_exe().unwrap();
    let filter = std::env::var("IOGATE_HIL_FILTER").unwrap_or_default();
    let quiet = std::env::var("IOGATE_HIL_QUIET").unwrap_or_default();
    let program = std::env::var("IOGATE_HIL_PROGRAM").unwrap_or_default();
    let soak = std::env::var("IOGATE_HIL_SOAK").unwrap_or_default();
    // Its children end with it, whatever becomes of this test.
    let status = Command::new("unshare")
        .args(["-p", "-f", "--kill-child=KILL"])
        .arg(hil.join("linux-uml"))
        .args(["mem=384M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", "quiet", "panic=1"])
        .args(["con=null", "con0=null,fd:2", "w1.timeout=1"])
        .arg(format!("init={}", init.display()))
        .arg(format!("HIL_TESTS={}", tests.display()))
        .arg(format!("HIL_MODULES={}", hil.display()))
        .arg(format!("HIL_FOLDER={}", folder.path().display()))
        .arg(format!("HIL_FILTER={filter}"))
        .arg(format!("HIL_QUIET={quiet}"))
        .arg(format!("HIL_PROGRAM={program}"))
        .arg(format!("HIL_SOAK={soak}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let exit = std::fs::read_to_string(folder.path().join("exit")).unwrap_or_default();
    let console = String::from_utf8_lossy(&status.stderr);
    println!("{log}");
    assert_eq!(exit.trim(), "0", "inside the kernel:\n{log}\nits console:\n{console}");
    assert!(!log.contains(" 0 passed"), "nothing was run:\n{log}");
}
