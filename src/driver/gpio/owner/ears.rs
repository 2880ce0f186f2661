//! The files of lines that tell edges, as the runtime watches them.
//!
//! Whoever waits in the runtime takes an edge in without another thread being woken for it. Absent: reading,
//! which is the port's. Invariant: a file that is not watched any more is closed as soon as the port has let it go.

use std::future::poll_fn;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

/// A port whose file has something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) port: usize,
    /// The kernel has taken the file's chip away.
    pub(super) gone: bool,
}

/// By port, the file that is watched.
pub(super) struct Ears {
    files: Mutex<Vec<Option<AsyncFd<OwnedFd>>>>,
    changed: Notify,
}

impl Ears {
    pub(super) fn new(ports: usize) -> Self {
        Self { files: Mutex::new((0..ports).map(|_| None).collect()), changed: Notify::new() }
    }

    /// Watches the port's file from now on, or none. A port that opens another one has let go of the first before.
    /// To be called within the runtime.
    ///
    /// # Errors
    /// When the kernel does not let the file be watched.
    pub(super) fn watch(&self, port: usize, file: Option<BorrowedFd<'_>>) -> std::io::Result<()> {
        let mut files = self.files();
        let Some(watched) = files.get_mut(port) else { return Ok(()) };
        match file {
            Some(file) if watched.is_none() => {
                let own = file.try_clone_to_owned()?;
                // SAFETY: an `OwnedFd` is the same open file until it is dropped, and `AsyncFd` owns it.
                *watched = Some(unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) }?);
                drop(files);
                self.changed.notify_one();
            }
            Some(_) => {}
            None => *watched = None,
        }
        Ok(())
    }

    /// Waits until something is heard and adds what it is. An edge that comes after this is heard anew; one that
    /// is left unread is not.
    pub(super) async fn hear(&self, heard: &mut Vec<Heard>) {
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                () = poll_fn(|context| self.poll(context, heard)) => return,
            }
        }
    }

    fn poll(&self, context: &mut Context<'_>, heard: &mut Vec<Heard>) -> Poll<()> {
        let before = heard.len();
        for (port, file) in self.files().iter().enumerate() {
            // An error says that the runtime ends.
            if let Some(Poll::Ready(Ok(mut ready))) = file.as_ref().map(|file| file.poll_read_ready(context))
            {
                let gone = ready.ready().is_read_closed();
                ready.clear_ready();
                heard.push(Heard { port, gone });
            }
        }
        if heard.len() > before { Poll::Ready(()) } else { Poll::Pending }
    }

    fn files(&self) -> MutexGuard<'_, Vec<Option<AsyncFd<OwnedFd>>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use super::*;

    fn line() -> (UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, theirs)
    }

    async fn hear(ears: &Ears) -> Vec<Heard> {
        let mut heard = Vec::new();
        tokio::time::timeout(std::time::Duration::from_secs(30), ears.hear(&mut heard)).await.unwrap();
        heard
    }

    #[tokio::test]
    async fn each_edge_is_heard_once_and_at_its_port() {
        let ears = Ears::new(3);
        let (file, mut edge) = line();
        let (other, _quiet) = line();
        ears.watch(2, Some(file.as_fd())).unwrap();
        ears.watch(0, Some(other.as_fd())).unwrap();
        for _ in 0..3 {
            edge.write_all(b"e").unwrap();
            assert_eq!(hear(&ears).await, [Heard { port: 2, gone: false }]);
            assert_eq!((&file).read(&mut [0; 8]).unwrap(), 1);
        }
        let silence = std::time::Duration::from_millis(20);
        tokio::time::timeout(silence, ears.hear(&mut Vec::new())).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_file_that_comes_while_somebody_waits_is_heard() {
        let ears = Arc::new(Ears::new(1));
        let waits = tokio::spawn({
            let ears = Arc::clone(&ears);
            async move { hear(&ears).await }
        });
        tokio::task::yield_now().await;
        let (file, mut edge) = line();
        ears.watch(0, Some(file.as_fd())).unwrap();
        edge.write_all(b"e").unwrap();
        assert_eq!(waits.await.unwrap(), [Heard { port: 0, gone: false }]);
    }

    #[tokio::test]
    async fn a_chip_that_goes_is_heard_and_a_file_that_is_let_go_is_closed() {
        let ears = Ears::new(1);
        let (file, edge) = line();
        ears.watch(0, Some(file.as_fd())).unwrap();
        drop(edge);
        assert_eq!(hear(&ears).await, [Heard { port: 0, gone: true }]);
        let (file, mut edge) = line();
        ears.watch(0, None).unwrap();
        ears.watch(0, Some(file.as_fd())).unwrap();
        ears.watch(0, None).unwrap();
        drop(file);
        // Nobody has the other end any more.
        assert_eq!(edge.write(b"e").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    }
}
