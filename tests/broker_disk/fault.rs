//! Calls of a process that fail: a library that is loaded in front of the system's, for files of one directory.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Counts the calls that change files below a directory, and lets one of them fail.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static long calls;
static int ours(const char *path) { const char *dir = getenv("FAULT_DIR"); return path && dir && !strncmp(path, dir, strlen(dir)); }
static int ours_fd(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0) return 0;
    path[len] = 0;
    return ours(path);
}
static int fails(int counts) {
    if (!counts) return 0;
    long call = __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST);
    int saved = errno;
    FILE *count = fopen(getenv("FAULT_COUNT"), "w");
    if (count) { fprintf(count, "%ld", call + 1); fclose(count); }
    errno = saved;
    if (call != atol(getenv("FAULT_CALL"))) return 0;
    errno = atoi(getenv("FAULT_CODE"));
    return 1;
}
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) { return fails(ours_fd(fd)) ? -1 : REAL(pwrite64)(fd, bytes, len, at); }
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) { return fails(ours_fd(fd)) ? -1 : REAL(pwrite)(fd, bytes, len, at); }
int fdatasync(int fd) { return fails(ours_fd(fd)) ? -1 : REAL(fdatasync)(fd); }
int fsync(int fd) { return fails(ours_fd(fd)) ? -1 : REAL(fsync)(fd); }
int rename(const char *from, const char *to) { return fails(ours(from)) ? -1 : REAL(rename)(from, to); }
int unlink(const char *path) { return fails(ours(path)) ? -1 : REAL(unlink)(path); }
static int mode_of(int flags, va_list list) { return flags & O_CREAT ? va_arg(list, int) : 0; }
int open64(const char *path, int flags, ...) {
    va_list list; va_start(list, flags); int mode = mode_of(flags, list); va_end(list);
    return fails(ours(path)) ? -1 : REAL(open64)(path, flags, mode);
}
int open(const char *path, int flags, ...) {
    va_list list; va_start(list, flags); int mode = mode_of(flags, list); va_end(list);
    return fails(ours(path)) ? -1 : REAL(open)(path, flags, mode);
}
"#;

/// Builds the library; `None`: there is no compiler.
pub(crate) fn build(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("fault.c"), folder.join("fault.so"));
    std::fs::write(&source, SOURCE).unwrap();
    let output =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(library)
}

/// One call that fails.
pub(crate) struct Fault<'a> {
    library: &'a Path,
    data: &'a Path,
    pub(crate) call: u64,
    code: i32,
}

impl<'a> Fault<'a> {
    pub(crate) fn new(library: &'a Path, data: &'a Path, call: u64, code: i32) -> Self {
        Self { library, data, call, code }
    }

    pub(crate) fn apply(&self, mut command: Command) -> Command {
        let call = i64::try_from(self.call).unwrap_or(-1).to_string();
        command.env("LD_PRELOAD", self.library).env("FAULT_DIR", self.data).env("FAULT_CALL", call);
        command.env("FAULT_CODE", self.code.to_string()).env("FAULT_COUNT", self.count());
        command
    }

    fn count(&self) -> PathBuf {
        self.library.with_extension("count")
    }

    /// How many calls there were so far.
    pub(crate) fn calls(&self) -> u64 {
        std::fs::read_to_string(self.count()).unwrap().trim().parse().unwrap()
    }
}
